"""When a sweep is worth what it costs, and from where it begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.sharing import EVENT_COST_S, REPLAY_COST_S, SKIP_COST_S, TRICKLE_LEAST, best_start, fits
from tests.examples import examples

FLOOR = 10_000_000


def events_worth(sharers: int) -> int:
    """The longest sweep that saves something for so many who stand where it begins."""
    return int(sharers * REPLAY_COST_S / (EVENT_COST_S - sharers * SKIP_COST_S))


def test_a_session_alone_reads_its_durable_however_little_it_missed() -> None:
    assert best_start([FLOOR - 1], [], FLOOR) is None
    assert best_start([], [], FLOOR) is None


@pytest.mark.parametrize("sharers", [2, 10, 100])
def test_a_sweep_begins_as_soon_as_it_costs_less_than_the_durables(sharers: int) -> None:
    longest = events_worth(sharers)
    assert best_start([FLOOR - longest] * sharers, [], FLOOR) == FLOOR - longest
    assert best_start([FLOOR - longest - 2] * sharers, [], FLOOR) is None


def test_one_who_is_far_behind_does_not_make_the_crowd_wait() -> None:
    crowd = [FLOOR - 1_000] * 50
    assert best_start([1, *crowd], [], FLOOR) == FLOOR - 1_000


def test_a_crowd_of_many_shares_a_sweep_however_far_behind_it_is() -> None:
    sharers = int(EVENT_COST_S / SKIP_COST_S) + 1
    assert best_start([0] * sharers, [], FLOOR) == 0
    assert best_start([0] * (sharers // 2), [], FLOOR) is None


def test_durables_placed_a_moment_ago_are_a_sign_that_more_will_come() -> None:
    longest = events_worth(10)
    waiting, placed = [FLOOR - longest] * 4, [FLOOR - longest] * 6
    assert best_start(waiting, placed, FLOOR) == FLOOR - longest
    assert best_start(waiting, placed[1:], FLOOR) is None


def test_a_sweep_begins_where_somebody_waits_and_for_one_only_when_many_came_before() -> None:
    placed = [FLOOR - 1_000] * 50
    assert best_start([FLOOR - 900, FLOOR - 800], placed, FLOOR) == FLOOR - 900
    assert best_start([FLOOR - 900], placed[:TRICKLE_LEAST], FLOOR) == FLOOR - 900
    assert best_start([FLOOR - 900], placed[1:TRICKLE_LEAST], FLOOR) is None
    assert best_start([], placed, FLOOR) is None


def test_what_fits_is_judged_by_the_events_of_the_recent_window() -> None:
    a_window = {"recent_events": 10, "recent_bytes": 15_000}
    assert fits(FLOOR - 100, FLOOR, events_most=100, bytes_most=150_000, **a_window)
    assert not fits(FLOOR - 101, FLOOR, events_most=100, bytes_most=1_000_000, **a_window)
    assert not fits(FLOOR - 101, FLOOR, events_most=1_000, bytes_most=151_499, **a_window)
    assert fits(FLOOR - 100, FLOOR, 0, 0, events_most=100, bytes_most=1)


@given(st.lists(st.integers(0, 5_000), min_size=2, max_size=30))
@examples(200)
def test_no_other_start_saves_more(behind: list[int]) -> None:
    def saved_s(start: int) -> float:
        served = [events for events in behind if events <= start]
        return sum(REPLAY_COST_S + events * SKIP_COST_S for events in served) - start * EVENT_COST_S

    best = best_start([FLOOR - events for events in behind], [], FLOOR)
    several = [start for start in behind if sum(events <= start for events in behind) > 1]
    if best is None:
        assert all(saved_s(start) <= 1e-9 for start in several)
    else:
        assert saved_s(FLOOR - best) > 0
        assert all(saved_s(start) <= saved_s(FLOOR - best) + 1e-9 for start in several)

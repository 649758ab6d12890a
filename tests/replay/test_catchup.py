"""One read of a durable consumer, question by question; then against a simulated stream that does its worst."""

from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.contiguity import Hole
from mesh.event import Delivery, StoredEvent
from replay.catchup import (
    DELETED_DETAILS_MOST,
    DRY_MOST,
    DRY_WAIT_S,
    PLACES_MOST,
    UNKNOWN,
    AfterPull,
    Answer,
    Ask,
    AskAfterPull,
    AskNext,
    AskState,
    Failed,
    Place,
    Pull,
    Pulled,
    Read,
    Standing,
    State,
    read,
)
from tests.examples import examples
from tests.replay.simulated_stream import MANY, Simulation

P = "orders.c1.>"
FLOOR, HEAD, BATCH, BYTES = 100, 120, 10, 5_000
STATE = State("n1", 1, HEAD)
NOTHING = Pulled((), 404, "No Messages")
PULL = Pull(BATCH, BYTES, 0.0)
WAIT = Pull(BATCH, BYTES, DRY_WAIT_S)

Steps = Sequence[tuple[Ask, Answer]]


def brought(*seqs: int, first: int = 1, status: int = 0) -> Pulled:
    """Deliveries of these sequences, numbered by the consumer from ``first``."""
    deliveries = [
        Delivery(StoredEvent(seq, "orders.c1.o1", 0, b""), b"s-x", first + n, 0) for n, seq in enumerate(seqs)
    ]
    return Pulled(deliveries, status)


def run(after: int, steps: Steps, standing: Standing | None = None, patterns: Sequence[str] = (P,)) -> Read | Failed:
    """Read after ``after``: each question must be the next of ``steps``, and no more may be asked."""
    reading = read(after, patterns, FLOOR, HEAD, standing or Standing(), BATCH, BYTES)
    answer: Answer = None
    for number, (ask, next_answer) in enumerate(steps):
        asked = reading.send(answer)
        assert asked == ask, f"question {number}"
        answer = next_answer
    with pytest.raises(StopIteration) as done:
        reading.send(answer)
    result: Read | Failed = done.value.value
    return result


def stood(after: int, consumer_seq: int) -> Standing:
    """A consumer that has delivered up to here, when the leader was last heard of it."""
    return Standing(after, consumer_seq, leader="n1", last_seq=HEAD, nexts={P: after})


def reads_on(after: int, pulled: Pulled, *, leaders: int | None = UNKNOWN) -> tuple[Ask, Answer]:
    """A pull that goes on behind ``after``, and the question beside it; the leader names what comes, or another."""
    first = pulled.deliveries[0].event.seq if pulled.deliveries else None
    answer = first if leaders == UNKNOWN else leaders
    return Pull(BATCH, BYTES, 0.0, (AskNext(after + 1, P),)), msgspec.structs.replace(pulled, found=(answer,))


def stands(standing: Standing) -> tuple[int, int]:
    return standing.after, standing.consumer_seq


def got(result: Read | Failed) -> tuple[list[int], int, list[Hole]]:
    assert isinstance(result, Read), result
    return [event.seq for event in result.events], result.reached, result.holes


def after_pull(state: State = STATE, *, is_ours: bool = True) -> tuple[Ask, Answer]:
    """The one question that comes after a pull that brought something."""
    return AskAfterPull(), AfterPull(is_ours, state)


def probe(after: int, found: int | None, state: State = STATE) -> Steps:
    """The leader's word; its second state is asked for only when an absence is to be proved."""
    asked: Steps = [(AskState(), state), (AskNext(after + 1, P), found)]
    return asked if found is not None and found <= FLOOR else [*asked, (AskState(), state)]


def test_who_missed_nothing_below_the_floor_needs_no_consumer() -> None:
    assert got(run(50, [*probe(50, None), (AskState(), STATE)])) == ([], HEAD, [])


@pytest.mark.parametrize(("found", "reached"), [(FLOOR + 1, FLOOR), (FLOOR + 5, FLOOR + 4), (HEAD + 1, HEAD)])
def test_what_comes_next_above_the_floor_is_read_from_the_recent_window(found: int, reached: int) -> None:
    assert got(run(50, [*probe(50, found), (AskState(), STATE)])) == ([], reached, [])


def test_what_comes_next_at_the_floor_is_read_from_the_consumer() -> None:
    standing = Standing()
    steps: Steps = [*probe(50, FLOOR), (Place(50), None), (PULL, brought(FLOOR)), after_pull()]
    assert got(run(50, steps, standing)) == ([FLOOR], FLOOR, [])
    assert stands(standing) == (FLOOR, 1)


def test_several_patterns_are_complete_to_the_lowest_of_their_next_events() -> None:
    steps: Steps = [
        (AskState(), STATE),
        (AskNext(51, "a.>"), 117),
        (AskNext(51, "b.>"), None),
        (AskNext(51, "c.>"), 111),
        (AskState(), STATE),
        (AskState(), STATE),
    ]
    assert got(run(50, steps, patterns=["a.>", "b.>", "c.>"])) == ([], 110, [])


def test_a_consumer_that_stands_right_is_read_on_from_with_one_question_beside_the_pull() -> None:
    standing = stood(60, 7)
    assert got(run(60, [reads_on(60, brought(70, 80, first=8)), after_pull()], standing)) == ([70, 80], 80, [])
    assert stands(standing) == (80, 9)


def test_an_event_above_the_floor_proves_all_before_it() -> None:
    steps: Steps = [reads_on(60, brought(70, 110, first=3)), after_pull()]
    assert got(run(60, steps, stood(60, 2))) == ([70, 110], 110, [])


def test_events_that_the_feed_has_not_read_are_left_to_it() -> None:
    standing = stood(60, 4)
    steps: Steps = [reads_on(60, brought(70, HEAD, HEAD + 1, HEAD + 9, first=5)), after_pull()]
    assert got(run(60, steps, standing)) == ([70, HEAD], HEAD, [])
    assert standing.after == HEAD + 9, "the consumer has moved on all the same, and is placed anew if it is needed"
    assert got(run(60, [reads_on(60, brought(HEAD + 1, first=5)), after_pull()], stood(60, 4))) == ([], HEAD, [])


# --- the leader's word ---


def test_a_leader_that_is_behind_the_floor_proves_nothing() -> None:
    behind = State("n1", 1, FLOOR - 1)
    assert isinstance(run(50, [(AskState(), behind)]), Failed)


def test_a_leader_between_floor_and_head_proves_as_far_as_it_has_events() -> None:
    state = State("n1", 1, FLOOR)
    assert got(run(50, [*probe(50, None, state), (AskState(), STATE)])) == ([], FLOOR, [])


@pytest.mark.parametrize("second", [State("n2", 1, HEAD), State("n1 later", 1, HEAD), State("", 1, HEAD)])
def test_no_absence_is_proved_across_a_change_of_leader(second: State) -> None:
    assert isinstance(run(50, [*probe(50, None)[:-1], (AskState(), second)]), Failed)


def test_no_absence_is_proved_by_a_leader_without_a_name() -> None:
    nameless = State("", 1, HEAD)
    assert isinstance(run(50, probe(50, None, nameless)), Failed)


def test_an_absence_is_proved_by_asking_the_leader_for_every_pattern_between_two_states() -> None:
    steps: Steps = [(AskState(), STATE), (AskNext(51, "a"), None), (AskNext(51, "b"), 90), (Place(50), None)]
    assert isinstance(run_until_pull(steps, ["a", "b"]), Pull), "something is there: nothing to prove"


def run_until_pull(steps: Steps, patterns: Sequence[str]) -> Ask:
    reading = read(50, patterns, FLOOR, HEAD, Standing(), BATCH, BYTES)
    answer: Answer = None
    for ask, next_answer in steps:
        assert reading.send(answer) == ask
        answer = next_answer
    return reading.send(answer)


# --- dry pulls ---


@pytest.mark.parametrize("status", [404, 408])
def test_an_empty_pull_is_no_proof_and_the_replica_is_waited_for(status: int) -> None:
    dry = Pulled((), status, "No Messages")
    steps: Steps = [*probe(50, 60), (Place(50), None), (PULL, dry), *probe(50, 60)]
    assert got(run(50, [*steps, (WAIT, brought(60)), after_pull()])) == ([60], 60, [])


def test_an_empty_pull_ends_the_read_once_the_leader_says_that_nothing_is_left() -> None:
    steps: Steps = [reads_on(60, NOTHING), *probe(60, None), (AskState(), STATE)]
    assert got(run(60, steps, stood(60, 4))) == ([], HEAD, [])


def test_a_failed_proof_after_an_empty_pull_fails_the_read() -> None:
    behind = State("n2", 1, FLOOR - 1)
    assert isinstance(run(60, [reads_on(60, NOTHING), (AskState(), behind)], stood(60, 4)), Failed)


def test_a_consumer_that_stays_dry_is_made_anew() -> None:
    standing = stood(60, 4)
    dry: Steps = [
        reads_on(60, NOTHING),
        *(*probe(60, 70), (WAIT, NOTHING), *probe(60, 70), (Place(60), None)),
        *(step for _ in range(DRY_MOST - 2) for step in ((WAIT, NOTHING), *probe(60, 70))),
        (WAIT, NOTHING),
    ]
    assert isinstance(run(60, dry, standing), Failed)
    assert (standing.after, standing.remake) == (UNKNOWN, True)
    again: Steps = [*probe(60, 70), (Place(60, remake=True), None), (PULL, brought(70)), after_pull()]
    assert got(run(60, again, standing)) == ([70], 70, [])
    assert not standing.remake


def test_the_last_wait_may_still_bring_the_events() -> None:
    dry: Steps = [
        reads_on(60, NOTHING),
        *(*probe(60, 70), (WAIT, NOTHING), *probe(60, 70), (Place(60), None)),
        *(step for _ in range(DRY_MOST - 2) for step in ((WAIT, NOTHING), *probe(60, 70))),
    ]
    assert got(run(60, [*dry, (WAIT, brought(70)), after_pull()], stood(60, 4))) == ([70], 70, [])


def test_a_consumer_that_was_moved_to_the_end_is_placed_anew_after_one_wait() -> None:
    waited: Steps = [reads_on(60, NOTHING), *probe(60, 70), (WAIT, NOTHING), *probe(60, 70), (Place(60), None)]
    assert got(run(60, [*waited, (WAIT, brought(70)), after_pull()], stood(60, 4))) == ([70], 70, [])


# --- deliveries out of order ---


@pytest.mark.parametrize(
    "wrong",
    [
        brought(70, first=6),  # one was lost on the way
        brought(70, first=4),  # a repeat
        brought(70, first=1),  # the consumer began anew
        brought(60, first=5),  # at the position
        brought(59, first=5),  # below it
        Pulled([*brought(70, first=5).deliveries, *brought(80, first=7).deliveries]),
        Pulled([*brought(70, 70, first=5).deliveries]),
        Pulled([*brought(80, 70, first=5).deliveries]),
    ],
)
def test_a_consumer_that_is_not_where_it_should_be_is_placed_anew_and_nothing_of_it_is_taken(wrong: Pulled) -> None:
    again: Steps = [*probe(60, 65), (Place(60), None), (PULL, brought(65, 70)), after_pull()]
    steps: Steps = [reads_on(60, wrong, leaders=65), *again]
    assert got(run(60, steps, stood(60, 4))) == ([65, 70], 70, [])


def test_a_consumer_that_never_stands_right_is_made_anew() -> None:
    standing = Standing()
    wrong = brought(60, first=2)
    place: Steps = [*probe(50, 60), (Place(50), None), (PULL, wrong)]
    assert isinstance(run(50, [*place] * PLACES_MOST, standing), Failed)
    assert (standing.after, standing.remake) == (UNKNOWN, True)


def test_the_last_place_may_still_stand_right() -> None:
    place: Steps = [*probe(50, 60), (Place(50), None)]
    wrong: Steps = [*place, (PULL, brought(60, first=2))]
    steps: Steps = [*[*wrong] * (PLACES_MOST - 1), *place, (PULL, brought(60)), after_pull()]
    assert got(run(50, steps)) == ([60], 60, [])


# --- moved under our hands ---


def test_a_consumer_that_begins_above_what_the_leader_has_next_is_placed_anew() -> None:
    place: Steps = [*probe(50, 60), (Place(50), None)]
    moved: Steps = [*place, (PULL, brought(70, 80)), after_pull()]
    assert got(run(50, [*moved, *place, (PULL, brought(60, 70)), after_pull()])) == ([60, 70], 70, [])


def test_a_consumer_that_was_placed_and_has_not_delivered_yet_is_held_against_the_leaders_word() -> None:
    parked: Steps = [*probe(60, 65), (PULL, brought(70)), after_pull()]
    again: Steps = [*probe(60, 65), (Place(60), None), (PULL, brought(65)), after_pull()]
    assert got(run(60, [*parked, *again], Standing(60, 0))) == ([65], 65, [])


def test_a_consumer_whose_numbers_fit_by_chance_is_placed_anew() -> None:
    """Another gateway placed it, and pulled as many as had been read here."""
    again: Steps = [*probe(60, 65), (Place(60), None), (PULL, brought(65, 70)), after_pull()]
    moved: Steps = [reads_on(60, brought(90, 95, first=5), leaders=65), after_pull(), *again]
    assert got(run(60, moved, stood(60, 4))) == ([65, 70], 70, [])


def test_the_leader_is_asked_again_only_for_patterns_whose_next_event_lies_behind() -> None:
    standing = Standing()
    placed: Steps = [(AskState(), STATE), (AskNext(51, "a"), 60), (AskNext(51, "b"), 90), (AskNext(51, "c"), None)]
    first: Steps = [*placed, (Place(50), None), (PULL, brought(60, 70)), after_pull()]
    assert got(run(50, first, standing, ["a", "b", "c"])) == ([60, 70], 70, [])
    on = Pull(BATCH, BYTES, 0.0, (AskNext(71, "a"),))
    second: Steps = [(on, msgspec.structs.replace(brought(80, 95, first=3), found=(80,))), after_pull()]
    assert got(run(70, second, standing, ["a", "b", "c"])) == ([80, 95], 95, [])
    on = Pull(BATCH, BYTES, 0.0, (AskNext(96, "a"), AskNext(96, "b")))
    third: Steps = [(on, msgspec.structs.replace(brought(97, first=5), found=(97, None))), after_pull()]
    assert got(run(95, third, standing, ["a", "b", "c"])) == ([97], 97, [])


def test_a_pattern_for_which_the_leader_has_nothing_holds_as_far_as_the_stream_reached() -> None:
    standing, state = stood(60, 4), State("n1", 1, FLOOR)
    standing.last_seq = FLOOR
    patterns = [P, "b"]
    on = Pull(BATCH, BYTES, 0.0, (AskNext(61, P), AskNext(61, "b")))
    beyond = msgspec.structs.replace(brought(FLOOR + 2, first=5), found=(FLOOR + 2, None))
    nothing: Steps = [(AskState(), STATE), (AskNext(61, P), FLOOR + 2), (AskNext(61, "b"), None), (AskState(), STATE)]
    steps: Steps = [(on, beyond), after_pull(state), *nothing, (AskState(), STATE)]
    assert got(run(60, steps, standing, patterns)) == ([], FLOOR + 1, [])


@pytest.mark.parametrize("now", [State("n2", 1, HEAD), State("n1 later", 1, HEAD), State("", 1, HEAD)])
def test_that_the_leader_has_nothing_for_a_pattern_counts_only_while_it_leads(now: State) -> None:
    asked: Steps = [(AskState(), STATE), (AskNext(51, "a"), 70), (AskNext(51, "b"), None)]
    place: Steps = [*asked, (Place(50), None), (PULL, brought(70))]
    again: Steps = [*place, after_pull()]
    assert got(run(50, [*place, after_pull(now), *again], patterns=["a", "b"])) == ([70], 70, [])
    nameless = State("", 1, HEAD)
    assert isinstance(
        run(50, [(AskState(), nameless), *place[1:], after_pull(nameless)] * PLACES_MOST, None, ["a", "b"]), Failed
    )


def test_who_reads_so_slowly_that_the_window_has_moved_past_what_the_leader_had_asks_first() -> None:
    standing = stood(60, 4)
    standing.last_seq = FLOOR - 1
    steps: Steps = [*probe(60, 70), (PULL, brought(70, first=5)), after_pull()]
    assert got(run(60, steps, standing)) == ([70], 70, [])


def test_a_consumer_whose_filter_was_changed_hands_nothing_on() -> None:
    place: Steps = [*probe(50, 60), (Place(50), None), (PULL, brought(60))]
    steps: Steps = [*place, after_pull(is_ours=False), *place, after_pull()]
    assert got(run(50, steps)) == ([60], 60, [])


# --- statuses ---


def test_an_event_larger_than_the_room_that_is_left_goes_alone() -> None:
    too_large = Pulled((), 409, "Message Size Exceeds MaxBytes")
    steps: Steps = [reads_on(60, too_large, leaders=70), (Pull(1, 0, 0.0), brought(70, first=5)), after_pull()]
    assert got(run(60, steps, stood(60, 4))) == ([70], 70, [])


def test_what_came_before_a_status_is_taken() -> None:
    steps: Steps = [reads_on(60, brought(70, first=5, status=409)), after_pull()]
    assert got(run(60, steps, stood(60, 4))) == ([70], 70, [])


@pytest.mark.parametrize(
    ("status", "description", "remake"),
    [(409, "Consumer Deleted", False), (409, "Server Shutdown", False), (503, "consumer s-x does not answer", True)],
)
def test_a_consumer_that_has_gone_fails_the_read_and_is_made_by_the_next(
    status: int,
    description: str,
    remake: bool,  # noqa: FBT001
) -> None:
    standing = stood(60, 4)
    failed = run(60, [reads_on(60, Pulled((), status, description))], standing)
    assert failed == Failed(f"{status} {description}")
    steps: Steps = [*probe(60, 70), (Place(60, remake), None), (PULL, brought(70)), after_pull()]
    assert got(run(60, steps, standing)) == ([70], 70, [])


# --- what is lost ---


@pytest.mark.parametrize(("first_seq", "holes"), [(61, []), (62, [Hole(60, 62, "expired")])])
def test_what_expired_above_the_position_is_a_hole(first_seq: int, holes: list[Hole]) -> None:
    steps: Steps = [reads_on(60, brought(70, first=5)), after_pull(State("n1", first_seq, HEAD))]
    assert got(run(60, steps, stood(60, 4))) == ([70], 70, holes)


@pytest.mark.parametrize(
    ("deleted", "holes"),
    [
        ((60, 71), []),
        ((61,), [Hole(60, 62, "deleted")]),
        ((70,), [Hole(69, 71, "deleted")]),
        ((3, 60, 63, 66, 71, 99), [Hole(62, 67, "deleted")]),
    ],
)
def test_deleted_events_between_the_position_and_the_one_reached_are_a_hole(
    deleted: tuple[int, ...], holes: list[Hole]
) -> None:
    few = State("n1", 1, HEAD, len(deleted))
    listed = State("n1", 1, HEAD, len(deleted), deleted)
    steps: Steps = [reads_on(60, brought(70, first=5)), after_pull(few), (AskState(deleted=True), listed)]
    assert got(run(60, steps, stood(60, 4))) == ([70], 70, holes)


def test_deleted_events_that_expire_between_two_questions_are_a_hole() -> None:
    before, later = State("n1", 1, HEAD, 2), State("n1", 66, HEAD)
    steps: Steps = [reads_on(60, brought(70, first=5)), after_pull(before), (AskState(deleted=True), later)]
    assert got(run(60, steps, stood(60, 4))) == ([70], 70, [Hole(60, 66, "expired")])


def test_more_deleted_events_than_are_listed_are_a_hole_as_long_as_the_read() -> None:
    many = State("n1", 1, HEAD, DELETED_DETAILS_MOST + 1)
    steps: Steps = [reads_on(60, brought(70, first=5)), after_pull(many)]
    assert got(run(60, steps, stood(60, 4))) == ([70], 70, [Hole(60, 71, "deleted")])
    limit = State("n1", 1, HEAD, DELETED_DETAILS_MOST)
    listed: Steps = [reads_on(60, brought(70, first=5)), after_pull(limit), (AskState(deleted=True), limit)]
    assert got(run(60, listed, stood(60, 4))) == ([70], 70, [])


def test_a_read_that_finds_nothing_tells_of_holes_as_well() -> None:
    state = State("n1", 58, HEAD)
    assert got(run(50, [*probe(50, None, state), (AskState(), state)])) == ([], HEAD, [Hole(50, 58, "expired")])


@pytest.mark.parametrize(("after", "floor", "head"), [(100, 100, 120), (101, 100, 120), (50, 100, 99)])
def test_what_the_recent_window_holds_is_not_read_from_a_consumer(after: int, floor: int, head: int) -> None:
    with pytest.raises(AssertionError, match="recent window"):
        next(read(after, [P], floor, head, Standing(), BATCH, BYTES))


@examples(MANY)
@given(st.randoms(use_true_random=True))
def test_every_event_comes_once_and_in_order_or_is_covered_by_a_hole(random: Random) -> None:
    simulation = Simulation(random)
    simulation.read_to_the_end()
    simulation.check()

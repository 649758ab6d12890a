"""How many events wait for whom."""

import pytest

from gateway.demo_pulse import KEPT_EVENTS, Pulse


@pytest.fixture
def pulse() -> Pulse:
    """Events of two customers, and of others whose names only look alike."""
    filled = Pulse("EVENTS:1")
    subjects = ("orders.c42.o1", "orders.c43.o1", "orders.c42.o2", "orders.c421.o1", "events.c42.o1", "orders.c42.o1.x")
    for seq, subject in zip((3, 4, 7, 8, 9, 12), subjects, strict=True):
        filled.add(seq, subject)
    return filled


@pytest.mark.parametrize(("after", "count"), [(0, 3), (2, 3), (3, 2), (6, 2), (7, 1), (11, 1), (12, 0), (2**53 - 1, 0)])
def test_events_above_a_sequence_are_counted_whether_it_is_one_of_them_or_between(
    pulse: Pulse, after: int, count: int
) -> None:
    assert pulse.waiting("c42", after) == count


def test_only_the_customers_own_are_counted(pulse: Pulse) -> None:
    assert [pulse.waiting(name, 0) for name in ("c43", "c421", "c4", "c44", "")] == [1, 1, 0, 0, 0]


def test_nothing_waits_in_an_empty_stream() -> None:
    assert Pulse("EVENTS:1").waiting("c42", 0) == 0


def test_the_newest_are_kept_and_the_one_beyond_is_forgotten() -> None:
    pulse = Pulse("EVENTS:1")
    for seq in range(1, KEPT_EVENTS + 1):
        pulse.add(seq, "orders.c42.o1")
    assert pulse.waiting("c42", 0) == KEPT_EVENTS
    pulse.add(KEPT_EVENTS + 1, "orders.c43.o1")
    assert pulse.waiting("c42", 0) == KEPT_EVENTS - 1
    assert pulse.waiting("c43", KEPT_EVENTS) == 1


def test_a_sequence_that_does_not_rise_is_a_bug(pulse: Pulse) -> None:
    with pytest.raises(AssertionError):
        pulse.add(12, "orders.c42.o1")

"""One clock for all: who is called when, and what is left behind."""

import weakref
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from gateway.timers import Timers
from tests.examples import examples


class Owner:
    """Wants to be called at ``due_s``."""

    def __init__(self, due_s: float) -> None:
        self.due_s = due_s


def watching(*dues: float) -> tuple[Timers[Owner], list[Owner]]:
    timers: Timers[Owner] = Timers()
    owners = [Owner(due_s) for due_s in dues]
    for owner in owners:
        timers.watch(owner)
    return timers, owners


def test_those_are_due_whose_time_has_come_earliest_first() -> None:
    timers, (late, early, middle) = watching(30.0, 10.0, 20.0)
    assert timers.due(9.99) == []
    assert timers.due(20.0) == [early, middle]
    assert timers.due(20.0) == [], "each is called once"
    assert timers.due(100.0) == [late]
    assert len(timers) == 0


def test_equal_times_are_called_in_the_order_of_watching() -> None:
    timers, owners = watching(5.0, 5.0, 5.0)
    assert timers.due(5.0) == owners


def test_a_time_that_moved_later_without_telling_is_kept() -> None:
    timers, (owner,) = watching(10.0)
    owner.due_s = 50.0
    assert timers.due(10.0) == []
    assert len(timers) == 1
    assert timers.due(49.9) == []
    assert timers.due(50.0) == [owner]


def test_a_time_that_moved_earlier_counts_once_it_was_told() -> None:
    timers, (owner,) = watching(10.0)
    owner.due_s = 3.0
    timers.watch(owner)
    assert timers.due(3.0) == [owner]
    assert timers.due(10.0) == [], "the later entry is void"


def test_the_forgotten_are_not_called() -> None:
    timers, (gone, stays) = watching(1.0, 1.0)
    timers.forget(gone)
    timers.forget(gone)
    assert timers.due(1.0) == [stays]


def test_one_forgotten_and_watched_again_at_the_same_time_is_called_once() -> None:
    timers, (owner,) = watching(4.0)
    timers.forget(owner)
    timers.watch(owner)
    assert timers.due(4.0) == [owner]
    assert timers.due(4.0) == []


def test_watching_often_does_not_grow_and_what_is_served_leaves_nothing() -> None:
    timers, owners = watching(*range(100))
    for step in range(1_000):
        for owner in owners:
            owner.due_s = step + 100.0
            timers.watch(owner)
    assert len(timers._heap) == len(timers) == 100
    assert timers.due(2_000.0) == owners
    assert (len(timers), timers._heap) == (0, [])


def test_a_life_of_calls_leaves_no_more_entries_than_owners() -> None:
    timers, owners = watching(*[0.0] * 50)
    for now_s in range(500):
        for owner in timers.due(now_s):
            owner.due_s = now_s + 5
            timers.watch(owner)
    assert len(timers._heap) == len(timers) == len(owners)


class TimersMachine(RuleBasedStateMachine):
    """The heap beside a dictionary: who must be called is who is watched and due."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: Timers[Owner] = Timers()
        self.owners = [Owner(0.0) for _ in range(4)]
        self.watched: set[Owner] = set()
        self.now_s = 0.0

    @rule(place=st.integers(0, 3), after_s=st.integers(0, 9))
    def watch(self, place: int, after_s: int) -> None:
        self.owners[place].due_s = self.now_s + after_s
        self.timers.watch(self.owners[place])
        self.watched.add(self.owners[place])

    @rule(place=st.integers(0, 3), by_s=st.integers(1, 9))
    def move_later(self, place: int, by_s: int) -> None:
        self.owners[place].due_s += by_s

    @rule(place=st.integers(0, 3))
    def forget(self, place: int) -> None:
        self.timers.forget(self.owners[place])
        self.watched.discard(self.owners[place])

    @rule(by_s=st.integers(0, 6))
    def advance(self, by_s: int) -> None:
        self.now_s += by_s
        is_due: Callable[[Owner], bool] = lambda owner: owner.due_s <= self.now_s  # noqa: E731
        due = self.timers.due(self.now_s)
        assert len(due) == len(set(due))
        assert set(due) == set(filter(is_due, self.watched))
        self.watched -= set(due)
        assert len(self.timers) == len(self.watched)


TimersMachine.TestCase.settings = examples(60, stateful_step_count=30)
TestTimers = TimersMachine.TestCase


def test_who_is_forgotten_is_not_held_until_its_time() -> None:
    """A connection that has ended held its seventy kilobytes until the ping that it would have got."""
    timers, (owner,) = watching(3_600.0)
    owner.due_s = 30.0
    timers.watch(owner)
    timers.forget(owner)
    held = weakref.ref(owner)
    del owner
    assert held() is None
    assert timers.due(4_000.0) == []

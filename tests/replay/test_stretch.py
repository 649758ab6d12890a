"""An older stretch: filled from below, read as the recent window is, and never above what the feed has read."""

from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.contiguity import Hole
from mesh.event import StoredEvent
from replay import sharing
from replay.interest import Interest
from replay.recent import BYTES_FACTOR, EVENT_OVERHEAD_BYTES, EXPIRED_MOST
from replay.stretch import FULL_SHARE, PULL_BYTES, PULL_EVENTS, Stretch
from tests.examples import examples

ROOMY = 100_000_000
EVERYTHING = 1 << 60


def event(seq: int, subject: str = "a.b", size: int = 0) -> StoredEvent:
    """An event that was stored at second ``seq``."""
    return StoredEvent(seq, subject, seq * 10**9, b"x" * size)


def stretch_after(after: int, *, events: int = 1_000, bytes_most: int = ROOMY, max_age_s: float = inf) -> Stretch:
    return Stretch(after, bytes_most=bytes_most, events_most=events, max_age_s=max_age_s)


def all_of(stretch: Stretch, after: int, most: int = 1_000) -> list[int]:
    return [each.seq for each in stretch.read(after, Interest({">": 0}), most).events]


def test_it_holds_what_lies_between_its_floor_and_its_head() -> None:
    stretch = stretch_after(10, events=3)
    assert [stretch.holds(after) for after in (9, 10)] == [False, False]
    stretch.take([event(11), event(12)], EVERYTHING)
    assert [stretch.holds(after) for after in (9, 10, 11, 12)] == [False, True, True, False]
    stretch.take([event(13), event(14)], EVERYTHING)
    assert [stretch.holds(after) for after in (10, 11, 13, 14)] == [False, True, True, False]
    assert all_of(stretch, 11) == [12, 13, 14]


def test_who_stands_at_its_head_or_a_little_ahead_is_near() -> None:
    stretch = stretch_after(10)
    ahead = 10 + sharing.AHEAD_MOST
    assert [stretch.is_near(after) for after in (9, 10, ahead, ahead + 1)] == [False, True, True, False]


def test_what_the_feed_has_not_read_waits_until_it_has() -> None:
    stretch = stretch_after(10)
    stretch.take([event(11), event(12), event(13)], 12)
    assert stretch.head == 12
    stretch.take([event(14)], 12)
    assert (stretch.head, all_of(stretch, 10)) == (12, [11, 12])
    stretch.take((), 14)
    assert (stretch.head, all_of(stretch, 10)) == (14, [11, 12, 13, 14])


def test_of_a_hole_that_reaches_beyond_the_feed_the_part_below_is_taken() -> None:
    stretch = stretch_after(10)
    hole = Hole(11, 20, "deleted")
    stretch.take([event(11), hole, event(20)], 15)
    assert stretch.head == 15
    assert stretch.read(10, Interest({">": 0}), 9).holes == [Hole(11, 16, "deleted")]
    stretch.take((), 15)
    assert stretch.head == 15
    stretch.take((), 20)
    assert (stretch.head, all_of(stretch, 10)) == (20, [11, 20])
    assert stretch.read(15, Interest({">": 0}), 9).holes == [Hole(15, 20, "deleted")]


def test_a_hole_is_told_from_where_the_session_stands() -> None:
    stretch = stretch_after(10)
    stretch.take([Hole(10, 20, "expired"), event(20)], EVERYTHING)
    assert stretch.read(14, Interest({">": 0}), 9).holes == [Hole(14, 20, "expired")]
    assert stretch.read(19, Interest({">": 0}), 9).holes == []


def filled(stretch: Stretch, first: int, size: int = 0) -> int:
    """Fill it with events from ``first`` on, as many as it wants; returns the newest."""
    stretch.begin_fill()
    seq = first - 1
    while events := stretch.wanted[0]:
        stretch.take([event(seq + n, size=size) for n in range(1, events + 1)], EVERYTHING)
        seq += events
    return seq


def test_the_first_fill_is_all_that_fits_in_events_and_the_next_is_half() -> None:
    stretch = stretch_after(0, events=2 * PULL_EVENTS + 200)
    assert filled(stretch, 1) == 2 * PULL_EVENTS + 200
    assert stretch.holds(0)
    assert filled(stretch, stretch.head + 1) == 3 * (PULL_EVENTS + 100)
    assert [stretch.holds(after) for after in (PULL_EVENTS + 99, PULL_EVENTS + 100)] == [False, True]


def test_a_fill_is_all_where_nobody_is_slower() -> None:
    stretch = stretch_after(0, events=100)
    stretch.take([event(seq) for seq in range(1, 101)], EVERYTHING)
    stretch.begin_fill(keeps_half=False)
    assert stretch.wanted[0] == 100


@given(counts=st.lists(st.integers(1, 30), max_size=20), keeps_half=st.booleans(), most=st.integers(2, 60))
@examples(100)
def test_a_fill_lets_go_of_nothing_above_what_it_says(counts: list[int], *, keeps_half: bool, most: int) -> None:
    stretch = stretch_after(0, events=most)
    for count in counts:
        stretch.begin_fill(keeps_half=keeps_half)
        kept_above = stretch.kept_above
        wanted = min(count, stretch.wanted[0])
        stretch.take([event(seq) for seq in range(stretch.head + 1, stretch.head + wanted + 1)], EVERYTHING)
        assert stretch.holds(kept_above)
    assert stretch.kept_above == 0 or sum(counts[:-1]) > most - most // 2


def test_one_event_beyond_what_fits_lets_go_of_the_lowest() -> None:
    stretch = stretch_after(0, events=50)
    assert filled(stretch, 1) == 50
    assert stretch.holds(0)
    stretch.take([event(51)], EVERYTHING)
    assert [stretch.holds(after) for after in (0, 1)] == [False, True]


@pytest.mark.parametrize("size", [0, 1, 300, 5_000])
def test_the_first_fill_is_nearly_all_that_fits_in_bytes_and_lets_go_of_nothing(size: int) -> None:
    stretch = stretch_after(0, bytes_most=1_000_000, events=100_000)
    each = (size + len("a.b")) * BYTES_FACTOR + EVENT_OVERHEAD_BYTES
    events, left = 0, 1_000_000
    stretch.begin_fill()
    while most := stretch.wanted[0]:
        fit = max(1, min(most, stretch.wanted[1] // (size + len("a.b"))))  # as nats-server counts bytes
        stretch.take([event(events + n, size=size) for n in range(1, fit + 1)], EVERYTHING)
        events, left = events + fit, left - fit * each
    assert 0 <= left < 1_000_000 // FULL_SHARE
    assert stretch.holds(0)


def test_a_fill_in_bytes_is_half_where_there_is_no_room_left() -> None:
    stretch = stretch_after(0, bytes_most=20 * EVENT_OVERHEAD_BYTES)
    assert stretch.wanted == (10, 10 * EVENT_OVERHEAD_BYTES // BYTES_FACTOR)
    stretch.take([event(1, "a", size=10 * EVENT_OVERHEAD_BYTES - 501)], EVERYTHING)
    assert stretch.wanted[0] == 0
    stretch.begin_fill()
    assert stretch.wanted == (5, 5 * EVENT_OVERHEAD_BYTES // BYTES_FACTOR)
    stretch.take([event(2, size=5 * EVENT_OVERHEAD_BYTES)], EVERYTHING)
    assert stretch.wanted[0] == 0


def test_there_is_as_much_room_as_nothing_was_taken_for() -> None:
    stretch = stretch_after(0, events=100)
    stretch.take([event(seq) for seq in range(1, 31)], EVERYTHING)
    stretch.begin_fill()
    assert stretch.wanted[0] == 70


def test_one_pull_is_bounded_whatever_fits() -> None:
    assert stretch_after(0, events=100_000).wanted == (PULL_EVENTS, PULL_BYTES)
    assert stretch_after(0, events=1).wanted[0] == 1


def test_the_half_that_is_read_again_stays_when_the_next_is_filled() -> None:
    stretch = stretch_after(0, events=6)
    stretch.take([event(seq) for seq in range(1, 4)], EVERYTHING)
    stretch.take([event(seq) for seq in range(4, 7)], EVERYTHING)
    stretch.take([event(seq) for seq in range(7, 10)], EVERYTHING)
    assert [stretch.holds(after) for after in (2, 3)] == [False, True]
    assert all_of(stretch, 3) == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("max_age_s", [inf, 100.0])
def test_it_is_let_go_of_in_pieces(max_age_s: float) -> None:
    stretch = stretch_after(0, events=EXPIRED_MOST + 1, max_age_s=max_age_s)
    stretch.take([event(seq) for seq in range(1, EXPIRED_MOST + 2)], EVERYTHING)
    assert stretch.let_go()
    assert [stretch.holds(after) for after in (EXPIRED_MOST - 1, EXPIRED_MOST)] == [False, True]
    assert not stretch.let_go()
    assert not stretch.holds(EXPIRED_MOST)


def test_what_has_expired_is_not_here_any_more() -> None:
    stretch = stretch_after(0, max_age_s=100)
    stretch.take([event(seq) for seq in range(1, 5)], EVERYTHING)
    stretch.expire(102.5)
    assert [stretch.holds(after) for after in (1, 2)] == [False, True]
    assert all_of(stretch, 2) == [3, 4]


@given(st.sets(st.integers(1, 40)), st.integers(0, 2**32))
@examples(200)
def test_a_session_that_reads_on_gets_all_that_is_due_and_every_hole(gone: set[int], seed: int) -> None:
    random = Random(seed)
    stored = [event(seq, random.choice(["a", "b.c"])) for seq in range(1, 41) if seq not in gone]
    swept: list[StoredEvent | Hole] = []
    newest = 0
    for each in stored:
        if each.seq > newest + 1:
            swept.append(Hole(newest, each.seq, "deleted"))
        swept.append(each)
        newest = each.seq
    stretch, position, feed = stretch_after(0), 0, 0
    got: list[int] = []
    told: set[int] = set()
    while position < newest:
        count = random.randint(0, 6)
        taken, swept = swept[:count], swept[count:]
        feed = min(40, feed + random.randint(1, 10))
        stretch.take(taken, feed)
        assert stretch.head <= feed
        while stretch.holds(position):
            found = stretch.read(position, Interest({"a": 0}), random.randint(1, 4))
            assert position < found.reached <= stretch.head
            got += [each.seq for each in found.events]
            told |= {seq for hole in found.holes for seq in range(hole.after + 1, hole.before)}
            assert all(hole.after >= position for hole in found.holes)
            position = found.reached
    assert got == [each.seq for each in stored if each.subject == "a"]
    assert {seq for seq in gone if seq < newest} <= told <= gone

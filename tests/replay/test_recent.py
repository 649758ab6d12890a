"""The recent window against a list: what is read, counted, evicted and forgotten."""

import weakref
from typing import cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh.contiguity import Hole
from mesh.event import StoredEvent
from replay import recent
from replay.interest import Interest
from replay.recent import BYTES_FACTOR, EVENT_OVERHEAD_BYTES, EXPIRED_MOST, LANES_MOST, SCAN_MOST, RecentWindow
from tests.examples import examples
from tests.security.nats_rules import is_match

SUBJECTS = ["a", "b", "a.a", "a.b", "b.b", "a.b.c", "b.a.c"]
PATTERNS = [*SUBJECTS[:5], "*", ">", "a.*", "a.>", "*.b", "*.*.c", "a.*.>", "*.*", "nobody.>"]
ROOMY = 10_000_000


MAX_AGE_S = 100.0


def event(seq: int, subject: str = "a.b", size: int = 0) -> StoredEvent:
    """An event that was stored at second ``seq``."""
    return StoredEvent(seq, subject, seq * 10**9, b"x" * size)


def cost(stored: StoredEvent) -> int:
    return (len(stored.payload) + len(stored.subject)) * BYTES_FACTOR + EVENT_OVERHEAD_BYTES


def is_due(stored: StoredEvent, since: dict[str, int]) -> bool:
    return any(stored.seq > start and is_match(pattern, stored.subject) for pattern, start in since.items())


def subjects_in(window: RecentWindow) -> list[str]:
    """Subjects of the trie's leaves that hold a lane; a leaf without one is there as ``?``."""

    def walk(node: "recent._Node", path: list[str]) -> list[str]:
        own = [".".join(path)] if node.lane is not None and len(node.lane) else []
        below = [name for token, child in node.children.items() for name in walk(child, [*path, token])]
        return own + below or ["?"]

    return sorted(walk(window._root, [])) if window._root.children else []


CHEAPEST = cost(event(1, "a"))


class WindowMachine(RuleBasedStateMachine):
    """The window beside a list of events and a list of holes, and a session that reads on from where it was."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()

    def teardown(self) -> None:
        self.patch.undo()

    @initialize(
        floor=st.integers(0, 3),
        events_most=st.integers(1, 12),
        bytes_most=st.integers(2, 12).map(lambda count: count * CHEAPEST) | st.just(ROOMY),
        lanes_most=st.sampled_from([LANES_MOST, 0, 1, 2]),
        scan_most=st.integers(1, 4),
        before=st.lists(st.sampled_from([*SUBJECTS, "hole", "hole"]), max_size=12),
    )
    def begin(
        self, floor: int, events_most: int, bytes_most: int, lanes_most: int, scan_most: int, before: list[str]
    ) -> None:
        self.lanes_most, self.scan_most = lanes_most, scan_most
        self.patch.setattr(recent, "LANES_MOST", lanes_most)
        self.patch.setattr(recent, "SCAN_MOST", scan_most)
        self.floor = self.head = floor
        self.bytes_most, self.events_most = bytes_most, events_most
        self.window = RecentWindow(floor, bytes_most=bytes_most, events_most=events_most, max_age_s=MAX_AGE_S)
        self.events: list[StoredEvent] = []
        self.skipped: list[Hole] = []
        for what in before:
            self.skip(2) if what == "hole" else self.append(what, 0)
        self.subscribe({"a.>": 0}, 0)

    # --- the feed ---

    @rule(subject=st.sampled_from(SUBJECTS), size=st.sampled_from([0, 0, 0, 0, 100, 400, 5_000]))
    def append(self, subject: str, size: int) -> None:
        self.head += 1
        self.events.append(event(self.head, subject, size))
        self.window.append(self.events[-1])
        while len(self.events) > self.events_most or sum(map(cost, self.events)) > self.bytes_most:
            self.floor = self.events.pop(0).seq
        self.skipped = [hole for hole in self.skipped if hole.before - 1 > self.floor]

    @rule(length=st.integers(1, 3))
    def skip(self, length: int) -> None:
        hole = Hole(self.head, self.head + length + 1, "deleted")
        self.head += length
        self.skipped.append(hole)
        self.window.skip(hole)

    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        oldest = data.draw(st.integers(self.floor, self.head + 1), label="the oldest that is kept")
        while self.events and self.events[0].seq < oldest:
            self.floor = self.events.pop(0).seq
        self.skipped = [hole for hole in self.skipped if hole.before - 1 > self.floor]
        self.window.expire(oldest + MAX_AGE_S)

    # --- any read ---

    def wish(self, data: st.DataObject) -> tuple[int, dict[str, int]]:
        """A position, and patterns with sequences from which they hold, many of them in the midst of what is here."""
        after = data.draw(st.just(self.floor) | st.integers(self.floor, self.head))
        patterns = data.draw(st.lists(st.sampled_from(PATTERNS), max_size=3, unique=True))
        start = st.just(0) | st.integers(self.floor, self.head + 1)
        return after, {pattern: data.draw(start) for pattern in patterns}

    def lanes(self, since: dict[str, int]) -> int:
        subjects = {one.subject for one in self.events}
        return sum(any(is_match(pattern, subject) for pattern in since) for subject in subjects)

    @rule(data=st.data(), most=st.integers(1, 4))
    def read(self, data: st.DataObject, most: int) -> None:
        self.look(*self.wish(data), most)

    def look(self, after: int, since: dict[str, int], most: int) -> tuple[list[StoredEvent], int]:
        found = self.window.read(after, Interest(since), most)
        later = [one for one in self.events if one.seq > after]
        due = [one for one in later if is_due(one, since)]
        assert found.events == [one for one in due if one.seq <= found.reached]
        assert len(found.events) <= most
        assert found.reached <= self.head
        assert found.reached > after or after == self.head, "each read moves on"
        assert found.holes == [
            hole for hole in self.skipped if any(after < gone <= found.reached for gone in gone_in(hole))
        ]
        is_scanned = self.lanes(since) > self.lanes_most
        if not is_scanned:
            assert found.events == due[:most]
            assert found.reached == (due[most - 1].seq if len(due) > most else self.head)
        elif len(later) < self.scan_most and len(due) < most:
            assert found.reached == self.head, "all was looked at"
        else:
            assert all(one.seq > found.reached for one in later[self.scan_most :]), "a scan is bounded"
            assert len(found.events) == min(most, sum(one in due for one in later[: self.scan_most]))
        return found.events, found.reached

    @rule(data=st.data())
    def count(self, data: st.DataObject) -> None:
        after, since = self.wish(data)
        due = [one for one in self.events if one.seq > after and is_due(one, since)]
        expected = (len(due), due[0] if due else None) if self.lanes(since) <= self.lanes_most else (None, None)
        assert self.window.pending(after, Interest(since)) == expected

    @precondition(lambda self: self.head > self.floor)
    @rule(data=st.data())
    def look_for_holes(self, data: st.DataObject) -> None:
        after = data.draw(st.integers(self.floor, self.head - 1))
        through = data.draw(st.integers(after + 1, self.head))
        wanted = [hole for hole in self.skipped if any(after < gone <= through for gone in gone_in(hole))]
        assert self.window.holes(after, through) == wanted

    # --- one session that reads on ---

    def subscribe(self, since: dict[str, int], position: int) -> None:
        self.since, self.position = since, position
        self.owed = [one for one in self.events if one.seq > position and is_due(one, since)]
        self.known_head = self.head

    @rule(data=st.data())
    def begin_again(self, data: st.DataObject) -> None:
        after, since = self.wish(data)
        self.subscribe(since, after)

    @rule(most=st.integers(1, 3))
    def read_on(self, most: int) -> None:
        """Whatever was appended and evicted between its reads, it gets each due event once and in order."""
        self.owed += [one for one in self.events if one.seq > self.known_head and is_due(one, self.since)]
        self.known_head = self.head
        if not self.window.reaches_back_to(self.position):
            self.subscribe(self.since, self.floor)  # its durable brings the rest
        events, self.position = self.look(self.position, self.since, most)
        assert events == self.owed[: len(events)]
        del self.owed[: len(events)]
        assert self.position < self.head or not self.owed

    # --- what must hold ---

    @invariant()
    def edges_are_exact(self) -> None:
        assert (self.window.floor, self.window.head) == (self.floor, self.head)
        assert self.window.reaches_back_to(self.floor)
        assert not self.window.reaches_back_to(self.floor - 1)

    @invariant()
    def memory_is_accounted(self) -> None:
        assert self.window.bytes == sum(map(cost, self.events)) <= self.bytes_most
        assert len(self.window) == len(self.events) <= self.events_most

    @invariant()
    def the_trie_holds_living_subjects_only(self) -> None:
        assert subjects_in(self.window) == sorted({one.subject for one in self.events})


def gone_in(hole: Hole) -> range:
    return range(hole.after + 1, hole.before)


TestWindow = WindowMachine.TestCase
TestWindow.settings = examples(80, stateful_step_count=20)


@pytest.mark.parametrize("subjects", [1, 3, LANES_MOST + 1])
@pytest.mark.parametrize("most", [1, 99, 100, 101])
def test_a_read_takes_the_oldest_and_is_complete_as_far_as_it_says(subjects: int, most: int) -> None:
    window = RecentWindow(0, bytes_most=ROOMY, events_most=1_000)
    for seq in range(1, 101):
        window.append(event(seq, f"a.{seq % subjects}"))
    window.skip(Hole(100, 110, "deleted"))
    found = window.read(0, Interest({"a.*": 0}), most)
    assert [one.seq for one in found.events] == list(range(1, 101))[:most]
    if most < 100:
        assert (found.reached, found.holes) == (most, [])
    elif most > 100:
        assert (found.reached, found.holes) == (109, [Hole(100, 110, "deleted")])


@pytest.mark.parametrize("since", [{"a.b": 0, "a.>": 3}, {"a.>": 3, "a.b": 0}])
def test_of_two_patterns_that_match_the_earlier_decides(since: dict[str, int]) -> None:
    """P4.8: whichever was added first."""
    window = RecentWindow(0, bytes_most=10**9, events_most=10)
    for seq in range(1, 6):
        window.append(event(seq))
    assert [found.seq for found in window.read(0, Interest(since), 10).events] == [1, 2, 3, 4, 5]
    assert window.pending(0, Interest(since))[0] == 5


def test_what_does_not_follow_is_a_bug() -> None:
    window = RecentWindow(10, bytes_most=ROOMY, events_most=10)
    for seq in (10, 12):
        with pytest.raises(AssertionError, match="contiguous"):
            window.append(event(seq))
    for after, before in ((9, 12), (11, 13)):
        with pytest.raises(AssertionError, match="contiguous"):
            window.skip(Hole(after, before, "deleted"))
    with pytest.raises(AssertionError, match="at least one sequence"):
        window.skip(Hole(10, 11, "deleted"))
    with pytest.raises(AssertionError, match="does not reach back"):
        window.read(9, Interest({">": 0}), 1)


def test_an_event_larger_than_the_window_empties_it_and_all_memory_is_given_back() -> None:
    window = RecentWindow(0, bytes_most=50_000, events_most=100)
    for seq in range(1, 11):
        window.append(event(seq, f"a.{seq}"))
    window.append(event(11, "a.large", 30_000))
    assert (window.bytes, len(window), window.floor, window.head) == (0, 0, 11, 11)
    assert subjects_in(window) == []
    assert window.read(11, Interest({">": 0}), 5).events == []


def test_a_window_fills_to_its_last_byte_and_not_one_more() -> None:
    exact = 3 * cost(event(1, "a.b", 10))
    window = RecentWindow(0, bytes_most=exact, events_most=100)
    for seq in range(1, 4):
        window.append(event(seq, "a.b", 10))
    assert (window.bytes, window.floor) == (exact, 0)
    window.append(event(4, "a.b", 10))
    assert (window.bytes, window.floor) == (exact, 1)


def test_events_expire_a_bounded_number_at_once() -> None:
    """P4.12."""
    window = RecentWindow(0, bytes_most=ROOMY, events_most=10_000, max_age_s=MAX_AGE_S)
    for seq in range(1, EXPIRED_MOST + 11):
        window.append(event(seq))
    window.expire(MAX_AGE_S + EXPIRED_MOST + 6)
    assert (window.floor, len(window)) == (EXPIRED_MOST, 10)
    window.expire(MAX_AGE_S + EXPIRED_MOST + 6)
    assert (window.floor, len(window)) == (EXPIRED_MOST + 5, 5), "of a hundred seconds ago is not too old"
    window.expire(1e10)
    assert (window.floor, window.head, window.bytes) == (EXPIRED_MOST + 10, EXPIRED_MOST + 10, 0)


def test_without_a_limit_of_age_nothing_expires() -> None:
    window = RecentWindow(0, bytes_most=ROOMY, events_most=10)
    window.append(event(1))
    window.expire(1e10)
    assert len(window) == 1


class Watched(str):
    """A subject that can be seen to go, and its event with it."""

    __slots__ = ("__weakref__",)


def test_an_evicted_event_leaves_memory_at_once() -> None:
    window = RecentWindow(0, bytes_most=ROOMY, events_most=4)
    seen: list[weakref.ref[Watched]] = []

    def append(seq: int) -> None:
        window.append(StoredEvent(seq, Watched(f"a.{seq}"), 0, b""))
        seen.append(weakref.ref(cast(Watched, window._all.events[-1].subject)))

    for seq in range(1, 41):
        append(seq)
    assert sum(ref() is not None for ref in seen) == 4


def test_a_lane_of_thousands_is_read_right_after_its_front_was_cut_off() -> None:
    window = RecentWindow(0, bytes_most=ROOMY, events_most=700)
    for seq in range(1, 3_001):
        window.append(event(seq, "a"))
    found = window.read(2_300, Interest({"a": 0}), 1_000)
    assert [one.seq for one in found.events] == list(range(2_301, 3_001))
    assert len(window._all.events) < 2_000, "what was evicted is cut off now and then"


@pytest.mark.parametrize(("subjects", "counted"), [(LANES_MOST, True), (LANES_MOST + 1, False)])
def test_above_so_many_subjects_the_window_is_scanned_with_the_same_result(subjects: int, counted: bool) -> None:  # noqa: FBT001
    window = RecentWindow(0, bytes_most=ROOMY, events_most=1_000)
    for seq in range(1, 201):
        window.append(event(seq, f"a.{seq % subjects}"))
    interest = Interest({"a.*": 100, "a.7": 0})
    due = [seq for seq in range(51, 201) if seq > 100 or seq % subjects == 7]
    assert [one.seq for one in window.read(50, interest, 1_000).events] == due
    assert [one.seq for one in window.read(50, interest, 20).events] == due[:20]
    count, oldest = window.pending(50, interest)
    assert (count, oldest.seq if oldest else None) == ((len(due), due[0]) if counted else (None, None))


def test_one_scan_looks_at_a_bounded_number_of_events() -> None:
    window = RecentWindow(0, bytes_most=ROOMY, events_most=10_000)
    for seq in range(1, SCAN_MOST + 1):
        window.append(event(seq, f"a.{seq % 100}"))
    interest = Interest({"a.*": SCAN_MOST})
    window.append(event(SCAN_MOST + 1, "a.1"))
    first = window.read(0, interest, 10)
    assert (first.events, first.reached) == ([], SCAN_MOST)
    second = window.read(first.reached, interest, 10)
    assert ([one.seq for one in second.events], second.reached) == ([SCAN_MOST + 1], SCAN_MOST + 1)


@pytest.mark.parametrize(
    ("events", "unix_s", "expected"),
    [(0, 0.0, 0), (10, 10.0, 0), (20, 20.0, 0), (30, 30.0, 10), (40, 40.0, 20), (45, 45.0, 25), (10, 101.0, 5)],
)
def test_the_older_half_is_what_goes_when_half_of_the_window_has_come(
    events: int, unix_s: float, expected: int
) -> None:
    window = RecentWindow(0, bytes_most=ROOMY, events_most=40, max_age_s=MAX_AGE_S)
    for seq in range(1, events + 1):
        window.append(event(seq))
    assert window.older_half(unix_s) == expected


def test_the_older_half_is_one_of_bytes_too() -> None:
    each = cost(event(1))
    window = RecentWindow(0, bytes_most=10 * each, events_most=1_000)
    for seq in range(1, 9):
        window.append(event(seq))
    assert window.older_half(0.0) == 3

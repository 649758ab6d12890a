"""Pure: the recent window: the newest stretch of the stream, in memory, without holes that are not named.

Bounded in bytes, in events and in age; the oldest goes first. Indexed by subject, so that catching a session up costs
what it missed and not what everybody else received. ``floor`` is its lower edge: everything above ``floor`` and up to
``head`` is here, as an event or inside a named hole.
"""

from bisect import bisect_right
from collections.abc import Iterator
from math import inf
from operator import attrgetter

import msgspec

from mesh.contiguity import Hole
from mesh.event import StoredEvent
from replay.interest import Interest

EVENT_OVERHEAD_BYTES = 1_000
"""What an event costs beside its bytes: objects, index entries, trie nodes."""
BYTES_FACTOR = 2
"""An event's bytes are held twice once it was replayed: as published and as the frame that was made of it."""
LANES_MOST = 64
"""Up to so many subjects are merged by the index; above, the window is scanned."""
SCAN_MOST = 4_000
"""Most events looked at in one scanning read, so that one session's catch-up never holds the loop for long."""
EXPIRED_MOST = 2_000
"""Most events let go of at once because of their age."""

_seq = attrgetter("seq")
_GONE = StoredEvent(0, "", 0, b"")
"""Stands in a lane where an event was, until the front of the lane is cut off."""


class Slice(msgspec.Struct, frozen=True):
    """What a read found: events that are due, the holes on the way, and the position that is now complete."""

    events: list[StoredEvent]
    holes: list[Hole]
    reached: int


class _Lane:
    """Events in sequence order; the front goes without moving the rest each time."""

    __slots__ = ("events", "start")

    def __init__(self) -> None:
        self.events: list[StoredEvent] = []
        self.start = 0

    def __len__(self) -> int:
        return len(self.events) - self.start

    @property
    def oldest(self) -> StoredEvent:
        return self.events[self.start]

    def pop_oldest(self) -> StoredEvent:
        event = self.events[self.start]
        self.events[self.start] = _GONE  # what is not accounted any more must not be kept alive
        self.start += 1
        if self.start >= 512 and self.start * 2 >= len(self.events):
            del self.events[: self.start]
            self.start = 0
        return event

    def count_after(self, seq: int) -> int:
        return len(self.events) - bisect_right(self.events, seq, lo=self.start, key=_seq)

    def after(self, seq: int, most: int) -> list[StoredEvent]:
        first = bisect_right(self.events, seq, lo=self.start, key=_seq)
        return self.events[first : first + most]


class _Node:
    __slots__ = ("children", "lane")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = _NO_CHILDREN
        self.lane: _Lane | None = None


_NO_CHILDREN: dict[str, _Node] = {}
"""All leaves share it: it stays empty."""


class RecentWindow:
    """The newest stretch of the stream. Begins empty at ``floor``."""

    def __init__(self, floor: int, *, bytes_most: int, events_most: int, max_age_s: float = inf) -> None:
        self.floor = floor
        """Everything above it is here."""
        self.head = floor
        """Newest sequence read."""
        self.bytes = 0
        """Accounted memory."""
        self._bytes_most = bytes_most
        self._events_most = events_most
        self._max_age_s = max_age_s
        self._all = _Lane()
        self._by_subject: dict[str, _Lane] = {}
        self._root = _Node()  # the same lanes, for patterns
        self._holes: list[Hole] = []

    def __len__(self) -> int:
        return len(self._all)

    def reaches_back_to(self, position: int) -> bool:
        """Whether everything after ``position`` is here."""
        return position >= self.floor

    def older_half(self, unix_s: float) -> int:
        """The sequence up to which events will be gone once half of what the window takes has come. ``floor``: none."""
        if not len(self._all):
            return self.floor
        age_s = unix_s - self._all.oldest.time_ns / 1e9
        full = max(self.bytes / self._bytes_most, len(self._all) / self._events_most, age_s / self._max_age_s)
        return self.floor + int((self.head - self.floor) * max(0.0, min(1.0, 1 - 0.5 / full)))

    def append(self, event: StoredEvent) -> None:
        """Take the next event of the stream; holes before it have been told by ``skip``."""
        assert event.seq == self.head + 1, "the recent window is contiguous"
        self.head = event.seq
        window = self._all
        window.events.append(event)
        lane = self._by_subject.get(event.subject)
        if lane is None:
            lane = self._by_subject[event.subject] = self._new_lane(event.subject)
        lane.events.append(event)
        self.bytes += event.size_bytes * BYTES_FACTOR + EVENT_OVERHEAD_BYTES
        while self.bytes > self._bytes_most or len(window.events) - window.start > self._events_most:
            self._evict()

    def expire(self, unix_s: float) -> None:
        """Let go of what is older than the stream keeps: what has expired there must not live on here.

        At most ``EXPIRED_MOST`` events, the rest at the next call. A wrong clock does no harm: what is not here is
        read from the stream.
        """
        before_ns = (unix_s - self._max_age_s) * 1e9
        for _ in range(EXPIRED_MOST):
            if not len(self._all) or self._all.oldest.time_ns >= before_ns:
                return
            self._evict()

    def skip(self, hole: Hole) -> None:
        """Take a hole of the stream: its sequences count as read."""
        assert hole.after == self.head, "the recent window is contiguous"
        assert hole.before > hole.after + 1, "a hole holds at least one sequence"
        self.head = hole.before - 1
        self._holes.append(hole)

    def holes(self, after: int, through: int) -> list[Hole]:
        """The holes with a sequence above ``after`` and up to ``through``."""
        return [hole for hole in self._holes if hole.before - 1 > after and hole.after < through]

    def read(self, after: int, interest: Interest, most: int) -> Slice:
        """The next events above ``after`` that are due, at most ``most`` of them, in order."""
        assert self.reaches_back_to(after), "the recent window does not reach back so far"
        starts = self._starts(after, interest)
        if len(starts) > LANES_MOST:
            events, reached = self._scan(after, interest, most)
        else:
            events, reached = self._merge(starts, most)
        return Slice(events, self.holes(after, reached), reached)

    def pending(self, after: int, interest: Interest) -> tuple[int | None, StoredEvent | None]:
        """How many events above ``after`` are due, and the oldest of them; None where counting would cost too much."""
        count, oldest = 0, None
        starts = self._starts(after, interest)
        if len(starts) > LANES_MOST:
            return None, None
        for lane, start in starts:
            count += lane.count_after(start)
            for event in lane.after(start, 1):
                oldest = event if oldest is None or event.seq < oldest.seq else oldest
        return count, oldest

    def _starts(self, after: int, interest: Interest) -> list[tuple[_Lane, int]]:
        """The lanes that hold something of interest, each once, with the sequence after which it is due."""
        starts: dict[int, tuple[_Lane, int]] = {}
        for pattern, since in interest.since.items():
            start = max(after, since)
            for lane in self._lanes(pattern):
                known = starts.get(id(lane))
                starts[id(lane)] = (lane, start if known is None else min(known[1], start))
        return list(starts.values())

    def _merge(self, lanes: list[tuple[_Lane, int]], most: int) -> tuple[list[StoredEvent], int]:
        events = [event for lane, start in lanes for event in lane.after(start, most + 1)]
        if len(lanes) > 1:
            events.sort(key=_seq)
        if len(events) > most:
            return events[:most], events[most - 1].seq
        return events, self.head

    def _scan(self, after: int, interest: Interest, most: int) -> tuple[list[StoredEvent], int]:
        events: list[StoredEvent] = []
        scanned = self._all.after(after, SCAN_MOST)
        for event in scanned:
            if interest.is_due(event.subject, event.seq):
                events.append(event)
                if len(events) == most:
                    return events, event.seq
        return events, scanned[-1].seq if len(scanned) == SCAN_MOST else self.head

    def _evict(self) -> None:
        event = self._all.pop_oldest()
        self.bytes -= event.size_bytes * BYTES_FACTOR + EVENT_OVERHEAD_BYTES
        self.floor = event.seq
        lane = self._by_subject[event.subject]
        oldest = lane.pop_oldest()
        assert oldest is event, "a lane holds its events in order"
        if not len(lane):
            del self._by_subject[event.subject]
            self._prune(event.subject)
        while self._holes and self._holes[0].before - 1 <= self.floor:
            self._holes.pop(0)

    def _new_lane(self, subject: str) -> _Lane:
        node = self._root
        for token in subject.split("."):
            child = node.children.get(token)
            if child is None:
                if node.children is _NO_CHILDREN:
                    node.children = {}
                child = node.children[token] = _Node()
            node = child
        node.lane = _Lane()
        return node.lane

    def _prune(self, subject: str) -> None:
        path = [self._root]
        tokens = subject.split(".")
        for token in tokens:
            path.append(path[-1].children[token])
        path[-1].lane = None
        for parent, token, node in zip(reversed(path[:-1]), reversed(tokens), reversed(path[1:]), strict=True):
            if node.children or node.lane is not None:
                return
            del parent.children[token]

    def _lanes(self, pattern: str) -> Iterator[_Lane]:
        nodes = [self._root]
        tokens = pattern.split(".")
        for token in tokens:
            if token == ">":  # noqa: S105  # NATS's wildcard
                for node in nodes:
                    yield from _below(node)
                return
            if token == "*":  # noqa: S105  # NATS's wildcard
                nodes = [child for node in nodes for child in node.children.values()]
            else:
                nodes = [node.children[token] for node in nodes if token in node.children]
        yield from (node.lane for node in nodes if node.lane is not None)


def _below(node: _Node) -> Iterator[_Lane]:
    stack = list(node.children.values())
    while stack:
        node = stack.pop()
        if node.lane is not None:
            yield node.lane
        stack.extend(node.children.values())

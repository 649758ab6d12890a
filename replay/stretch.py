"""Pure: an older stretch of the stream in memory: filled from below by a sweep, read by many sessions.

It is a recent window that lies further back. What it brought is complete: an event proves that all before it were
delivered or are gone. Where it meets the recent window sessions go on there, by their position. Nothing of it lies
above what the feed has read.
"""

from collections import deque
from collections.abc import Iterable
from math import inf

from mesh.contiguity import Hole
from mesh.event import StoredEvent
from replay import sharing
from replay.interest import Interest
from replay.recent import BYTES_FACTOR, EVENT_OVERHEAD_BYTES, RecentWindow, Slice

PULL_EVENTS = 4_000
"""Most events pulled at once: on a busy machine a round trip takes long."""
PULL_BYTES = 4_194_304
"""Most bytes pulled at once, about."""
FULL_SHARE = 16
"""A fill is done when less than this part of all bytes is left for it: what is smaller is not worth a round trip."""


class Stretch:
    """Begins empty behind ``after``. At either limit what lies lowest is let go of."""

    def __init__(self, after: int, *, bytes_most: int, events_most: int, max_age_s: float = inf) -> None:
        self._window = RecentWindow(after, bytes_most=bytes_most, events_most=events_most, max_age_s=max_age_s)
        self._events_most, self._left_events = events_most, events_most
        self._bytes_most, self._left_bytes = bytes_most, bytes_most
        self.kept_above = after
        """What lies above stays here while this fill goes on."""
        self._ahead: deque[StoredEvent | Hole] = deque()
        """Read by the sweep before the feed had read as far."""

    @property
    def head(self) -> int:
        """Newest sequence that is here."""
        return self._window.head

    def holds(self, after: int) -> bool:
        """Whether the event behind ``after`` is here, or is known to be gone."""
        return self._window.floor <= after < self._window.head

    def is_near(self, after: int) -> bool:
        """Whether the sweep will soon be at ``after``."""
        return self.head <= after <= self.head + sharing.AHEAD_MOST

    def begin_fill(self, *, keeps_half: bool = True) -> None:
        """What is taken from here on counts as one fill.

        It is all there is room for, if that is half of what fits, and nothing is let go of. Else it is the half of what
        fits, so that the other half stays for slower sessions, or all.
        """
        window = self._window
        free_events, free_bytes = self._events_most - len(window), self._bytes_most - window.bytes
        if free_events >= max(1, self._events_most // 2) and free_bytes >= self._bytes_most // 2:
            self._left_events, self._left_bytes, self.kept_above = free_events, free_bytes, window.floor
        else:
            share = 2 if keeps_half else 1
            self._left_events, self._left_bytes = max(1, self._events_most // share), self._bytes_most // share
            self.kept_above = window.head

    @property
    def wanted(self) -> tuple[int, int]:
        """Events and bytes of the next pull of this fill; no events: it is done."""
        if self._left_bytes < self._bytes_most // FULL_SHARE:
            return 0, 1
        half = self._left_bytes // 2  # for what comes with each event, and half for its bytes: it never is too much
        events = min(PULL_EVENTS, self._left_events, max(1, half // EVENT_OVERHEAD_BYTES))
        return max(0, events), max(1, min(PULL_BYTES, half // BYTES_FACTOR))

    def take(self, found: Iterable[StoredEvent | Hole], read_through: int) -> None:
        """Take what the sweep has brought, in order, up to what the feed has read; the rest waits here."""
        ahead, window = self._ahead, self._window
        for each in found:
            ahead.append(each)
            if isinstance(each, StoredEvent):
                self._left_events -= 1
                self._left_bytes -= each.size_bytes * BYTES_FACTOR + EVENT_OVERHEAD_BYTES
        while ahead:
            first = ahead[0]
            if isinstance(first, StoredEvent):
                if first.seq > read_through:
                    return
                window.append(first)
            else:
                if first.after >= read_through:
                    return
                before = min(first.before, read_through + 1)
                window.skip(Hole(first.after, before, first.reason))
                if before < first.before:
                    ahead[0] = Hole(before - 1, first.before, first.reason)
                    return
            ahead.popleft()

    def read(self, after: int, interest: Interest, most: int) -> Slice:
        """The next events above ``after`` that are due, at most ``most``, and the holes among them."""
        found = self._window.read(after, interest, most)
        holes = [Hole(max(hole.after, after), hole.before, hole.reason) for hole in found.holes]
        return Slice(found.events, holes, found.reached)

    def expire(self, unix_s: float) -> None:
        """Let go of what is older than the stream keeps."""
        self._window.expire(unix_s)

    def let_go(self) -> bool:
        """Let go of some of it, when nobody needs it any more; False once nothing is left.

        To let go of all at once would hold the loop for long.
        """
        self._window.expire(inf)
        return len(self._window) > 0

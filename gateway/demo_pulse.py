"""Pure: how many events wait for whom, counted from what the stream holds and not from what a gateway says."""

from collections import deque
from typing import Final

import msgspec

KEPT_EVENTS: Final = 20_000
"""The newest events of the stream that are counted."""


class Waiting(msgspec.Struct, frozen=True):
    """The answer for one customer."""

    stream: str
    """Identity of the stream."""
    last: int
    """The sequence up to which the stream has been read."""
    waiting: int
    """Events of the customer above the position asked for, among the newest 20,000 of the stream."""


class Pulse:
    """Sequence and subject of the newest events of one stream."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self._events: deque[tuple[int, str]] = deque(maxlen=KEPT_EVENTS)

    def add(self, seq: int, subject: str) -> None:
        """Note an event; sequences rise."""
        assert not self._events or seq > self._events[-1][0], "the feed delivers in order"
        self._events.append((seq, subject))

    def waiting(self, customer: str, after: int) -> int:
        """How many events on ``orders.CUSTOMER.>`` lie above ``after``."""
        opening = f"orders.{customer}."
        count = 0
        for seq, subject in reversed(self._events):
            if seq <= after:
                break
            count += subject.startswith(opening)
        return count

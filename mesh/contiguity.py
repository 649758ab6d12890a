"""Pure: is what the feed delivers next, a repeat, or has something been lost on the way?

A consumer numbers its deliveries one by one (``consumer_seq``); the stream's own sequence may jump where events were
deleted or have expired. So a jump of the first is a hole in the delivery (read again from the last good sequence), a
jump of the second alone is a hole in the stream itself (nobody can read it any more, and whoever had a right to it is
told).
"""

import enum

import msgspec


class Hole(msgspec.Struct, frozen=True):
    """Sequences that the stream no longer has: those above ``after`` and below ``before``."""

    after: int
    before: int
    reason: str
    """``expired`` (the stream's first sequence has moved past them), ``deleted``, or why else they are out of reach."""

    def joined_to(self, earlier: "Hole | None") -> "Hole":
        """One hole over both, with the reason of the earlier."""
        if earlier is None:
            return self
        return Hole(min(self.after, earlier.after), max(self.before, earlier.before), earlier.reason)


class Broken(enum.Enum):
    """What is wrong with a delivery."""

    REPEAT = enum.auto()
    """Delivered before: to be ignored."""
    LOST = enum.auto()
    """Deliveries before this one never arrived: the consumer must be made again at ``head`` + 1."""


class Contiguity:
    """Follows one reader of a stream. ``head`` is the sequence up to which everything has been read."""

    def __init__(self, head: int) -> None:
        self.head = head
        self.first_seq = 0
        """The stream's first sequence when last heard of; holes that end below it have expired."""
        self._consumer_seq = 0

    def restart(self, first_seq: int) -> None:
        """A new consumer reads on from ``head`` + 1."""
        self._consumer_seq = 0
        self.first_seq = first_seq

    def step(self, seq: int, consumer_seq: int) -> Hole | Broken | None:
        """Judge a delivery. None and ``Hole``: take the event (the hole comes before it); ``head`` has moved."""
        if consumer_seq != self._consumer_seq + 1:
            # a number that was given before, to another event: the consumer's server began its numbers again
            is_repeat = consumer_seq <= self._consumer_seq and seq <= self.head
            return Broken.REPEAT if is_repeat else Broken.LOST
        self._consumer_seq = consumer_seq
        if seq <= self.head:
            return Broken.REPEAT
        hole = self.gone_before(seq)
        self.head = seq
        return hole

    def gone_before(self, seq: int) -> Hole | None:
        """The hole between ``head`` and ``seq``, if any."""
        if seq == self.head + 1:
            return None
        return Hole(self.head, seq, "expired" if seq <= self.first_seq else "deleted")

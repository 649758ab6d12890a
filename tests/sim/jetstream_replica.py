"""What one server holds of a stream: messages, and what has been deleted since."""

from collections.abc import Iterator
from functools import lru_cache

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """One stored message."""

    seq: int
    subject: str
    payload: bytes
    headers: bytes
    time_ns: int

    @property
    def size_bytes(self) -> int:
        """What it counts for in the file store's sums."""
        headers = len(self.headers) + 4 if self.headers else 0
        return 30 + len(self.subject) + len(self.payload) + headers


class Put(msgspec.Struct, frozen=True, gc=False):
    """A message was stored."""

    message: Message


class Remove(msgspec.Struct, frozen=True, gc=False):
    """One message was deleted."""

    seq: int


class Purge(msgspec.Struct, frozen=True, gc=False):
    """Everything up to a sequence was deleted, or has expired."""

    through: int


Change = Put | Remove | Purge


class View:
    """The messages after some changes of the stream's log."""

    def __init__(self, *, one_a_subject: bool) -> None:
        self.messages: dict[int, Message] = {}
        self.first_seq = 0
        self.last_seq = 0
        self.size_bytes = 0
        self._newest: dict[str, int] = {}
        self._one_a_subject = one_a_subject

    def apply(self, change: Change) -> list[int]:
        """Take the next change of the log; returns the sequences that are gone by it."""
        gone: list[int] = []
        match change:
            case Put(message):
                if self._one_a_subject and (older := self._newest.get(message.subject)) in self.messages:
                    assert older is not None, "it is stored"
                    gone.append(older)
                if not self.messages or self.first_seq == 0:
                    self.first_seq = message.seq
                self.messages[message.seq] = message
                self.size_bytes += message.size_bytes
                self.last_seq = self._newest[message.subject] = message.seq
            case Remove(seq):
                gone = [seq] if seq in self.messages else []
            case Purge(through):
                gone = [seq for seq in range(self.first_seq, min(through, self.last_seq) + 1) if seq in self.messages]
        for seq in gone:
            self.size_bytes -= self.messages.pop(seq).size_bytes
        if gone or (isinstance(change, Purge) and not self.messages):
            self.first_seq = next(iter(self.messages), self.last_seq + 1)
        return gone

    def next_match(self, seq: int, pattern: str) -> Message | None:
        """The first message at or above ``seq`` that matches."""
        for at in range(max(seq, self.first_seq, 1), self.last_seq + 1):
            message = self.messages.get(at)
            if message is not None and matches(pattern, message.subject):
                return message
        return None

    def last_match(self, pattern: str) -> Message | None:
        """The newest message that matches."""
        newest = self.messages.get(self._newest.get(pattern, 0))
        if newest is not None:
            return newest
        return next((m for m in reversed(self.messages.values()) if matches(pattern, m.subject)), None)

    def deleted(self) -> list[int]:
        """Sequences between the first and the last that are gone; as nats-server says, 0 before the first message."""
        if len(self.messages) == self.last_seq + 1 - self.first_seq:
            return []
        return [seq for seq in range(self.first_seq, self.last_seq + 1) if seq not in self.messages]

    def oldest(self) -> Message | None:
        """The first message."""
        return next(iter(self.messages.values()), None)

    def matching(self, filters: tuple[str, ...], seq: int) -> Iterator[Message]:
        """Messages at or above ``seq`` that match one of ``filters``; without filters all."""
        for at in range(max(seq, self.first_seq, 1), self.last_seq + 1):
            message = self.messages.get(at)
            if message is not None and matches_one(filters, message.subject):
                yield message


@lru_cache(65_536)
def matches(pattern: str, subject: str) -> bool:
    """Whether a subject is one of a pattern's."""
    if pattern == subject or pattern == ">":
        return True
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(given) <= len(wanted):
            return False
    elif len(given) != len(wanted):
        return False
    return all(token in ("*", given[at]) for at, token in enumerate(wanted))


def matches_one(filters: tuple[str, ...], subject: str) -> bool:
    """Whether a subject is one of a consumer's."""
    return not filters or any(matches(pattern, subject) for pattern in filters)


def overlap(patterns: tuple[str, ...]) -> bool:
    """Whether all subjects of one pattern are another's too: nats-server refuses that for a consumer."""
    return any(_holds(one, other) or _holds(other, one) for at, one in enumerate(patterns) for other in patterns[:at])


def _holds(wide: str, narrow: str) -> bool:
    widest, given = wide.split("."), narrow.split(".")
    for at, token in enumerate(given):
        if at >= len(widest):
            return False
        if widest[at] == ">":
            return True
        if token == ">" or (widest[at] != "*" and widest[at] != token):
            return False
    return len(widest) == len(given)

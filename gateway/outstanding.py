"""Pure: what was sent to a session and not acknowledged, held against the client's window (P4.4)."""

from bisect import bisect_right
from operator import attrgetter

import msgspec

_seq = attrgetter("seq")


class Sent(msgspec.Struct, frozen=True, gc=False):
    """One event that was sent. Without a place in the garbage collector: there can be millions, and none has cycles."""

    seq: int
    size_bytes: int


class Outstanding:
    """Events sent and not acknowledged, oldest first."""

    __slots__ = ("_sent", "bytes", "bytes_most", "messages_most")

    def __init__(self, messages_most: int, bytes_most: int) -> None:
        self.messages_most = messages_most
        self.bytes_most = bytes_most
        self.bytes = 0
        self._sent: list[Sent] | None = None  # none: nothing is outstanding, as it nearly always is

    def __len__(self) -> int:
        return len(self._sent) if self._sent is not None else 0

    @property
    def first(self) -> int | None:
        """Sequence of the oldest, or None."""
        return self._sent[0].seq if self._sent else None

    @property
    def messages_left(self) -> int:
        """How many more events the window takes."""
        return self.messages_most - len(self)

    @property
    def takes_more(self) -> bool:
        """Whether the window takes anything more."""
        return self.messages_left > 0 and (self.bytes < self.bytes_most or not self._sent)

    @property
    def is_half_free(self) -> bool:
        """Whether half of the window is free."""
        return not self._sent or (len(self._sent) * 2 <= self.messages_most and self.bytes * 2 <= self.bytes_most)

    @property
    def until_half(self) -> tuple[int, int]:
        """How many more events and bytes may be sent before less than half of the window is free."""
        return max(0, self.messages_most // 2 - len(self)), max(0, self.bytes_most // 2 - self.bytes)

    def admit(self, seq: int, size: int) -> bool:
        """Count an event of ``size`` bytes as sent, if it fits. One that is larger than the whole window goes alone."""
        sent = self._sent
        if sent is None:
            self._sent = [Sent(seq, size)]
        elif len(sent) < self.messages_most and self.bytes + size <= self.bytes_most:
            sent.append(Sent(seq, size))
        else:
            return False
        self.bytes += size
        return True

    def admit_all(self, entries: list[Sent], size: int) -> bool:
        """Count many events as sent, ``size`` bytes together, if all fit."""
        sent, bytes_then = self._sent, self.bytes + size
        if bytes_then > self.bytes_most:
            return False
        if sent is None:
            if len(entries) > self.messages_most:
                return False
            self._sent = list(entries)
        elif len(sent) + len(entries) > self.messages_most:
            return False
        else:
            sent.extend(entries)
        self.bytes = bytes_then
        return True

    def acknowledge(self, seq: int) -> None:
        """Everything up to ``seq`` is processed."""
        sent = self._sent
        if sent is None:
            return
        if sent[-1].seq <= seq:  # all of it, as nearly always
            self._sent, self.bytes = None, 0
            return
        count = bisect_right(sent, seq, key=_seq)
        self.bytes -= sum(each.size_bytes for each in sent[:count])
        del sent[:count]

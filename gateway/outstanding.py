"""Pure: what was sent to a session and not acknowledged, held against the client's window (P4.4)."""

from collections import deque


class Outstanding:
    """Events sent and not acknowledged, oldest first."""

    __slots__ = ("_sent", "bytes", "bytes_most", "messages_most")

    def __init__(self, messages_most: int, bytes_most: int) -> None:
        self.messages_most = messages_most
        self.bytes_most = bytes_most
        self.bytes = 0
        self._sent: deque[tuple[int, int]] | None = None  # none: nothing is outstanding, as it nearly always is

    def __len__(self) -> int:
        return len(self._sent) if self._sent is not None else 0

    @property
    def first(self) -> int | None:
        """Sequence of the oldest, or None."""
        return self._sent[0][0] if self._sent else None

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

    def admit(self, seq: int, size: int) -> bool:
        """Count an event of ``size`` bytes as sent, if it fits. One that is larger than the whole window goes alone."""
        sent = self._sent
        if sent is None:
            self._sent = deque(((seq, size),))
        elif len(sent) < self.messages_most and self.bytes + size <= self.bytes_most:
            sent.append((seq, size))
        else:
            return False
        self.bytes += size
        return True

    def admit_all(self, entries: list[tuple[int, int]], size: int) -> bool:
        """Count many events as sent, ``size`` bytes together, if all fit."""
        sent, bytes_then = self._sent, self.bytes + size
        if bytes_then > self.bytes_most:
            return False
        if sent is None:
            if len(entries) > self.messages_most:
                return False
            self._sent = deque(entries)
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
        while sent[0][0] <= seq:
            self.bytes -= sent.popleft()[1]
            if not sent:
                self._sent = None
                return

"""Pure: which received events are still in work, and so how far everything is processed.

One list in the order of receipt. An entry is finished when nobody holds it any more; the processed sequence is that of
the last entry before the first unfinished one. So events may be processed in any order by any number of iterators, and
the position never passes one that is not done.
"""

from collections import deque

NOTHING = -1
"""What is processed of a stream before its first gap is closed: no position, not even the one before its beginning."""


class _Entry:
    __slots__ = ("holders", "seq", "size_bytes")

    def __init__(self, seq: int, holders: set[int], size_bytes: int) -> None:
        self.seq = seq
        self.holders = holders
        self.size_bytes = size_bytes


class Ledger:
    """The events of one stream that wait to be processed, beginning after ``after``.

    ``is_lost``: what lies up to ``after`` is lost, and the program does not know yet. Nothing is processed then, not
    even that, until the gap that tells of it, to be opened next, is closed.
    """

    def __init__(self, after: int, *, is_lost: bool = False) -> None:
        self.processed = NOTHING if is_lost else after  # everything up to here is done
        self.received = after  # everything up to here has been received: a repeat
        self._work: deque[_Entry] = deque()
        self._by_seq: dict[int, _Entry] = {}
        self._gaps: dict[int, _Entry] = {}

    def __len__(self) -> int:
        """How many events wait; gaps are not the gateway's to be counted against it."""
        return len(self._by_seq)

    def receive(self, seq: int, holders: tuple[int, ...], size_bytes: int) -> None:
        """Take in an event above ``received``; ``holders`` are the iterators that must process it, maybe none."""
        assert seq > self.received, "invariant 3: sequences rise"
        entry = _Entry(seq, set(holders), size_bytes)
        self.received = seq
        self._work.append(entry)
        self._by_seq[seq] = entry

    def reach(self, seq: int) -> None:
        """Nothing is due up to ``seq``: once all before is processed, the position may stand there."""
        if seq > self.received:
            self.receive(seq, (), 0)

    def open_gap(self, number: int) -> None:
        """A gap was told: no position beyond it until ``close_gap``, so that a crash in between tells it again."""
        entry = _Entry(self.received, {-1}, 0)
        self._work.append(entry)
        self._gaps[number] = entry

    def close_gap(self, number: int) -> None:
        """The program has dealt with the gap. An unknown number changes nothing."""
        entry = self._gaps.pop(number, None)
        if entry is not None:
            entry.holders.clear()

    def process(self, seq: int, holder: int) -> None:
        """An iterator is done with an event. Saying so again changes nothing."""
        entry = self._by_seq.get(seq)
        if entry is not None:
            entry.holders.discard(holder)

    def release(self, holder: int) -> None:
        """An iterator gave up all its events: they are not due to it any more."""
        for entry in self._work:
            entry.holders.discard(holder)

    def settle(self) -> tuple[int, int]:
        """Move ``processed`` as far as finished entries go. Returns how many events and bytes that were."""
        count, size_bytes = 0, 0
        while self._work and not self._work[0].holders:
            entry = self._work.popleft()
            self._by_seq.pop(entry.seq, None)
            self.processed = max(self.processed, entry.seq)
            count += 1
            size_bytes += entry.size_bytes
        return count, size_bytes

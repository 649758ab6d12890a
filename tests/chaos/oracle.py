"""What the stream held, and when: its eras, what was stored in each, what was taken out of it.

An era ends when the stream is recreated or an older copy of the stores is put back. Each event has a number of its own,
so that it is known whatever sequence it has; a sequence means something within one era only. The time is monotonic
seconds, the same clock for all processes of the machine.
"""

from collections.abc import Mapping

import msgspec


class Stored(msgspec.Struct, frozen=True, gc=False):
    """One event in the stream."""

    number: int
    seq: int
    subject: str


class Gone(msgspec.Struct, frozen=True):
    """Sequences taken out of the stream, or perhaps taken out: ``first`` to ``last``."""

    first: int
    last: int
    at_s: float
    how: str


class Era:
    """One life of the stream."""

    def __init__(self, number: int, how: str, begun_s: float, held: Mapping[int, Stored], gone: list[Gone]) -> None:
        self.number = number
        self.how = how
        self.begun_s = begun_s
        self.ended_s = float("inf")
        self.held = dict(held)
        """Every event that this era ever had, by sequence; those taken out too."""
        self.gone = list(gone)
        self.read_to = max(held, default=0)
        """Sequence up to which the stream itself was read."""

    @property
    def last_seq(self) -> int:
        """The newest sequence known."""
        return max(self.held, default=0)

    def is_gone(self, seq: int) -> bool:
        """Whether this sequence may have been taken out."""
        return any(gone.first <= seq <= gone.last for gone in self.gone)

    def lost_between(self, after: int, before: int) -> bool:
        """Whether anything strictly between may have been taken out."""
        return any(gone.first < before and gone.last > after for gone in self.gone)


class Copy(msgspec.Struct, frozen=True):
    """What a copy of the store folders holds."""

    held: dict[int, Stored]
    gone: tuple[Gone, ...]
    last_seq: int


class Oracle:
    """Knows what is stored: acknowledged to the publisher, or found when the stream was read."""

    def __init__(self, now_s: float) -> None:
        self.offered: dict[int, str] = {}
        """Every number handed to the publisher, with its subject: those not acknowledged are perhaps stored."""
        self.acked_s: dict[int, float] = {}
        """When each number was acknowledged."""
        self.lost_in_nats: list[Stored] = []
        """Acknowledged, not taken out, and not in the stream when it was read: none of the gateway's doing."""
        self.eras = [Era(0, "created", now_s, {}, [])]

    @property
    def era(self) -> Era:
        """The present one."""
        return self.eras[-1]

    @property
    def boundaries_s(self) -> list[float]:
        """When eras began, the first left out."""
        return [era.begun_s for era in self.eras[1:]]

    def era_at(self, at_s: float) -> Era:
        """The era of a moment."""
        return next(era for era in reversed(self.eras) if era.begun_s <= at_s or era.number == 0)

    def offer(self, number: int, subject: str) -> None:
        """An event is handed to the publisher."""
        self.offered[number] = subject

    def acknowledge(self, number: int, seq: int, now_s: float) -> None:
        """It is stored."""
        self.acked_s[number] = now_s
        self.era.held[seq] = Stored(number, seq, self.offered[number])

    def take_out(self, first: int, last: int, now_s: float, how: str) -> None:
        """These sequences are deleted or purged, or will be in a moment."""
        if first <= last:
            self.era.gone.append(Gone(first, last, now_s, how))

    def read(self, found: Mapping[int, Stored], first_seq: int, last_seq: int, now_s: float) -> None:
        """The stream was read by itself from ``first_seq`` to its end at ``last_seq``."""
        era = self.era
        for seq in range(first_seq, last_seq + 1):
            event, known = found.get(seq), era.held.get(seq)
            if event is not None:
                if known is not None and known != event:
                    self.lost_in_nats.append(known)
                era.held[seq] = event
            elif not era.is_gone(seq):
                if known is not None:
                    self.lost_in_nats.append(known)
                    del era.held[seq]
                era.gone.append(Gone(seq, seq, now_s, "hole of NATS"))
        for seq in [seq for seq in era.held if seq > last_seq]:
            self.lost_in_nats.append(era.held.pop(seq))
        era.read_to = last_seq

    def copy(self, last_seq: int) -> Copy:
        """The store folders are copied now, after the stream was read."""
        return Copy(dict(self.era.held), tuple(self.era.gone), last_seq)

    def begin(self, how: str, now_s: float, copy: Copy | None = None) -> None:
        """Another era: from nothing, or from a copy."""
        self.era.ended_s = now_s
        held: Mapping[int, Stored] = copy.held if copy is not None else {}
        gone = list(copy.gone) if copy is not None else []
        self.eras.append(Era(len(self.eras), how, now_s, held, gone))

    def last_era_of(self) -> dict[int, tuple[Era, Stored]]:
        """Each stored number with the last era that held it."""
        return {event.number: (era, event) for era in self.eras for event in era.held.values()}

"""Pure: where a session begins when its client connects, and what is already known to be lost (P4.3, P4.8).

Three voices may speak: the stored record, the client's ``resume``, and the client's ``subscribe``. The cursor is the
newest of what the client acknowledged; a client that says less than the record wants more replayed, one that says
more had its ack lost. A position of another stream, or beyond the end of this one, means nothing: everything that
this stream holds is replayed.
"""

from collections.abc import Sequence

import msgspec

from mesh.contiguity import Hole
from replay.interest import Interest
from replay.position import Position
from replay.record import Record

STREAM_REPLACED = "stream_replaced"
"""Reason of a gap: positions were of another stream, or the stream lost its newest events."""


class Opening(msgspec.Struct, frozen=True):
    """Where a session begins."""

    outcome: str
    """``fresh``, ``resumed`` or ``gap``."""
    acked: int
    position: int
    """Replay starts after it."""
    interest: Interest
    gap: Hole | None = None
    """What is known to be lost before replay begins."""


def claims_beyond(record: Record | None, resume: Position | None, identity: str, head: int) -> bool:
    """Whether a position lies beyond ``head``, so that the leader must be asked where the stream ends."""
    said = [position.seq for position in (resume,) if position is not None and position.stream == identity]
    kept = [_newest(record)] if record is not None and record.stream == identity else []
    return max(said + kept, default=0) > head


def open_session(
    record: Record | None,
    resume: Position | None,
    wanted: Sequence[str] | None,
    identity: str,
    last_seq: int,
    *,
    unreadable: bool = False,
) -> Opening:
    """Decide. ``wanted`` is the client's list of permitted patterns, None to keep what the session has.

    ``last_seq`` is the newest sequence known: new patterns and new sessions start after it. ``unreadable`` says that
    there was a record which cannot be read: without a ``resume`` nobody knows what the session missed, and it is told
    so.
    """
    if record is None and resume is None:
        if unreadable:
            gap = Hole(0, last_seq + 1, "deleted")
            return Opening("gap", last_seq, last_seq, _hold({}, wanted, last_seq), gap)
        return Opening("fresh", last_seq, last_seq, _hold({}, wanted, last_seq))
    replaced = _is_replaced(record, resume, identity, last_seq)
    if replaced:
        held = dict.fromkeys(record.patterns if record is not None else (), 0)
        interest = Interest(dict.fromkeys(wanted if wanted is not None else held, 0))
        return Opening("gap", 0, 0, interest, Hole(0, 1, STREAM_REPLACED))
    if record is None or record.stream != identity:
        assert resume is not None, "a record of this stream or a resume is left"
        start = resume.seq
        kept = dict.fromkeys(record.patterns if record is not None else (), start)
        return Opening("resumed", start, start, _hold(kept, wanted, start))
    return _resumed(record, resume, _hold(record.patterns, wanted, last_seq))


def _resumed(record: Record, resume: Position | None, interest: Interest) -> Opening:
    """A session that this stream's record knows."""
    opening, untold = _start(record, resume, interest), record.untold
    if untold is None or opening.position <= min(untold.after, untold.before - 2):
        return opening  # replay goes there again and finds all that is lost
    if resume is not None and resume.seq >= untold.before - 1 > 0:
        return opening  # its client has processed something behind the gap
    return msgspec.structs.replace(opening, outcome="gap", gap=untold)


def _start(record: Record, resume: Position | None, interest: Interest) -> Opening:
    if resume is None or record.acked <= resume.seq <= record.through:
        return Opening("resumed", record.acked, record.through, interest)
    if resume.seq < record.acked:
        return Opening("resumed", resume.seq, resume.seq, interest)
    return Opening("resumed", resume.seq, max(resume.seq, record.through), interest)


def lose_expired(opening: Opening, first_seq: int, last_seq: int) -> Opening:
    """The same opening after the stream's first sequence is known: what lies before it may be lost.

    Only where a pattern held then: a session whose patterns all begin later has lost nothing.
    """
    start = opening.interest.start_after(opening.position, last_seq)
    if opening.outcome == "fresh" or first_seq <= start + 1:
        return opening
    gap = Hole(start, first_seq, "expired").joined_to(opening.gap)
    return Opening("gap", opening.acked, max(opening.position, first_seq - 1), opening.interest, gap)


def _is_replaced(record: Record | None, resume: Position | None, identity: str, last_seq: int) -> bool:
    """Whether what is remembered belongs to another stream, or to events that this one has lost."""
    if record is not None and record.stream == identity and _newest(record) > last_seq:
        return True
    if resume is not None:
        return resume.stream != identity or resume.seq > last_seq
    return record is not None and record.stream != identity


def _newest(record: Record) -> int:
    """The newest sequence that a record knows of: a pattern may have been added beyond what is processed."""
    return max([record.through, *record.patterns.values()])


def _hold(held: dict[str, int], wanted: Sequence[str] | None, start: int) -> Interest:
    if wanted is None:
        return Interest(held)
    return Interest({pattern: held.get(pattern, start) for pattern in wanted})

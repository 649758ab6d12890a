"""Where a session begins, for any record, ``resume`` and list of patterns: nothing is passed in silence.

The tables of ``test_opening.py`` say case by case what comes out. Here is what must hold whatever comes in, with
every sequence looked at on its own: it is replayed, or was processed, or a gap names it, or was never owed.
"""

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.contiguity import Hole
from replay.interest import Interest
from replay.opening import STREAM_REPLACED, Opening, claims_beyond, lose_expired, open_session
from replay.position import Position
from replay.record import Owner, Record, decode_record, encode_record
from tests.examples import examples

HERE, ELSEWHERE = "EVENTS:2", "EVENTS:1"
LAST = 10
PATTERNS = ["a", "b", "c.>"]
OWNER = Owner("issuer", "c42", "pixel")

seqs = st.integers(0, LAST + 1)
streams = st.sampled_from([HERE, HERE, HERE, ELSEWHERE])
holes = st.builds(lambda after, length: Hole(after, after + length, "expired"), seqs, st.integers(1, 4))
records = st.builds(
    lambda stream, acked, more, patterns, length: Record(
        stream,
        acked,
        acked + more,
        patterns,
        OWNER,
        "claim",
        untold=Hole(acked, acked + length, "expired") if length else None,
    ),
    streams,
    st.integers(0, LAST),
    st.just(0) | st.integers(0, 4),
    st.dictionaries(st.sampled_from(PATTERNS), seqs, max_size=3),
    st.sampled_from([None, None, 1, 2, 4, 6]),
)
resumes = st.none() | st.builds(Position, streams, seqs)
EMPTY = Record(HERE, 0, 0, {}, OWNER, "claim")


class Return(msgspec.Struct, frozen=True):
    """A client comes (back): what is stored, what it says, and how the stream stands."""

    record: Record | None
    resume: Position | None
    wanted: list[str] | None
    first_seq: int
    grown: int
    """How many events come between this connect and the next."""

    @property
    def known(self) -> Record | None:
        """The record, if it is of this stream."""
        return self.record if self.record is not None and self.record.stream == HERE else None


returns = st.builds(
    Return,
    st.none() | records,
    resumes,
    st.none() | st.lists(st.sampled_from(PATTERNS), max_size=3, unique=True),
    st.integers(1, LAST + 1),
    st.integers(0, 3),
)


def is_replaced(came: Return) -> bool:
    """P4.10: a position means nothing when it is of another stream or beyond the end; the client's word comes first."""
    said, kept = [came.resume] if came.resume is not None else [], []
    if came.record is not None:
        sequences = [came.record.through, *came.record.patterns.values()]
        kept = [Position(came.record.stream, seq) for seq in sequences]
    if any(position.stream == HERE and position.seq > LAST for position in said + kept):
        return True
    return any(position.stream != HERE for position in said or kept)


def owed_since(came: Return) -> dict[str, int]:
    """P4.8 and P4.10: the patterns that the session holds now, each with the sequence after which it holds."""
    known, new = dict(came.record.patterns) if came.record is not None else {}, LAST
    if is_replaced(came):
        known, new = dict.fromkeys(known, 0), 0
    elif came.known is None and came.resume is not None:
        known, new = dict.fromkeys(known, came.resume.seq), came.resume.seq
    return known if came.wanted is None else {pattern: known.get(pattern, new) for pattern in came.wanted}


def is_processed(came: Return, seq: int) -> bool:
    """Whether somebody who knows has said that nothing due is left to do at ``seq``: the client, or the record.

    The record's promise ends where the client says that it lost what it had.
    """
    known, resume = came.known, came.resume
    if is_replaced(came):
        return False
    if resume is not None:
        return seq <= resume.seq or (known is not None and known.acked <= resume.seq and seq <= known.through)
    return known is not None and seq <= known.through


def names(gap: Hole | None, seq: int) -> bool:
    return gap is not None and gap.after < seq < gap.before


@examples(350)
@given(came=returns, unreadable=st.booleans())
@example(came=Return(EMPTY, None, ["a"], LAST + 1, 0), unreadable=False)
def test_a_session_begins_where_nothing_is_passed_in_silence(came: Return, *, unreadable: bool) -> None:
    """P4.3, P4.8, P4.10."""
    unreadable = unreadable and came.record is None
    decided = open_session(came.record, came.resume, came.wanted, HERE, LAST, unreadable=unreadable)
    opening = lose_expired(decided, came.first_seq, LAST)
    assert decided.interest.since == opening.interest.since == owed_since(came)
    assert (decided.gap is not None, opening.gap is not None) == (decided.outcome == "gap", opening.outcome == "gap")
    assert opening.acked <= opening.position
    every_sequence_has_its_place(came, opening)
    what_is_gone_is_a_gap_and_nothing_else(came.first_seq, decided, opening)
    if came.record is None and came.resume is None:
        assert opening.acked == opening.position == LAST
        assert decided.outcome == ("gap" if unreadable else "fresh")
        assert all(names(decided.gap, seq) is unreadable for seq in range(1, LAST + 1))
    else:
        the_cursor_is_what_somebody_said(came, decided)


def every_sequence_has_its_place(came: Return, opening: Opening) -> None:
    """Invariant 1: what was owed is replayed, or was processed, or is named by the gap."""
    for seq in range(1, LAST + 1):
        if any(seq > since for since in opening.interest.since.values()):
            is_replayed = seq > opening.position and seq >= came.first_seq
            assert is_replayed or is_processed(came, seq) or names(opening.gap, seq), seq


def the_cursor_is_what_somebody_said(came: Return, decided: Opening) -> None:
    """Invariant 2: the cursor is no more than the client acknowledged, here or in its ``resume``."""
    known = came.known
    if is_replaced(came):
        assert (decided.acked, decided.position, decided.gap) == (0, 0, Hole(0, 1, STREAM_REPLACED))
        return
    said = [came.resume.seq] if came.resume is not None else []
    kept = [known.acked] if known is not None else []
    assert min(said + kept) <= decided.acked <= min(said, default=LAST)
    assert decided.acked in said + kept
    assert decided.position in {*said, *([known.through] if known is not None else [])}
    if came.resume is not None:
        assert decided.position >= came.resume.seq, "what the client has processed is not sent again"
        if known is None or came.resume.seq > known.through:
            assert decided.acked == came.resume.seq, "its last acknowledgement was lost: this is it"
    untold = known.untold if known is not None else None
    is_met_again = untold is not None and decided.position <= min(untold.after, untold.before - 2)
    is_read = untold is not None and came.resume is not None and came.resume.seq >= untold.before - 1 > 0
    assert decided.gap == (None if is_met_again or is_read else untold)


def what_is_gone_is_a_gap_and_nothing_else(first_seq: int, decided: Opening, opening: Opening) -> None:
    """What the stream no longer has is named as far as a pattern held there; the cursor stays."""
    since = decided.interest.since.values()
    lost = [seq for seq in range(decided.position + 1, first_seq) if any(seq > start for start in since)]
    if not lost or decided.outcome == "fresh":
        assert opening == decided
        return
    assert (opening.acked, opening.position) == (decided.acked, first_seq - 1)
    before = decided.gap or Hole(LAST, 0, "expired")
    assert opening.gap == Hole(min(lost[0] - 1, before.after), max(first_seq, before.before), before.reason)


@examples(200)
@given(came=returns)
def test_who_was_cut_before_the_welcome_is_owed_the_same_again(came: Return) -> None:
    """A claim is stored before anything is sent; a client that never heard of it comes back with the same words."""
    first = lose_expired(open_session(came.record, came.resume, came.wanted, HERE, LAST), came.first_seq, LAST)
    claim = Record(HERE, first.acked, first.position, dict(first.interest.since), OWNER, "claim", untold=first.gap)
    stored = decode_record(encode_record(claim))
    assert stored == claim
    again = open_session(stored, came.resume, came.wanted, HERE, LAST + came.grown)
    resume = came.resume
    if resume is not None and (resume.stream != HERE or resume.seq > LAST + came.grown):
        assert again.gap == Hole(0, 1, STREAM_REPLACED)
        return
    if resume is not None and resume.seq > LAST:
        return  # it was told that the stream was replaced, and its old position has come true since
    said = resume.seq if resume is not None else 0
    assert again.acked <= max(first.acked, said)
    assert again.position <= max(first.position, said)
    assert again.interest.since == first.interest.since
    for seq in range(said + 1, LAST + 1):
        if names(first.gap, seq):
            assert names(again.gap, seq) or seq > again.position, "a gap is told until it was read"


@examples(120)
@given(came=returns, head=st.integers(0, LAST))
def test_the_leader_need_not_be_asked_where_no_position_lies_beyond_the_feed(came: Return, head: int) -> None:
    """The same session opens, but for what begins at the newest event."""
    known, resume = came.known, came.resume
    seqs_here = [known.through, *known.patterns.values()] if known is not None else []
    seqs_here += [resume.seq] if resume is not None and resume.stream == HERE else []
    is_beyond = any(seq > head for seq in seqs_here)
    assert claims_beyond(came.record, resume, HERE, head) is is_beyond
    if not is_beyond and (came.record is not None or resume is not None):
        near = open_session(came.record, resume, came.wanted, HERE, head)
        far = open_session(came.record, resume, came.wanted, HERE, head + came.grown)
        assert (near.outcome, near.acked, near.position, near.gap) == (far.outcome, far.acked, far.position, far.gap)


@examples(60)
@given(holes, holes, st.booleans())
def test_joined_holes_name_what_either_names_with_the_reason_of_the_earlier(
    one: Hole,
    other: Hole,
    is_first: bool,  # noqa: FBT001
) -> None:
    earlier = msgspec.structs.replace(other, reason="deleted") if is_first else None
    joined = one.joined_to(earlier)
    named = {seq for seq in range(20) if names(one, seq) or names(earlier, seq)}
    assert {seq for seq in range(20) if names(joined, seq)} >= named
    edges = [one.after, one.before, *([earlier.after, earlier.before] if earlier is not None else [])]
    assert (joined.after, joined.before) == (min(edges), max(edges)), "and no more than what lies between"
    assert joined.reason == (earlier.reason if earlier is not None else one.reason)


@examples(60)
@given(st.dictionaries(st.sampled_from(PATTERNS), seqs), seqs, seqs)
def test_nothing_is_due_between_a_position_and_where_its_replay_starts(
    since: dict[str, int], position: int, head: int
) -> None:
    interest = Interest(since)
    start = interest.start_after(position, head)
    subjects = {"a": "a", "b": "b", "c.>": "c.x"}
    assert start >= position
    for seq in range(position + 1, start + 1):
        assert not any(interest.is_due(subject, seq) for subject in subjects.values())
    if since:
        assert start == position or any(interest.is_due(subjects[pattern], start + 1) for pattern in since)
    else:
        assert start == max(position, head)

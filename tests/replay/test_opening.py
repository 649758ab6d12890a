"""P4.3 and P4.8 case by case: where a session begins, and what is told as lost."""

from collections.abc import Sequence

import msgspec
import pytest

from mesh.contiguity import Hole
from replay.interest import Interest
from replay.opening import STREAM_REPLACED, Opening, claims_beyond, lose_expired, open_session
from replay.position import Position
from replay.record import Owner, Record

HERE = "EVENTS:2"
ELSEWHERE = "EVENTS:1"
LAST = 1_000
A, B, C = "orders.c1.>", "orders.c1.o1", "news.>"


def record(acked: int = 100, through: int = 150, stream: str = HERE, **patterns: int) -> Record:
    held = patterns or {A: 10, B: 120}
    return Record(stream, acked, through, held, Owner("issuer", "c1", "pixel"), "claim")


def holding(patterns: dict[str, int], stream: str = HERE) -> Record:
    return msgspec.structs.replace(record(stream=stream), patterns=patterns)


def opened(
    kept: Record | None, resume: Position | None, wanted: Sequence[str] | None, *, unreadable: bool = False
) -> tuple[str, int, int, dict[str, int], Hole | None]:
    opening = open_session(kept, resume, wanted, HERE, LAST, unreadable=unreadable)
    return opening.outcome, opening.acked, opening.position, opening.interest.since, opening.gap


@pytest.mark.parametrize(
    ("kept", "resume", "wanted", "expected"),
    [
        # a new session starts at the newest event
        (None, None, [A], ("fresh", LAST, LAST, {A: LAST}, None)),
        (None, None, None, ("fresh", LAST, LAST, {}, None)),
        (None, None, [], ("fresh", LAST, LAST, {}, None)),
        # the client stores nothing: what follows the cursor; what is proved processed beyond it is not read again
        (record(), None, None, ("resumed", 100, 150, {A: 10, B: 120}, None)),
        (record(), None, [], ("resumed", 100, 150, {}, None)),
        # kept patterns keep their position, new ones start at the newest event, others go
        (record(), None, [B, C], ("resumed", 100, 150, {B: 120, C: LAST}, None)),
        (record(), Position(HERE, 100), [A], ("resumed", 100, 150, {A: 10}, None)),
        # the client says what the record says, or anything that is nothing due away from it
        (record(), Position(HERE, 100), None, ("resumed", 100, 150, {A: 10, B: 120}, None)),
        (record(), Position(HERE, 149), None, ("resumed", 100, 150, {A: 10, B: 120}, None)),
        (record(), Position(HERE, 150), None, ("resumed", 100, 150, {A: 10, B: 120}, None)),
        # its ack was lost: less is replayed
        (record(), Position(HERE, 151), None, ("resumed", 151, 151, {A: 10, B: 120}, None)),
        (record(), Position(HERE, LAST), None, ("resumed", LAST, LAST, {A: 10, B: 120}, None)),
        # it lost its state: more is replayed
        (record(), Position(HERE, 99), None, ("resumed", 99, 99, {A: 10, B: 120}, None)),
        (record(), Position(HERE, 0), [A, C], ("resumed", 0, 0, {A: 10, C: LAST}, None)),
        # the gateway no longer knows the session: resume is the position of all its patterns
        (None, Position(HERE, 70), [A, B], ("resumed", 70, 70, {A: 70, B: 70}, None)),
        (None, Position(HERE, 0), [A], ("resumed", 0, 0, {A: 0}, None)),
        (None, Position(HERE, LAST), [A], ("resumed", LAST, LAST, {A: LAST}, None)),
        (None, Position(HERE, 70), None, ("resumed", 70, 70, {}, None)),
        # positions of another stream mean nothing: everything that this one holds
        (None, Position(ELSEWHERE, 70), [A], ("gap", 0, 0, {A: 0}, Hole(0, 1, STREAM_REPLACED))),
        (record(), Position(ELSEWHERE, 70), None, ("gap", 0, 0, {A: 0, B: 0}, Hole(0, 1, STREAM_REPLACED))),
        (record(stream=ELSEWHERE), None, None, ("gap", 0, 0, {A: 0, B: 0}, Hole(0, 1, STREAM_REPLACED))),
        (record(stream=ELSEWHERE), None, [C], ("gap", 0, 0, {C: 0}, Hole(0, 1, STREAM_REPLACED))),
        (
            record(stream=ELSEWHERE),
            Position(ELSEWHERE, 100),
            [A],
            ("gap", 0, 0, {A: 0}, Hole(0, 1, STREAM_REPLACED)),
        ),
        # the client has seen this stream, the record has not: as if there were no record but for its patterns
        (record(stream=ELSEWHERE), Position(HERE, 70), [A], ("resumed", 70, 70, {A: 70}, None)),
        (record(stream=ELSEWHERE), Position(HERE, 70), None, ("resumed", 70, 70, {A: 70, B: 70}, None)),
        # beyond the end: this stream has lost its newest events
        (None, Position(HERE, LAST + 1), [A], ("gap", 0, 0, {A: 0}, Hole(0, 1, STREAM_REPLACED))),
        (record(), Position(HERE, LAST + 1), None, ("gap", 0, 0, {A: 0, B: 0}, Hole(0, 1, STREAM_REPLACED))),
        (
            record(through=LAST + 1),
            Position(HERE, 100),
            None,
            ("gap", 0, 0, {A: 0, B: 0}, Hole(0, 1, STREAM_REPLACED)),
        ),
        (record(through=LAST + 1), None, [A], ("gap", 0, 0, {A: 0}, Hole(0, 1, STREAM_REPLACED))),
        (record(through=LAST), None, None, ("resumed", 100, LAST, {A: 10, B: 120}, None)),
        # a pattern was added at an event that is gone: what is there now under its sequence is another
        (holding({A: LAST}), Position(HERE, 100), None, ("resumed", 100, 150, {A: LAST}, None)),
        (holding({A: LAST + 1}), Position(HERE, 100), None, ("gap", 0, 0, {A: 0}, Hole(0, 1, STREAM_REPLACED))),
        (holding({A: LAST + 1}), None, [B], ("gap", 0, 0, {B: 0}, Hole(0, 1, STREAM_REPLACED))),
    ],
)
def test_a_session_opens_where_record_resume_and_subscribe_say(
    kept: Record | None,
    resume: Position | None,
    wanted: list[str] | None,
    expected: tuple[str, int, int, dict[str, int], Hole | None],
) -> None:
    """P2.12, P2.13, P2.31, P4.3, P4.8, P4.10."""
    assert opened(kept, resume, wanted) == expected


def test_an_unreadable_record_is_a_gap_unless_the_client_knows_better() -> None:
    lost = ("gap", LAST, LAST, {A: LAST}, Hole(0, LAST + 1, "deleted"))
    assert opened(None, None, [A], unreadable=True) == lost
    resumed = ("resumed", 70, 70, {A: 70}, None)
    assert opened(None, Position(HERE, 70), [A], unreadable=True) == resumed


def test_an_opening_has_patterns_of_its_own() -> None:
    kept = record()
    opening = open_session(kept, None, None, HERE, LAST)
    opening.interest.since[C] = 1
    assert kept.patterns == {A: 10, B: 120}


@pytest.mark.parametrize(
    ("kept", "resume", "beyond"),
    [
        (None, None, False),
        (record(), None, False),
        (record(through=LAST), Position(HERE, LAST), False),
        (record(through=LAST + 1), None, True),
        (record(), Position(HERE, LAST + 1), True),
        (None, Position(HERE, LAST + 1), True),
        (record(through=LAST + 1, stream=ELSEWHERE), Position(ELSEWHERE, LAST + 1), False),
        (holding({A: LAST}), None, False),
        (holding({A: 5, B: LAST + 1}), None, True),
        (holding({A: LAST + 1}, ELSEWHERE), None, False),
    ],
)
def test_the_leader_is_asked_about_positions_of_this_stream_beyond_its_known_end(
    kept: Record | None,
    resume: Position | None,
    beyond: bool,  # noqa: FBT001
) -> None:
    assert claims_beyond(kept, resume, HERE, LAST) is beyond


def resumed(position: int, **since: int) -> Opening:
    return Opening("resumed", min(position, 40), position, Interest(since or {A: 0}))


@pytest.mark.parametrize(("first_seq", "lost"), [(1, False), (51, False), (52, True), (LAST + 1, True)])
def test_what_expired_above_the_position_is_a_gap_and_the_rest_is_replayed(first_seq: int, lost: bool) -> None:  # noqa: FBT001
    """P2.31, P4.12."""
    opening = lose_expired(resumed(50), first_seq, LAST)
    if lost:
        assert opening == Opening("gap", 40, first_seq - 1, opening.interest, Hole(50, first_seq, "expired")), (
            "the cursor stays: the client has acknowledged no more"
        )
    else:
        assert (opening.outcome, opening.position, opening.gap) == ("resumed", 50, None)


def test_who_held_no_pattern_in_what_expired_has_lost_nothing() -> None:
    assert lose_expired(resumed(50, **{A: 300, B: 400}), 301, LAST).gap is None
    partly = lose_expired(resumed(50, **{A: 300, B: 400}), 302, LAST)
    assert (partly.outcome, partly.position, partly.gap) == ("gap", 301, Hole(300, 302, "expired"))
    empty = Opening("resumed", 50, 50, Interest())
    assert lose_expired(empty, LAST + 1, LAST) == empty


def test_a_fresh_session_has_lost_nothing() -> None:
    fresh = Opening("fresh", 0, 0, Interest({A: 0}))
    assert lose_expired(fresh, 500, LAST) == fresh


def test_a_gap_that_is_known_already_grows_and_keeps_its_reason() -> None:
    replaced = Opening("gap", 0, 0, Interest({A: 0}), Hole(0, 1, STREAM_REPLACED))
    grown = lose_expired(replaced, 11, LAST)
    assert (grown.position, grown.gap) == (10, Hole(0, 11, STREAM_REPLACED))
    assert lose_expired(replaced, 1, LAST) == replaced


@pytest.mark.parametrize(
    ("through", "resume_seq", "told"),
    [
        (60, None, True),  # the gap lies behind: nobody would find it again
        (49, None, True),
        (48, None, True),  # replay goes there again, but finds a part of it only
        (41, None, True),
        (40, None, False),  # replay finds all of it
        (60, 55, False),  # processed behind the gap: it was read
        (60, 49, False),
        (60, 48, True),  # nothing due was left up to 60, so replay begins there
    ],
)
def test_a_gap_that_nobody_acknowledged_is_told_again(through: int, resume_seq: int | None, told: bool) -> None:  # noqa: FBT001
    hole = Hole(40, 50, "expired")
    record = Record("S:1", 40, through, {"a.>": 0}, Owner("i", "s", "n"), "c", untold=hole)
    resume = Position("S:1", resume_seq) if resume_seq is not None else None
    opening = open_session(record, resume, None, "S:1", 100)
    assert (opening.outcome, opening.gap) == (("gap", hole) if told else ("resumed", None))


def test_a_replaced_stream_is_told_again_until_something_of_the_new_one_was_processed() -> None:
    hole = Hole(0, 1, "stream_replaced")
    record = Record("S:2", 0, 0, {"a.>": 0}, Owner("i", "s", "n"), "c", untold=hole)
    assert open_session(record, None, None, "S:2", 100).gap == hole

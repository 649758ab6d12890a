"""The judgement of the long run sees what it is there to see."""

from tests.chaos.judge import judge, silence
from tests.chaos.oracle import Oracle
from tests.chaos.trace import Away, Begin, Done, Line, ToldGap, Welcomed, WireGap, Wrong

MINE = "orders.t1.x"
NAME = "c0n00"


def stored(*seqs: int, era_at_s: float = 0.0) -> Oracle:
    """An oracle whose events have ten times their sequence as number, acknowledged at their sequence in seconds."""
    oracle = Oracle(era_at_s)
    add(oracle, *seqs)
    return oracle


def add(oracle: Oracle, *seqs: int, numbers_from: int = 0) -> None:
    for seq in seqs:
        number = 10 * seq + numbers_from
        oracle.offer(number, MINE)
        oracle.acknowledge(number, seq, float(seq))


def done(seq: int, at_s: float, number: int | None = None) -> Done:
    return Done(NAME, at_s, seq, 10 * seq if number is None else number, MINE)


def gap(after: int, before: int, at_s: float, reason: str = "deleted") -> list[Line]:
    return [WireGap(NAME, at_s, 1, after, before, reason), ToldGap(NAME, at_s, after, before, reason)]


BEGIN: list[Line] = [Begin(NAME, 0.0, "", 0), Welcomed(NAME, 0.1, 1, "S:1", "fresh", 0)]


def test_a_session_that_got_everything_is_clean() -> None:
    verdict = judge(NAME, [[*BEGIN, done(1, 1.1), done(2, 2.1)]], [MINE], stored(1, 2))
    assert (verdict.due, verdict.processed, verdict.lost, verdict.wrong) == (2, 2, [], [])


def test_an_event_that_never_came_is_lost() -> None:
    verdict = judge(NAME, [[*BEGIN, done(1, 1.1), done(3, 3.1)]], [MINE], stored(1, 2, 3))
    assert len(verdict.lost) == 1


def test_a_gap_names_what_was_taken_out_and_nothing_beside_it() -> None:
    oracle = stored(1, 2, 3, 4)
    oracle.take_out(2, 2, 2.5, "deleted")
    told = gap(1, 3, 2.6)
    verdict = judge(NAME, [[*BEGIN, done(1, 1.1), *told, done(3, 3.1), done(4, 4.1)]], [MINE], oracle)
    assert (verdict.by_gap, verdict.gaps.justified, verdict.lost, verdict.wrong) == (1, 1, [], [])
    verdict = judge(NAME, [[*BEGIN, done(1, 1.1), *told, done(4, 4.1)]], [MINE], oracle)
    assert len(verdict.lost) == 1


def test_a_gap_on_the_wire_alone_names_nothing() -> None:
    oracle = stored(1, 2, 3)
    oracle.take_out(2, 2, 2.5, "deleted")
    verdict = judge(NAME, [[*BEGIN, done(1, 1.1), gap(1, 3, 2.6)[0], done(3, 3.1)]], [MINE], oracle)
    assert len(verdict.lost) == 1


def test_a_gap_without_a_reason_is_seen() -> None:
    verdict = judge(NAME, [[*BEGIN, done(1, 1.1), *gap(1, 3, 2.6), done(3, 3.1)]], [MINE], stored(1, 3))
    assert (verdict.gaps.unjustified, len(verdict.wrong)) == (1, 1)
    verdict = judge(NAME, [[*BEGIN, *gap(0, 1, 0.2, "stream_replaced"), done(1, 1.1)]], [MINE], stored(1))
    assert verdict.gaps.unjustified == 1


def test_after_another_stream_everything_comes_again_and_nothing_new_is_swallowed() -> None:
    oracle = stored(1, 2, 3)
    copy = oracle.copy(1)
    copy.held.pop(2)
    copy.held.pop(3)
    oracle.begin("restored", 10.0, copy)
    add(oracle, 2, numbers_from=1_000)
    seen: list[Line] = [*BEGIN, done(1, 1.1), done(2, 2.1)]
    told = gap(0, 1, 11.0, "stream_replaced")
    verdict = judge(NAME, [[*seen, *told, done(1, 12.0), done(2, 12.1, 1_020)]], [MINE], oracle)
    assert (verdict.lost, verdict.wrong, verdict.by_gap, verdict.again) == ([], [], 1, 1)
    verdict = judge(NAME, [[*seen, *told, done(1, 12.0)]], [MINE], oracle)
    assert len(verdict.lost) == 1, "the new event at sequence 2"
    verdict = judge(NAME, [[*seen, done(2, 12.1, 1_020)]], [MINE], oracle)
    assert verdict.fell_back == 1, "sequence 3 went, and nobody told it"
    assert verdict.wrong, "a sequence of before without a gap"


def test_a_second_processing_is_seen_unless_a_crash_lost_the_position() -> None:
    oracle = stored(1, 2)
    assert judge(NAME, [[*BEGIN, done(1, 1.1), done(2, 2.1), done(2, 2.2)]], [MINE], oracle).wrong
    crash: list[Line] = [Away(NAME, 2.5, "its process ended")]
    back: list[Line] = [Begin(NAME, 3.0, "S:1", 1), Welcomed(NAME, 3.1, 1, "S:1", "resumed", 1)]
    verdict = judge(NAME, [[*BEGIN, done(1, 1.1), done(2, 2.1), *crash, *back, done(2, 3.2)]], [MINE], oracle)
    assert (verdict.wrong, verdict.again) == ([], 1)
    lines = [*BEGIN, done(1, 1.1), done(2, 2.1), *crash, *back, done(1, 3.2), done(2, 3.3)]
    assert judge(NAME, [lines], [MINE], oracle).wrong, "it had stored 1"


def test_what_no_publisher_sent_and_what_the_wire_repeated_is_seen() -> None:
    oracle = stored(1)
    assert judge(NAME, [[*BEGIN, done(1, 1.1), done(2, 2.1, 77)]], [MINE], oracle).wrong
    assert judge(NAME, [[*BEGIN, done(1, 1.1), Wrong(NAME, 1.2, 1, "1 after 1")]], [MINE], oracle).wrong


def test_a_lone_device_that_is_ended_for_good_is_seen() -> None:
    lines: list[Line] = [*BEGIN, done(1, 1.1), Away(NAME, 2.0, "TakenOver: the same session was opened elsewhere")]
    assert judge(NAME, [lines], [MINE], stored(1)).wrong


def test_two_devices_of_a_session_have_it_together() -> None:
    other: list[Line] = [Begin(NAME, 2.0, "", 0), Welcomed(NAME, 2.1, 1, "S:1", "resumed", 1), done(2, 2.2)]
    verdict = judge(NAME, [[*BEGIN, done(1, 1.1)], other], [MINE], stored(1, 2))
    assert (verdict.lost, verdict.wrong) == ([], [])


def test_silence_is_counted_while_something_is_due_the_device_is_there_and_no_fault_is_active() -> None:
    oracle = stored(1, 2, 3)
    lines = [*BEGIN, done(1, 1.5), done(2, 9.0), done(3, 9.5), Away(NAME, 10.0, "left")]
    assert silence(NAME, lines, oracle, [(0.0, 20.0)]).seconds == 7.0
    assert silence(NAME, lines, oracle, [(0.0, 4.0), (8.5, 20.0)]).seconds == 2.0
    assert silence(NAME, lines, oracle, [(8.9, 9.1)]).seconds < 0.2


def test_what_the_stream_lost_by_itself_is_no_loss_of_the_gateway() -> None:
    oracle = stored(1, 2, 3)
    events = dict(oracle.era.held)
    oracle.read({1: events[1], 3: events[3]}, 1, 3, 5.0)
    assert [event.seq for event in oracle.lost_in_nats] == [2]
    verdict = judge(NAME, [[*BEGIN, done(1, 1.1), *gap(1, 3, 6.0), done(3, 6.1)]], [MINE], oracle)
    assert (verdict.lost, verdict.wrong) == ([], [])

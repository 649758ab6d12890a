"""The position of a session: what it follows, what holds it, when it is stored and acknowledged."""

from tidewire_client.effects import Deliver, FetchToken, Open, Send, Store, TellGap, TellLive
from tidewire_client.frames import Ack, GapFrame, Live, Resume, WindowSize
from tidewire_client.position import Position

from tests.client.core_bench import A, B, Bench, event, welcome


def test_a_fresh_session_stores_its_start_before_any_event() -> None:
    """P6.3."""
    bench = Bench()
    bench.get_token()
    assert bench.open().resume is None
    bench.get(welcome(10, outcome="fresh"))
    assert bench.only(Store).position == Position(A, 10)
    bench.cut().wait_for(Open)
    assert bench.open().resume == Resume(A, 10)


def test_a_position_is_never_sent_with_another_streams_identity() -> None:
    """P2.7, P6.2."""
    bench = Bench(position=Position(A, 500))
    bench.get_token()
    assert bench.open().resume == Resume(A, 500)
    bench.get(welcome(3, B, "gap"), GapFrame(after=500, before=4, reason="stream_replaced"), event(4))
    gap = bench.only(TellGap)
    assert bench.core.position is None, "a crash now must tell the gap again"
    assert not bench.all(Store), "told first, stored when the program has dealt with it"
    bench.do(bench.core.gap_handled(gap.number, bench.now))
    assert bench.only(Store).position == Position(B, 3)
    bench.cut().wait_for(Open)
    assert bench.open().resume == Resume(B, 3)


def test_a_new_stream_without_a_gap_frame_is_told_all_the_same() -> None:
    bench = Bench(position=Position(A, 500))
    bench.get_token().open()
    bench.get(welcome(3, B, "fresh"))
    assert bench.only(TellGap).gap == GapFrame(after=500, before=4, reason="stream_replaced")
    assert bench.core.position is None, "a crash now must tell the gap again"
    bench.do(bench.core.gap_handled(1, bench.now))
    assert bench.core.position == Position(B, 3), "the next connect says where it stands on the new stream"


def test_a_session_the_gateway_forgot_and_began_at_the_newest_is_told_as_a_gap() -> None:
    bench = Bench(position=Position(A, 500))
    bench.get_token().open()
    bench.get(welcome(800, A, "fresh"))
    assert bench.only(TellGap).gap == GapFrame(after=500, before=801, reason="expired")


def test_a_replaced_stream_restarts_every_iterator() -> None:
    bench = Bench("orders.>", "stock.>")
    bench.live(event(20), event(21, "stock.a"))
    bench.cut().wait_for(Open).open()
    bench.get(welcome(0, B, "gap"), GapFrame(after=10, before=1, reason="stream_replaced"))
    bench.get(event(1), event(2, "stock.a"))
    assert [d.inboxes for d in bench.all(Deliver)] == [(1,), (2,)]


def test_a_stream_replaced_while_connected_forgets_the_position() -> None:
    """P4.10."""
    bench = Bench()
    bench.live(event(20))
    old = bench.core.epoch
    bench.get(GapFrame(after=20, before=1, reason="stream_replaced"), event(1))
    assert bench.only(Store).position is None
    assert bench.core.position is None
    assert bench.core.processed(1, old, 20, bench.now) == [], "an old ack says nothing of the new stream"
    bench.cut().wait_for(Open)
    assert bench.open().resume is None


def test_position_moves_on_every_path_also_without_an_iterator_and_without_events() -> None:
    """P2.36, P6.4."""
    bench = Bench()
    bench.live(event(20, "others.x"), after=10)
    assert bench.core.position == Position(A, 20)
    bench.get(event(25), Live(40))
    assert bench.core.position == Position(A, 20), "an event in work holds it"
    bench.process(25)
    assert bench.core.position == Position(A, 40)
    bench.wait()
    assert bench.out == [Store(Position(A, 40)), Send(Ack(40))]


def test_sequences_beyond_53_bits_stay_integers() -> None:
    """P2.6."""
    big = 2**60 + 1
    bench = Bench()
    bench.live(event(big))
    bench.process(big).cut().wait_for(Open)
    assert bench.open().resume == Resume(A, big)


def test_refusals_do_not_touch_the_position() -> None:
    """P6.4."""
    bench = Bench(position=Position(A, 500))
    bench.get_token().open()
    bench.cut(4501).wait_for(FetchToken).get_token()
    bench.do(bench.core.broken(bench.core.connection, bench.now, status=503)).wait_for(Open)
    assert bench.open().resume == Resume(A, 500)


def test_after_a_failed_resume_the_new_start_counts() -> None:
    """P6.2."""
    bench = Bench(position=Position(A, 500))
    bench.get_token().open()
    bench.get(welcome(900, A, "gap"), GapFrame(after=500, before=901, reason="expired"))
    bench.do(bench.core.gap_handled(bench.only(TellGap).number, bench.now))
    bench.get(Live(950)).cut().wait_for(Open)
    assert bench.open().resume == Resume(A, 950)


def test_a_gap_that_was_announced_and_never_came_is_asked_for_again() -> None:
    """P6.2, P6.4."""
    bench = Bench(position=Position(A, 500))
    bench.get_token().open()
    bench.get(welcome(3, B, "gap")).cut().wait_for(Open)
    assert bench.open().resume == Resume(A, 500)


def test_an_ack_of_the_old_stream_does_not_count_for_the_same_sequence_of_the_new() -> None:
    """P6.2."""
    bench = Bench()
    bench.live(event(20))
    old = bench.core.epoch
    bench.cut().wait_for(Open).open()
    bench.get(welcome(19, B, "gap"), GapFrame(after=10, before=20, reason="stream_replaced"))
    bench.do(bench.core.gap_handled(bench.only(TellGap).number, bench.now))
    bench.get(event(20))
    bench.do(bench.core.processed(1, old, 20, bench.now))
    assert bench.core.position == Position(B, 19)
    bench.process(20)
    assert bench.core.position == Position(B, 20)


def test_a_gap_does_not_block_what_follows() -> None:
    """P6.8."""
    bench = Bench()
    bench.live()
    bench.get(GapFrame(after=10, before=15, reason="deleted"), event(16))
    gap = bench.only(TellGap)
    assert bench.only(Deliver).event.seq == 16
    bench.process(16)
    assert bench.core.position == Position(A, 10), "not past a gap that the program has not dealt with"
    bench.do(bench.core.gap_handled(gap.number, bench.now))
    assert bench.out == [Store(Position(A, 16)), Send(Ack(16))]


def test_nothing_is_acknowledged_that_this_connection_has_not_brought() -> None:
    """P2.17, P6.2."""
    bench = Bench()
    bench.live(event(20), event(30))
    bench.cut().wait_for(Open).open()
    bench.process(20).process(30)
    bench.get(welcome(10))
    assert bench.do(bench.core.flush()).sent() == [Ack(10)], "where this connection began"
    bench.get(event(20))
    assert bench.do(bench.core.flush()).sent() == [Ack(20)]
    bench.get(event(30))
    assert bench.all(Deliver) == []
    assert bench.wait().sent() == [Ack(30)]


def test_acks_are_coalesced_by_time_and_by_count() -> None:
    """P2.16."""
    bench = Bench()
    bench.live(*(event(seq) for seq in range(11, 111)))
    assert bench.process(11).out == []
    assert bench.wait().sent() == [Ack(11)]
    for seq in range(12, 61):
        assert bench.process(seq).out == []
    assert bench.process(61).sent() == [Ack(61)]


def test_a_small_window_is_acknowledged_at_half() -> None:
    """P2.16."""
    bench = Bench()
    bench.get_token().open()
    bench.get(welcome(10, window={"messages": 4, "bytes": 1000}), event(11), event(12))
    assert bench.process(11).out == []
    assert bench.process(12).sent() == [Ack(12)]


def test_the_lowest_unprocessed_event_of_all_iterators_holds_the_position() -> None:
    bench = Bench("orders.>", "*.c42")
    bench.live(event(20), event(21))
    assert all(deliver.inboxes == (1, 2) for deliver in bench.all(Deliver))
    bench.process(20, 1).process(21, 1).process(21, 2)
    assert bench.core.position == Position(A, 10)
    bench.process(20, 2)
    assert bench.core.position == Position(A, 21)


def test_more_than_two_windows_of_unprocessed_events_are_a_bug_of_the_gateway() -> None:
    bench = Bench(window=WindowSize(3, 1000))
    bench.live(*(event(seq) for seq in range(11, 17)))
    assert len(bench.all(Deliver)) == 6
    assert bench.all(TellLive)
    bench.get(event(17))
    assert bench.core.state == "waiting"


def test_without_a_connection_the_position_is_stored_and_nothing_is_sent() -> None:
    bench = Bench()
    bench.live(event(20))
    bench.process(20).cut(1011)
    assert bench.wait().out == [Store(Position(A, 20))]
    assert bench.core.state == "waiting"


def test_half_a_window_of_bytes_is_acknowledged_at_once() -> None:
    bench = Bench()
    bench.get_token().open()
    bench.get(welcome(10, window={"messages": 1000, "bytes": 4}), event(11), event(12))
    assert bench.process(11).out == []
    assert bench.process(12).sent() == [Ack(12)]

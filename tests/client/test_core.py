"""The session core: the bugs of resume seen in other clients, one test each."""

from tidewire_client.backoff import Backoff
from tidewire_client.effects import (
    Deliver,
    Deny,
    Drop,
    FetchToken,
    Open,
    Probe,
    Send,
    Stop,
    Store,
    TellError,
    TellGap,
    TellLive,
)
from tidewire_client.frames import (
    Ack,
    Error,
    ErrorBody,
    Expiring,
    GapFrame,
    Goodbye,
    Live,
    Ping,
    Pong,
    Refresh,
    Reply,
    ReplyData,
    Resume,
    Subscribe,
    Unsubscribe,
    WindowSize,
)
from tidewire_client.position import Position

from tests.client.core_bench import UNIX_S, A, B, Bench, event, welcome
from tests.client.fixed_random import FixedRandom


def test_a_fresh_session_stores_its_start_before_any_event() -> None:
    bench = Bench()
    bench.get_token()
    assert bench.open().resume is None
    bench.get(welcome(10, outcome="fresh"))
    assert bench.only(Store).position == Position(A, 10)
    bench.cut().wait_for(Open)
    assert bench.open().resume == Resume(A, 10)


def test_a_position_is_never_sent_with_another_streams_identity() -> None:
    bench = Bench(position=Position(A, 500))
    bench.get_token()
    assert bench.open().resume == Resume(A, 500)
    bench.get(welcome(3, B, "gap"), GapFrame(after=500, before=4, reason="stream_replaced"), event(4))
    gap = bench.only(TellGap)
    assert bench.core.position == Position(B, 3)
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
    bench = Bench()
    bench.live(event(20))
    old = bench.core.epoch
    bench.get(GapFrame(after=20, before=1, reason="stream_replaced"), event(1))
    assert bench.only(Store).position is None
    assert bench.core.position is None
    assert bench.core.processed(1, old, 20, bench.now) == [], "an old ack says nothing of the new stream"
    bench.cut().wait_for(Open)
    assert bench.open().resume is None


def test_an_iterator_that_begins_in_a_loop_body_does_not_get_the_event_again() -> None:
    bench = Bench()
    bench.live(event(20))
    bench.do(bench.core.subscribe(2, ("orders.>",), bench.now))
    assert bench.out == [], "the gateway knows the pattern already"
    bench.get(event(20), event(21))
    assert [(d.event.seq, d.inboxes) for d in bench.all(Deliver)] == [(21, (1, 2))]


def test_frames_of_an_older_connection_are_ignored() -> None:
    bench = Bench()
    bench.live(event(20))
    old = bench.core.connection
    bench.cut().wait_for(Open)
    bench.open()
    assert bench.core.received(old, [event(30), Live(30)], bench.now, UNIX_S) == []
    assert bench.core.broken(old, bench.now, code=4509) == []
    assert bench.core.opened(old, bench.now) == []
    assert bench.core.state == "connecting"


def test_position_moves_on_every_path_also_without_an_iterator_and_without_events() -> None:
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
    big = 2**60 + 1
    bench = Bench()
    bench.live(event(big))
    bench.process(big).cut().wait_for(Open)
    assert bench.open().resume == Resume(A, big)


def test_refusals_do_not_touch_the_position() -> None:
    bench = Bench(position=Position(A, 500))
    bench.get_token().open()
    bench.cut(4501).wait_for(FetchToken).get_token()
    bench.do(bench.core.broken(bench.core.connection, bench.now, status=503)).wait_for(Open)
    assert bench.open().resume == Resume(A, 500)


def test_after_a_failed_resume_the_new_start_counts() -> None:
    bench = Bench(position=Position(A, 500))
    bench.get_token().open()
    bench.get(welcome(900, A, "gap"), GapFrame(after=500, before=901, reason="expired"))
    bench.do(bench.core.gap_handled(bench.only(TellGap).number, bench.now))
    bench.get(Live(950)).cut().wait_for(Open)
    assert bench.open().resume == Resume(A, 950)


def test_a_gap_that_was_announced_and_never_came_is_asked_for_again() -> None:
    bench = Bench(position=Position(A, 500))
    bench.get_token().open()
    bench.get(welcome(3, B, "gap")).cut().wait_for(Open)
    assert bench.open().resume == Resume(A, 500)


def test_one_loss_makes_one_reconnect_whatever_else_is_told_about_it() -> None:
    bench = Bench()
    bench.live()
    bench.get(Goodbye(code=4001, after=1000))
    due = bench.core.due
    bench.cut(4001)
    assert bench.out == []
    assert bench.core.due == due
    bench.wait()
    assert bench.all(Open) == [Open(2)]
    assert bench.later(3.0).all(Open) == []


def test_a_token_fetched_for_an_older_connection_changes_nothing() -> None:
    bench = Bench()
    bench.live()
    number = bench.get(Expiring(60)).only(FetchToken).number
    bench.cut()
    assert bench.core.token_fetched(number, "late", "u", bench.now) == []
    assert bench.core.token_failed(number, bench.now, final=True) == []
    assert bench.core.state == "waiting"


def test_a_late_token_neither_opens_a_second_socket_nor_is_used() -> None:
    bench = Bench()
    bench.live()
    late = bench.get(Expiring(60)).only(FetchToken).number
    number = bench.cut(4004).wait_for(FetchToken).only(FetchToken).number
    assert bench.core.token_fetched(late, "late", "u", bench.now) == []
    assert bench.do(bench.core.token_fetched(number, "t2", "u", bench.now)).all(Open) == [Open(2)]
    assert bench.core.token_fetched(number, "t2", "u", bench.now) == []
    assert bench.open().token == "t2"


def test_an_ack_of_the_old_stream_does_not_count_for_the_same_sequence_of_the_new() -> None:
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


def test_a_pattern_added_while_the_token_is_fetched_is_in_the_first_frame() -> None:
    bench = Bench("orders.>")
    fetch = bench.out
    assert bench.do(bench.core.subscribe(2, ("stock.>",), bench.now)).out == []
    bench.out = fetch
    bench.get_token()
    assert bench.open().subscribe == ("orders.>", "stock.>")


def test_a_pattern_added_or_given_up_before_the_welcome_is_told_after_it() -> None:
    bench = Bench("orders.>")
    bench.get_token().open()
    assert bench.do(bench.core.subscribe(2, ("stock.>",), bench.now)).out == []
    assert bench.do(bench.core.unsubscribe(1, bench.now)).out == []
    bench.get(welcome())
    assert bench.sent() == [Subscribe("1", ("stock.>",)), Unsubscribe("2", ("orders.>",))]


def test_a_fixed_token_that_was_refused_or_ended_stops_the_client() -> None:
    for code in (4501, 4004):
        bench = Bench(renewable=False)
        bench.live()
        assert bench.cut(code).only(Stop) == Stop("unauthorized", code)
        assert bench.core.due == float("inf")


def test_a_refused_token_is_replaced_once_then_the_client_stops() -> None:  # P6.7
    bench = Bench()
    bench.get_token().open()
    bench.cut(4501).wait_for(FetchToken).get_token("t2")
    assert bench.open().token == "t2"
    assert bench.cut(4501).only(Stop) == Stop("unauthorized", 4501)


def test_a_refusal_after_opening_waits_longer_and_longer() -> None:
    bench = Bench(draw=0.5)
    bench.get_token().open()
    waits = []
    for _ in range(9):
        bench.cut(4006)
        waits.append(bench.core.due - bench.now)
        bench.wait_for(Open).open()
    assert [round(wait, 3) for wait in waits] == [0.75, 1.0, 1.5, 2.5, 4.5, 8.5, 10.5, 10.5, 10.5]


def test_live_for_less_than_ten_seconds_does_not_reset_the_backoff() -> None:
    bench = Bench(draw=0.5)
    bench.live()
    waits = []
    for _ in range(4):
        bench.cut()
        waits.append(bench.core.due - bench.now)
        bench.wait_for(Open).open()
        bench.get(welcome(), Live(10)).later(9.9)
    assert [round(wait, 3) for wait in waits] == [0.125, 1.0, 1.5, 2.5]
    bench.later(0.2).cut()
    assert round(bench.core.due - bench.now, 3) == 0.125, "after 10 s of live it is at once again"


def test_the_first_retry_is_spread_too() -> None:
    waits = []
    for draw in (0.0, 0.25, 0.99):
        bench = Bench(draw=draw)
        bench.live().cut()
        waits.append(round(bench.core.due - bench.now, 3))
    assert waits == [0.0, 0.062, 0.248]


def test_a_timer_that_was_slept_through_asks_before_it_judges() -> None:
    bench = Bench()
    bench.live()
    bench.later(3600)
    assert bench.all(Probe)
    assert bench.core.state == "live"
    bench.get(Ping())
    bench.later(25)
    assert bench.core.state == "live"


def test_a_silent_link_is_asked_then_left_and_reconnected() -> None:
    bench = Bench()
    bench.live()
    bench.later(0.25)
    bench.get(Ping())
    assert bench.sent() == [Pong()]
    assert bench.later(30.0).all(Probe)
    bench.later(5.0)
    assert bench.core.state == "waiting"
    assert bench.only(Drop).code == 1000
    bench.wait_for(Open)


def test_a_pong_keeps_a_quiet_link() -> None:
    bench = Bench()
    bench.live()
    assert bench.later(30.0).all(Probe)
    bench.do(bench.core.heard(1, bench.now)).later(20.0)
    assert bench.core.state == "live"


def test_the_watch_over_a_link_ends_with_it() -> None:
    bench = Bench()
    bench.live().cut().wait_for(Open).open()
    bench.get(welcome(), Live(10))
    second = bench.now
    bench.later(29.0)
    assert bench.core.state == "live"
    assert bench.now - second == 29.0


def test_steps_of_connecting_do_not_hang() -> None:
    bench = Bench()
    assert bench.later(16).all(Drop), "the token did not come"
    bench.wait_for(FetchToken).get_token()
    assert bench.later(16).all(Drop), "the socket did not open"
    bench.wait_for(Open).open()
    assert bench.later(16).all(Drop), "the welcome did not come"


def test_patterns_are_announced_once_however_often_live_is_told() -> None:
    bench = Bench()
    bench.live()
    bench.get(event(20, replay=True), Live(20))
    assert [tell.seq for tell in bench.all(TellLive)] == [20]
    assert bench.sent() == []


def test_a_gap_does_not_block_what_follows() -> None:
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
    bench = Bench()
    bench.live(*(event(seq) for seq in range(11, 111)))
    assert bench.process(11).out == []
    assert bench.wait().sent() == [Ack(11)]
    for seq in range(12, 61):
        assert bench.process(seq).out == []
    assert bench.process(61).sent() == [Ack(61)]


def test_a_small_window_is_acknowledged_at_half() -> None:
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


def test_giving_an_iterator_up_lets_its_events_go_and_ends_only_its_own_patterns() -> None:
    bench = Bench("orders.>", "orders.>", "stock.>")
    bench.live(event(20), event(21, "stock.a"))
    bench.process(20, 1)
    bench.do(bench.core.unsubscribe(2, bench.now))
    assert bench.sent() == []
    assert bench.core.position == Position(A, 20)
    bench.do(bench.core.unsubscribe(3, bench.now))
    assert bench.sent() == [Unsubscribe("1", ("stock.>",))]
    assert bench.core.position == Position(A, 21)


def test_a_client_without_patterns_does_not_reconnect_until_it_has_one() -> None:
    bench = Bench()
    bench.live()
    bench.do(bench.core.unsubscribe(1, bench.now))
    bench.cut().later(60.0)
    assert bench.all(Open) == []
    assert bench.do(bench.core.subscribe(2, ("stock.>",), bench.now)).all(Open)


def test_refused_patterns_end_their_iterators_alone() -> None:
    bench = Bench("orders.>", "stock.>")
    bench.get_token().open()
    bench.get(welcome(denied=["stock.>"]))
    assert bench.only(Deny) == Deny((2,), ("stock.>",), "forbidden")
    assert bench.sent() == []
    bench.do(bench.core.subscribe(3, ("others.>",), bench.now))
    bench.get(Reply(id="1", error=ErrorBody(code="limit")))
    assert bench.only(Deny) == Deny((3,), ("others.>",), "limit")
    bench.do(bench.core.subscribe(4, ("more.>",), bench.now))
    bench.get(Reply(id="3", data=ReplyData(seq=12)))
    assert bench.out == []


def test_an_expiring_token_is_renewed_on_the_connection() -> None:
    bench = Bench()
    bench.live()
    number = bench.get(Expiring(60)).only(FetchToken).number
    assert bench.get(Expiring(50)).out == [], "asked once"
    bench.do(bench.core.token_failed(number, bench.now, final=False))
    number = bench.wait_for(FetchToken).only(FetchToken).number
    bench.do(bench.core.token_fetched(number, "t2", "u", bench.now))
    assert bench.sent() == [Refresh("1", "t2")]
    bench.cut().wait_for(Open)
    assert bench.open().token == "t2"


def test_a_token_is_renewed_before_its_end_by_the_clock() -> None:
    bench = Bench()
    bench.get_token().open()
    bench.get(welcome(expires=UNIX_S + 40), Live(10))
    bench.later(9.0)
    assert bench.all(FetchToken) == []
    assert bench.later(1.5).all(FetchToken)


def test_a_wrong_clock_does_not_ask_for_tokens_in_a_loop() -> None:
    bench = Bench()
    bench.get_token().open()
    bench.get(welcome(expires=UNIX_S - 3600))
    for _ in range(3):
        assert bench.later(5.0).all(FetchToken) == []


def test_a_token_that_ended_is_replaced_and_the_session_resumed() -> None:  # P6.7
    bench = Bench()
    bench.live().cut(4004)
    bench.wait_for(FetchToken).get_token("t2")
    connect = bench.open()
    assert (connect.token, connect.resume) == ("t2", Resume(A, 10))


def test_a_token_of_another_user_stops_the_client() -> None:
    bench = Bench()
    bench.live()
    number = bench.get(Expiring(60)).only(FetchToken).number
    assert bench.do(bench.core.token_fetched(number, "t2", "other", bench.now)).only(Stop).kind == "user_changed"


def test_codes_that_must_not_come_back_stop_the_client() -> None:  # P3.1
    kinds = {4503: "forbidden", 4509: "taken_over", 4510: "revoked", 4777: "refused"}
    for code, kind in kinds.items():
        bench = Bench()
        bench.live(event(20))
        bench.process(20).cut(code)
        assert bench.only(Stop) == Stop(kind, code)  # type: ignore[arg-type]
        assert bench.all(Store) == [Store(Position(A, 20))]
        assert (bench.core.state, bench.core.due) == ("closed", float("inf"))
        assert bench.core.subscribe(9, ("x",), bench.now) == []


def test_a_bug_is_retried_once_then_the_client_stops() -> None:  # P3.2, 4400 and 4413
    bench = Bench()
    bench.live().cut(4413)
    assert bench.core.state == "waiting"
    bench.wait_for(Open).open()
    assert bench.do(bench.core.misread(2, bench.now)).only(Stop) == Stop("protocol", None)


def test_a_first_frame_that_is_no_welcome_is_a_bug() -> None:
    bench = Bench()
    bench.get_token().open()
    bench.get(event(20))
    assert bench.all(Deliver) == []
    assert bench.core.state == "waiting"


def test_the_gateways_wish_to_wait_is_obeyed() -> None:
    bench = Bench(draw=0.5)
    bench.live(event(20))
    bench.process(20).get(Goodbye(code=4001, reason="draining", after=7000))
    assert bench.sent() == [Ack(20)], "what is processed is said before leaving"
    assert round(bench.core.due - bench.now, 3) == 7.125
    bench.wait_for(Open).open()
    bench.get(Error(code="rate_limited", retry=True, after=3000))
    assert bench.only(TellError).error.code == "rate_limited"
    bench.cut(4429)
    assert round(bench.core.due - bench.now, 3) == 3.125


def test_an_error_frame_alone_changes_nothing() -> None:
    bench = Bench()
    bench.live().get(Error(code="unknown_type"))
    assert bench.core.state == "live"


def test_more_than_two_windows_of_unprocessed_events_are_a_bug_of_the_gateway() -> None:
    bench = Bench(window=WindowSize(3, 1000))
    bench.live(*(event(seq) for seq in range(11, 17)))
    assert len(bench.all(Deliver)) == 6
    assert bench.all(TellLive)
    bench.get(event(17))
    assert bench.core.state == "waiting"


def test_closing_stores_and_acknowledges_and_nothing_follows() -> None:
    bench = Bench()
    bench.live(event(20))
    bench.process(20).do(bench.core.close())
    assert bench.all(Store) == [Store(Position(A, 20))]
    assert bench.sent() == [Ack(20)]
    assert bench.core.due == float("inf")
    assert bench.core.close() == []
    assert bench.core.tick(bench.now + 100) == []


def test_backoff_stays_under_its_cap_with_jitter_at_it() -> None:
    backoff = Backoff()
    at_cap = {backoff.delay_s(1000, FixedRandom(draw)) for draw in (0.0, 0.1, 0.5, 0.9)}
    assert len(at_cap) == 4
    assert max(at_cap) <= 20.0
    assert backoff.delay_s(30, FixedRandom(0.999)) == 20.0
    assert backoff.told_delay_s(-5, FixedRandom(0.0)) == 0.0

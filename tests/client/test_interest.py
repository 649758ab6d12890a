"""The patterns of a session: told once, denied alone, given up."""

from tidewire_client.effects import Deliver, Deny, Open, TellLive
from tidewire_client.frames import ErrorBody, Live, Reply, ReplyData, Subscribe, Unsubscribe
from tidewire_client.position import Position

from tests.client.core_bench import A, Bench, event, welcome


def test_an_iterator_that_begins_in_a_loop_body_does_not_get_the_event_again() -> None:
    bench = Bench()
    bench.live(event(20))
    bench.do(bench.core.subscribe(2, ("orders.>",), bench.now))
    assert bench.out == [], "the gateway knows the pattern already"
    bench.get(event(20), event(21))
    assert [(d.event.seq, d.inboxes) for d in bench.all(Deliver)] == [(21, (1, 2))]


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


def test_patterns_are_announced_once_however_often_live_is_told() -> None:
    bench = Bench()
    bench.live()
    bench.get(event(20, replay=True), Live(20))
    assert [tell.seq for tell in bench.all(TellLive)] == [20]
    assert bench.sent() == []


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


def test_events_of_a_refused_pattern_hold_the_position_no_more() -> None:
    bench = Bench("orders.>")
    bench.live()
    bench.do(bench.core.subscribe(2, ("stock.>",), bench.now))
    bench.get(event(20, "stock.a"), event(21), Reply(id="1", data=ReplyData(denied=("stock.>",))))
    assert bench.only(Deny).inboxes == (2,)
    bench.process(21)
    assert bench.core.position == Position(A, 21)

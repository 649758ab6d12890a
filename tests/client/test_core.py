"""A session's connection: its steps, its watch over the link, and its end."""

from tidewire_client.effects import Deliver, Drop, FetchToken, Open, Probe, Store
from tidewire_client.frames import Ack, Error, Expiring, Live, Ping, Pong
from tidewire_client.position import Position

from tests.client.core_bench import UNIX_S, A, Bench, event, welcome


def test_frames_of_an_older_connection_are_ignored() -> None:
    """P6.5."""
    bench = Bench()
    bench.live(event(20))
    old = bench.core.connection
    bench.cut().wait_for(Open)
    bench.open()
    assert bench.core.received(old, [event(30), Live(30)], bench.now, UNIX_S) == []
    assert bench.core.broken(old, bench.now, code=4509) == []
    assert bench.core.opened(old, bench.now) == []
    assert bench.core.state == "connecting"


def test_a_timer_that_was_slept_through_asks_before_it_judges() -> None:
    bench = Bench()
    bench.live()
    bench.later(3600)
    assert bench.all(Probe)
    assert bench.core.state == "live"
    bench.get(Ping())
    bench.later(25)
    assert bench.core.state == "live"


def test_a_link_that_was_slept_through_has_four_seconds_to_answer() -> None:
    bench = Bench()
    bench.live()
    bench.later(3600)
    assert bench.later(3.9).all(Drop) == []
    assert bench.later(0.1).only(Drop).code == 1000


def test_a_pong_changes_nothing_whenever_it_comes() -> None:
    bench = Bench()
    bench.get_token().open()
    assert bench.get(Pong()).out == []
    bench.get(welcome(), Live(10))
    assert bench.get(Pong()).out == []
    assert bench.core.state == "live"


def test_a_silent_link_is_asked_then_left_and_reconnected() -> None:
    """P2.38."""
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


def test_a_first_frame_that_is_no_welcome_is_a_bug() -> None:
    bench = Bench()
    bench.get_token().open()
    bench.get(event(20))
    assert bench.all(Deliver) == []
    assert bench.core.state == "waiting"


def test_an_error_frame_alone_changes_nothing() -> None:
    """P6.4."""
    bench = Bench()
    bench.live().get(Error(code="unknown_type"))
    assert bench.core.state == "live"


def test_no_two_requests_share_an_id() -> None:
    """P2.9."""
    bench = Bench()
    bench.live()
    sent = []
    for number, pattern in enumerate(("stock.>", "chat.*", "quotes"), 2):
        sent += bench.do(bench.core.subscribe(number, (pattern,), bench.now)).sent()
    token = bench.get(Expiring(60)).only(FetchToken).number
    sent += bench.do(bench.core.token_fetched(token, "t2", "u", bench.now)).sent()
    ids = [getattr(frame, "id", None) for frame in sent]
    assert len(ids) == len(set(ids)) == 4
    assert None not in ids


def test_closing_stores_and_acknowledges_and_nothing_follows() -> None:
    """P6.1."""
    bench = Bench()
    bench.live(event(20))
    bench.process(20).do(bench.core.close())
    assert bench.all(Store) == [Store(Position(A, 20))]
    assert bench.sent() == [Ack(20)]
    assert bench.core.due == float("inf")
    assert bench.core.close() == []
    assert bench.core.tick(bench.now + 100) == []

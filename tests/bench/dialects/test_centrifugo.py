"""Centrifugo's JSON protocol, as the load client speaks it."""

from bench.dialects.centrifugo import Centrifugo
from bench.dialects.dialect import Reader
from bench.plan import payload
from bench.websocket import client_text

LIVE = (
    b'{"id":1,"connect":{"client":"x","version":"6","ping":25,"pong":true}}\n'
    b'{"id":2,"subscribe":{"recoverable":true,"epoch":"Ag","positioned":true,"offset":4}}'
)


def made() -> Centrifugo:
    return Centrifugo(Reader(7, "orders.c7.x", "a.b.c"))


def push(n: int) -> bytes:
    return b'{"push":{"channel":"orders.c7.x","pub":{"data":%s,"offset":%d}}}' % (payload(7, n, 99), n + 5)


def test_a_client_connects_and_subscribes_in_one_message() -> None:
    assert made().hello() == client_text(
        b'{"id":1,"connect":{"token":"a.b.c"}}\n{"id":2,"subscribe":{"channel":"orders.c7.x"}}'
    )


def test_it_is_live_once_subscribed() -> None:
    dialect = made()
    dialect.take(LIVE.splitlines()[0])
    assert not dialect.is_live
    dialect.take(LIVE.splitlines()[1])
    assert dialect.is_live


def test_events_are_seen_and_the_next_connection_recovers_from_the_newest() -> None:
    dialect = made()
    dialect.take(LIVE)
    assert b'"recover":true,"epoch":"Ag","offset":4}' in dialect.hello()
    dialect.take(LIVE)
    assert dialect.take(push(0) + b"\n" + push(1)) == [(b"7", b"0", b"99"), (b"7", b"1", b"99")]
    assert b'"recover":true,"epoch":"Ag","offset":6}' in dialect.hello()


def test_events_that_were_recovered_are_the_next_place() -> None:
    dialect = made()
    pubs = b",".join(b'{"data":%s,"offset":%d}' % (payload(7, n, 99), n + 5) for n in range(2))
    more = b'"was_recovering":true,"recovered":true,"positioned":true,"metadata":"%s"' % (b"x" * 100)
    got = dialect.take(b'{"id":2,"subscribe":{"recoverable":true,"epoch":"Ag","publications":[%s],%s}}' % (pubs, more))
    assert [n for _, n, _ in got] == [b"0", b"1"]
    assert dialect.is_live
    assert b'"offset":6}' in dialect.hello()


def test_a_recovery_that_failed_is_wrong() -> None:
    dialect = made()
    dialect.take(b'{"id":2,"subscribe":{"recoverable":true,"epoch":"Ag","was_recovering":true}}')
    assert dialect.wrong


def test_an_error_and_a_disconnect_are_wrong() -> None:
    for told in (b'{"id":1,"error":{"code":103,"message":"no"}}', b'{"push":{"disconnect":{"code":3008}}}'):
        dialect = made()
        dialect.take(told)
        assert dialect.wrong == told.decode()


def test_a_ping_is_answered_also_beside_events() -> None:
    for message in (b"{}", push(0) + b"\n{}", b"{}\n" + push(0), push(0) + b"\n{}\n" + push(1)):
        dialect = made()
        dialect.take(LIVE)
        assert dialect.reply == b""
        dialect.take(message)
        assert dialect.reply == client_text(b"{}")
        assert dialect.ack() == b""

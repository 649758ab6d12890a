"""Socket.IO's protocol, as the load client speaks it."""

from bench.dialects.dialect import Reader
from bench.dialects.socketio import SocketIo
from bench.plan import payload
from bench.websocket import client_text

CONNECTED = b'40{"sid":"s1","pid":"p1"}'


def made() -> SocketIo:
    return SocketIo(Reader(7, "orders.c7.x", ""))


def test_it_is_live_once_connected() -> None:
    dialect = made()
    assert dialect.hello() == client_text(b'40{"subject":"orders.c7.x"}')
    dialect.take(b'0{"sid":"e1","upgrades":[],"pingInterval":25000}')
    assert not dialect.is_live
    dialect.take(CONNECTED)
    assert dialect.is_live


def test_events_are_seen_and_the_next_connection_recovers_from_the_newest() -> None:
    dialect = made()
    dialect.take(CONNECTED)
    assert dialect.take(b'42["event",%s,"id-9"]' % payload(7, 0, 99)) == [(b"7", b"0", b"99")]
    assert dialect.hello() == client_text(b'40{"subject":"orders.c7.x","pid":"p1","offset":"id-9"}')


def test_without_an_event_there_is_nothing_to_recover_from() -> None:
    dialect = made()
    dialect.take(CONNECTED)
    assert b"offset" not in dialect.hello()


def test_a_ping_is_answered() -> None:
    dialect = made()
    dialect.take(b"2")
    assert dialect.reply == client_text(b"3")


def test_a_refusal_and_a_disconnect_are_wrong() -> None:
    for told in (b'44{"message":"no"}', b"41", b"1"):
        dialect = made()
        dialect.take(told)
        assert dialect.wrong == told.decode()

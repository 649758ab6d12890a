"""The NATS protocol, as the load client speaks it, however the stream is cut into messages."""

import pytest

from bench.dialects.dialect import Reader
from bench.dialects.nats_core import NatsCore
from bench.plan import payload
from bench.websocket import client_binary


def made() -> NatsCore:
    return NatsCore(Reader(7, "orders.c7.x", ""))


def told(*numbers: int) -> bytes:
    return b"".join(b"MSG orders.c7.x 1 300\r\n%s\r\n" % payload(7, n, 99) for n in numbers)


def test_it_is_live_once_its_subscription_is_known() -> None:
    dialect = made()
    assert dialect.hello().endswith(b"\r\nSUB orders.c7.x 1\r\nPING\r\n")
    dialect.take(b'INFO {"server_id":"x"}\r\n')
    assert not dialect.is_live
    dialect.take(b"PONG\r\n")
    assert dialect.is_live


@pytest.mark.parametrize("size", [1, 7, 22, 300, 5_000])
def test_events_are_seen_whole(size: int) -> None:
    dialect = made()
    stream = told(0, 1) + b"PING\r\n" + told(2)
    got = [event for at in range(0, len(stream), size) for event in dialect.take(stream[at : at + size])]
    assert got == [(b"7", b"%d" % n, b"99") for n in range(3)]
    assert dialect.reply == client_binary(b"PONG\r\n")


def test_a_new_connection_begins_a_new_stream() -> None:
    dialect = made()
    dialect.take(b"PONG\r\n" + told(0)[:100])
    dialect.opened()
    assert not dialect.is_live
    assert dialect.take(told(1)) == [(b"7", b"1", b"99")]


def test_an_error_is_wrong() -> None:
    dialect = made()
    dialect.take(b"-ERR 'Authorization Violation'\r\n")
    assert "Authorization" in dialect.wrong

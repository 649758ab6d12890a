"""MQTT with QoS 1, as the load client speaks it, however the stream is cut into messages."""

import pytest

from bench import mqtt
from bench.dialects.dialect import Reader
from bench.dialects.mqtt_session import MqttSession
from bench.plan import payload
from bench.websocket import client_binary


def made() -> MqttSession:
    return MqttSession(Reader(7, "orders.c7.x", ""))


def told(n: int) -> bytes:
    return mqtt.publish(b"orders.c7.x", payload(7, n, 99), n + 1)


def test_it_asks_for_a_session_that_is_kept_and_is_live_once_subscribed() -> None:
    dialect = made()
    connect, subscribe = mqtt.packets(dialect.hello()[6:].lstrip(b"\0"))[0]
    assert connect.body == b"\0\4MQTT\4\0\0\0\0\7bench-7"
    assert subscribe.body == b"\0\1\0\x0borders.c7.x\1"
    live = []
    for told in (b"\x20\x02\0\0", b"\x90\x03\0\1\1"):
        dialect.take(told)
        live.append(dialect.is_live)
    assert live == [False, True]
    assert dialect.wrong == ""


@pytest.mark.parametrize("told", [b"\x20\x02\0\5", b"\x90\x03\0\1\x80"])
def test_a_refusal_is_wrong(told: bytes) -> None:
    dialect = made()
    dialect.take(told)
    assert dialect.wrong


def test_events_that_come_together_are_acknowledged_together() -> None:
    dialect = made()
    assert [n for _, n, _ in dialect.take(told(0) + told(1))] == [b"0", b"1"]
    assert dialect.reply == client_binary(b"\x40\x02\0\1\x40\x02\0\2")


@pytest.mark.parametrize("size", [1, 3, 200, 500])
def test_events_are_seen_whole(size: int) -> None:
    dialect = made()
    stream = told(0) + told(1) + told(2)
    got = [event for at in range(0, len(stream), size) for event in dialect.take(stream[at : at + size])]
    assert got == [(b"7", b"%d" % n, b"99") for n in range(3)]


def test_an_event_without_a_promise_is_seen_and_not_acknowledged() -> None:
    dialect = made()
    body = b"\0\1x" + payload(7, 0, 99)
    assert dialect.take(bytes((0x30, len(body) & 0x7F | 0x80, len(body) >> 7)) + body) == [(b"7", b"0", b"99")]
    assert dialect.reply == b""

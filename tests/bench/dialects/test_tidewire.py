"""Tidewire's own protocol, as the load client speaks it."""

import msgspec

from bench.dialects.dialect import Reader
from bench.dialects.tidewire import Tidewire
from bench.plan import payload
from bench.websocket import client_text
from gateway.event_frame import event_frame
from gateway.frames import JSON, join
from mesh.event import StoredEvent

WELCOME = b'{"type":"welcome","session":"bench-7","stream":"EVENTS:1:2","from":0}'


def made() -> Tidewire:
    return Tidewire(Reader(7, "orders.c7.x", "a.b.c"))


def frame(seq: int, n: int, *, replay: bool = False) -> bytes:
    headers = b"NATS/1.0\r\nNats-Msg-Id: m1\r\n\r\n"
    stored = StoredEvent(seq, "orders.c7.x", 1_700_000_000_000_000_000, payload(7, n, 99), headers)
    return event_frame(stored, JSON, replay=replay)


def test_events_are_seen_in_a_frame_and_in_a_batch_and_acknowledged() -> None:
    dialect = made()
    assert dialect.take(frame(10, 0)) == [(b"7", b"0", b"99")]
    assert dialect.take(join([frame(11, 1, replay=True), frame(12, 2), b'{"type":"live","seq":40}'], JSON)) == [
        (b"7", b"1", b"99"),
        (b"7", b"2", b"99"),
    ]
    assert dialect.is_live
    assert dialect.seq == 12
    assert dialect.ack() == client_text(b'{"type":"ack","seq":12}')


def test_nothing_received_is_nothing_to_acknowledge() -> None:
    assert made().ack() == b""


def test_a_new_session_resumes_from_nowhere_and_later_from_the_newest() -> None:
    dialect = made()
    said = msgspec.json.decode(dialect.hello()[6:].lstrip(b"\0"))
    assert said == {"type": "connect", "token": "a.b.c", "session": "bench-7", "subscribe": ["orders.c7.x"]}
    dialect.take(join([WELCOME, b'{"type":"live","seq":0}'], JSON))
    dialect.take(frame(10, 0))
    assert b'"resume":{"stream":"EVENTS:1:2","seq":10}' in dialect.hello()
    dialect.opened()
    assert not dialect.is_live


def test_a_ping_is_answered_also_beside_events() -> None:
    for message in (b'{"type":"ping"}', join([frame(1, 0), b'{"type":"ping"}'], JSON)):
        dialect = made()
        dialect.take(message)
        assert dialect.reply == client_text(b'{"type":"pong"}')


def test_a_gap_is_wrong() -> None:
    dialect = made()
    dialect.take(join([WELCOME, b'{"type":"gap","after":0,"before":9,"reason":"expired"}'], JSON))
    assert "gap" in dialect.wrong

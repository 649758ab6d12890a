"""Payloads of every kind reach clients as the protocol says, in both encodings, live and replayed (P2.34, P2.35)."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mesh.embedded import EmbeddedServer
from tests.gateways import Gateway, running_gateway
from tests.system.raw_nats import RawMessage, publish_raw
from tests.wire_client import JSON, MSGPACK, WireClient

MIB = 1_048_576
DEEP = 10_000

VALUES = [
    b"{}",
    b"[]",
    b"null",
    b"true",
    b"0",
    b"-0.0",
    b"1.5e300",
    b'""',
    b'"text"',
    b' {"a": [1, 2.5, null, {"b": "c"}]} \r\n\t',
    b'"\\u0000"',
    '"\u00e9\U0001f600\u2028"'.encode(),
    b'{"type":"goodbye","code":4510,"reason":"revoked"}',
    b'{"$sealed":{"contact":"eyJhbGciOiJkaXIifQ"}}',
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"[" * 64 + b"1" + b"]" * 64,
    b'"' + b"x" * (MIB - 2) + b'"',
]
"""JSON: the value is delivered."""

BYTES = [
    b"",
    b"plain text",
    b"\0",
    b"\0" * 1_000,
    b'{"a":"\0"}',
    b'{"a":"\n"}',
    b"\xff\xfe\x00",
    b'"\xff"',
    b'"\xe2\x82"',
    b'"\xed\xa0\x80"',
    b"\xef\xbb\xbf{}",
    b"NaN",
    b"[Infinity]",
    b"{'a':1}",
    b"{",
    b"{}{}",
    b"1,",
    b'1},{"type":"goodbye","code":4510,"reason":"revoked","reconnect":false',
    b'1,"seq":1',
    b" ",
    b"01",
    b"\x81\xa1a\x01",
    b"[" * 65 + b"1" + b"]" * 65,
    b"[" * DEEP + b"]" * DEEP,
    b"[" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b"\xfe" * MIB,
    b"\0" * MIB,
    bytes(range(256)) * 256,
]
"""Not strict JSON, or too deep: the bytes are delivered."""

HUGE = b'{"n":123456789012345678901234567890}'
"""A value in JSON, bytes in MessagePack, which has no such integer."""

NORMAL = b'{"n":0}'


@pytest_asyncio.fixture(scope="module")
async def gateway(nats_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    window = {"messages": 1_000, "bytes": 8 * MIB, "max_bytes": 8 * MIB}
    async with running_gateway(nats_server, tmp_path_factory.mktemp("payloads"), window=window) as started:
        yield started


def check(client: WireClient, payloads: list[bytes], seqs: list[int]) -> None:
    assert client.seqs == seqs
    for event, payload in zip(client.of("event"), payloads, strict=True):
        is_value = payload in VALUES or payload == NORMAL or (payload == HUGE and client.encoding == JSON)
        told = f"{payload[:40]!r} as {client.encoding}"
        if is_value:
            assert event["data"] == msgspec.json.decode(payload), told
            assert type(event["data"]) is type(msgspec.json.decode(payload)), told
            assert "data_b64" not in event, told
        elif client.encoding == JSON:
            assert event["data_b64"] == base64.b64encode(payload).decode(), told
            assert "data" not in event, told
        else:
            assert event["data"] == payload, told
            assert "data_b64" not in event, told
    assert not client.of("gap")
    assert client.close_code is None


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
async def test_every_payload_is_delivered_live_and_replayed(
    gateway: Gateway, nats_server: EmbeddedServer, encoding: str
) -> None:
    """P2.34, P2.35, P5.1."""
    subject = f"p{encoding[-4:]}"
    patterns = [f"orders.{subject}.>"]
    payloads = [each for payload in (*VALUES, *BYTES, HUGE) for each in (payload, NORMAL)]
    name = f"orders.{subject}.o1".encode()
    more: dict[str, Any] = {"encoding": encoding, "ack": True}
    async with gateway.client(subject, patterns, session=f"{subject}-away", **more) as away:
        await away.until("live")
    async with gateway.client(subject, patterns, **more) as client:
        await client.until("live")
        seqs = await publish_raw(nats_server, *(RawMessage(name, payload) for payload in payloads))
        await client.until("event", len(payloads), within_s=20)
        check(client, payloads, seqs)
    async with gateway.client(subject, None, session=f"{subject}-away", **more) as back:
        await back.until("live", within_s=20)
        check(back, payloads, seqs)
        assert all(event["replay"] for event in back.of("event"))


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
async def test_an_event_larger_than_the_whole_window_goes_alone(
    gateway: Gateway, nats_server: EmbeddedServer, encoding: str
) -> None:  # P4.4
    subject = f"w{encoding[-4:]}"
    window = {"messages": 10, "bytes": 100}
    async with gateway.client(subject, [f"orders.{subject}.>"], encoding=encoding, window=window) as client:
        await client.until("live")
        name = f"orders.{subject}.o1".encode()
        payloads = [b"\0" * MIB, NORMAL, b"\0" * MIB]
        seqs = await publish_raw(nats_server, *(RawMessage(name, payload) for payload in payloads))
        for place, seq in enumerate(seqs):
            await client.until("event", place + 1)
            assert client.seqs == seqs[: place + 1]
            await client.send({"type": "ack", "seq": seq})
        check(client, payloads, seqs)

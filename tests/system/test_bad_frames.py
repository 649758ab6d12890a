"""Bad frames after the welcome, on real sockets: each gets its code, and nobody else's session notices."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from gateway.frames import BATCH_MOST
from gateway.session import Session
from mesh.embedded import EmbeddedServer
from tests.gateways import Gateway, running_gateway
from tests.system.publishing import publish
from tests.system.raw_socket import PING, PONG, TEXT, RawSocket, frame, raw_socket
from tests.until import until
from tests.wire_client import JSON, MSGPACK, WireClient

ENCODINGS = [JSON, MSGPACK]


class Watched:
    """A gateway and a session on it that must notice nothing."""

    def __init__(self, gateway: Gateway, witness: WireClient, server: EmbeddedServer) -> None:
        self.gateway = gateway
        self.witness = witness
        self.server = server


@pytest_asyncio.fixture(scope="module")
async def shared(nats_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    async with (
        running_gateway(nats_server, tmp_path_factory.mktemp("bad")) as gateway,
        gateway.client("witness", ["orders.witness.>"]) as witness,
    ):
        await witness.until("live")
        yield Watched(gateway, witness, nats_server)


@pytest_asyncio.fixture
async def watched(shared: Watched) -> AsyncIterator[Watched]:
    witness = shared.witness
    before, seen = len(witness.frames), len(witness.seqs)
    seqs = await publish(shared.server, "orders.witness.o1", 1)
    yield shared
    seqs += await publish(shared.server, "orders.witness.o1", 1)
    await witness.until("event", seen + 2)
    assert [each["type"] for each in witness.frames[before:]] == ["event", "event"]
    assert witness.seqs[-2:] == seqs
    assert witness.close_code is None
    assert shared.gateway.house.counters.closes[1011] == 0


async def live_client(watched: Watched, encoding: str) -> WireClient:
    client = watched.gateway.client("bad", ["orders.bad.>"], encoding=encoding)
    await client.open()
    await client.send(client.connect_frame)
    await client.until("live")
    return client


async def closed_by(watched: Watched, message: str | bytes, encoding: str) -> tuple[int, str, list[str]]:
    client = await live_client(watched, encoding)
    try:
        await client.send_raw(message)
        return await client.closed(), client.close_reason, [each["type"] for each in client.frames[2:]]
    finally:
        await client.close()


BAD = (4400, "bad frame", ["goodbye"])
DEEP = 10_000

WRONG_VALUES: list[Any] = [
    {},
    [],
    [[]],
    [[{"type": "pong"}]],
    [{"type": "pong"}, []],
    [{"type": "pong"}, 7],
    [{"type": "pong"}] * (BATCH_MOST + 1),
    7,
    None,
    True,
    "pong",
    1.5,
    {"type": None},
    {"type": 7},
    {"type": ["ack"]},
    {"Type": "ack", "seq": 1},
    {"type": "ack"},
    {"type": "ack", "seq": None},
    {"type": "ack", "seq": "1"},
    {"type": "ack", "seq": True},
    {"type": "ack", "seq": 1.5},
    {"type": "ack", "seq": [1]},
    {"type": "subscribe", "subjects": ["orders.bad.o1"]},
    {"type": "subscribe", "id": None, "subjects": ["orders.bad.o1"]},
    {"type": "subscribe", "id": 1.5, "subjects": ["orders.bad.o1"]},
    {"type": "subscribe", "id": 1},
    {"type": "subscribe", "id": 1, "subjects": "orders.bad.o1"},
    {"type": "subscribe", "id": 1, "subjects": [7]},
    {"type": "subscribe", "id": 1, "subjects": [None]},
    {"type": "unsubscribe", "id": 1},
    {"type": "unsubscribe", "subjects": []},
    {"type": "request", "subject": "s"},
    {"type": "publish", "id": 1},
    {"type": "refresh", "token": 7},
    {"type": "refresh", "token": None},
    {"type": "refresh", "token": "x", "id": [1]},
    {"type": "connect", "token": "x", "session": "again"},
    {"type": "connect"},
]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("value", WRONG_VALUES, ids=lambda value: str(value)[:60])
async def test_a_wrong_value_closes(watched: Watched, value: Any, encoding: str) -> None:  # P1.4, P2.2, P2.4
    raw = msgspec.json.encode(value).decode() if encoding == JSON else msgspec.msgpack.encode(value)
    assert await closed_by(watched, raw, encoding) == BAD


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\0",
        "{",
        "}",
        '{"type":"pong"',
        '{"type":"pong"}}',
        '{"type":"pong"}{"type":"pong"}',
        '{"type":"pong",}',
        "{'type':'pong'}",
        '{"type":pong}',
        '[{"type":"pong"},]',
        '[{"type":"pong"}',
        "NaN",
        '{"type":"ack","seq":NaN}',
        '{"type":"ack","seq":Infinity}',
        '{"type":"ack","seq":1e1000}',
        '{"type":"ack","seq":0x10}',
        '{"type":"ack","seq":01}',
        '\ufeff{"type":"pong"}',
        '{"type":"pong","x":"\ud83d"}'.encode("utf-8", "surrogatepass").decode("utf-8", "replace")[:-2],
        '{"type":"pong","x":"\\ud800"',
        '{"type":"pong","x":"\n"',
        "[" * DEEP,
        "[" * DEEP + "]" * DEEP,
        '{"type":"pong","x":' + "[" * DEEP + "]" * DEEP + "}",
        '{"type":"dance","x":' + '{"a":' * 8_000 + "1" + "}" * 8_000 + "}",
        '{"type":"pong","x":' + "[" * 32 + "]" * 32 + "}",
    ],
    ids=lambda text: repr(text[:50]),
)
async def test_json_that_is_none_closes(watched: Watched, text: str) -> None:  # P2.2, D4
    assert await closed_by(watched, text, JSON) == BAD


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"\x81\xa4type",
        b"\x81\xa4type\xa4pong\x00",
        b"\x81\xa4type\xa4pong\x81\xa4type\xa4pong",
        b"\x82\xa4type\xa4pong",
        b"\x81\xa4type\xdb\xff\xff\xff\xff",
        b"\x82\xa4type\xa4pong\xa1x\xc6\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdc\xff\xff" + b"\x81\xa4type\xa4pong" * 3,
        b"\x81\xa4type\xa4\xff\xff\xff\xff",
        b"\x81\x01\x02",
        b"\x81\xc4\x04type\xc4\x04pong",
        b"\x91" * DEEP + b"\x01",
        b"\x82\xa4type\xa4pong\xa1x" + b"\x91" * DEEP + b"\x01",
        b"\x82\xa4type\xa4pong\xa1x" + b"\x81\xa1a" * DEEP + b"\x01",
        b"\x82\xa4type\xa4pong\xa1x" + b"\x91" * 32 + b"\x01",
    ],
    ids=lambda data: repr(data[:24]),
)
async def test_messagepack_that_is_none_closes(watched: Watched, data: bytes) -> None:  # P2.2, D4
    assert await closed_by(watched, data, MSGPACK) == BAD


async def test_a_message_of_the_other_kind_closes(watched: Watched) -> None:  # P1.3
    assert await closed_by(watched, b'{"type":"pong"}', JSON) == BAD
    assert await closed_by(watched, msgspec.msgpack.encode({"type": "pong"}), JSON) == BAD
    assert await closed_by(watched, '{"type":"pong"}', MSGPACK) == BAD


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_an_unknown_type_is_told_and_the_connection_goes_on(watched: Watched, encoding: str) -> None:  # P2.3
    client = await live_client(watched, encoding)
    try:
        await client.send({"type": "dance", "id": 1, "x": [{}]})
        await client.send({"type": ""}, {"type": "welcome"}, {"type": "ACK", "seq": 10**12})
        await client.until("error", 4)
        assert client.of("error")[0] == {
            "type": "error",
            "code": "unknown_type",
            "message": "unknown frame type",
            "retry": False,
        }
        seqs = await publish(watched.server, "orders.bad.o1", 1)
        await client.until("event")
        assert client.seqs == seqs
    finally:
        await client.close()


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_what_is_for_later_is_answered(watched: Watched, encoding: str) -> None:  # P2.18, P2.22, P2.40
    client = await live_client(watched, encoding)
    try:
        later: list[dict[str, Any]] = [
            {"type": "request", "id": 1, "subject": "prices.get", "data": {"a": 1}, "timeout": 5},
            {"type": "publish", "id": 2, "subject": "orders.bad.o1", "data": 1, "key": "k"},
            {"type": "subscribe", "id": 3, "subjects": ["orders.bad.o1"], "from": "all"},
            {"type": "subscribe", "id": 4, "subjects": ["orders.bad.o1"], "from": {"seq": 1}},
            {"type": "subscribe", "id": 5, "subjects": ["orders.bad.o1"], "from": {"time": "2026-01-01T00:00:00Z"}},
            {"type": "subscribe", "id": 6, "subjects": ["orders.bad.o1"], "from": None},
        ]
        await client.send(*later)
        for place in range(1, 7):
            assert (await client.answer(place))["error"]["code"] == "not_supported", place
            assert "data" not in await client.answer(place)
        assert client.close_code is None
    finally:
        await client.close()


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_answers_to_subscribe_and_unsubscribe(watched: Watched, encoding: str) -> None:  # P2.9, P2.20, P2.21
    client = await live_client(watched, encoding)
    try:
        cases: list[tuple[str | int, list[str], str]] = [
            ("", ["orders..x"], "invalid_subject"),
            (-(2**63), ["orders.bad.o1", ""], "invalid_subject"),
            (2**63, ["orders.other.>", ">"], "forbidden"),
            ("\U0001f600", [f"orders.bad.o{n}" for n in range(128)], "limit"),
        ]
        for id_, subjects, code in cases:
            await client.send({"type": "subscribe", "id": id_, "subjects": subjects})
            answer = await client.answer(id_)
            assert ("data" in answer, answer["error"]["code"]) == (False, code)
        await client.send({"type": "subscribe", "id": "none", "subjects": []})
        assert "seq" in (await client.answer("none"))["data"]
        await client.send({"type": "subscribe", "id": "some", "subjects": ["events.bad.>", "orders.other.>"]})
        assert (await client.answer("some"))["data"]["denied"] == ["orders.other.>"]
        await client.send({"type": "unsubscribe", "id": "gone", "subjects": ["orders.bad.>", "never.held", "", "a..b"]})
        assert (await client.answer("gone"))["data"] == {"subjects": ["events.bad.>"]}
        assert client.close_code is None
    finally:
        await client.close()


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_an_ack_beyond_what_was_told_closes_and_moves_nothing(watched: Watched, encoding: str) -> None:  # P2.17
    """P2.16."""
    gateway = watched.gateway
    for place, beyond in enumerate((1, 10**6, 2**62)):
        name = f"beyond-{encoding[-4:]}-{place}"
        async with gateway.client("bad", ["orders.bad.>"], session=name, encoding=encoding) as client:
            await client.until("live")
            seqs = await publish(watched.server, "orders.bad.o1", 2)
            await client.until("event", 2)
            await client.send({"type": "ack", "seq": seqs[0]})
            await client.send({"type": "ack", "seq": seqs[1] + beyond})
            assert (await client.closed(), client.close_reason) == (4400, "bad frame")
        async with gateway.client("bad", None, session=name, encoding=encoding) as back:
            await back.until("live")
            assert back.seqs == seqs[1:]


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_acks_of_the_past_are_harmless(watched: Watched, encoding: str) -> None:  # P2.17
    client = await live_client(watched, encoding)
    try:
        seqs = await publish(watched.server, "orders.bad.o1", 3)
        await client.until("event", 3)
        await client.send(*({"type": "ack", "seq": seq} for seq in (seqs[2], seqs[1], 0, -1, -(2**63), seqs[2])))
        seqs += await publish(watched.server, "orders.bad.o1", 1)
        await client.until("event", 4)
        assert client.seqs == seqs
    finally:
        await client.close()


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_batch_is_its_frames_in_order(watched: Watched, encoding: str) -> None:  # P1.4
    client = await live_client(watched, encoding)
    try:
        await client.send(
            *[{"type": "pong"}] * (BATCH_MOST - 2), {"type": "dance"}, {"type": "request", "id": 1, "subject": "s"}
        )
        await client.answer(1)
        assert [each["type"] for each in client.frames[2:]] == ["error", "reply"]
    finally:
        await client.close()


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_message_at_the_limit_is_read_and_one_byte_more_closes(watched: Watched, encoding: str) -> None:  # P1.8
    size = watched.gateway.config.limits.frame_bytes

    def padded(total: int) -> str | bytes:
        for pad in range(total - 40, total):
            value = {"type": "dance", "x": "x" * pad}
            raw = msgspec.json.encode(value) if encoding == JSON else msgspec.msgpack.encode(value)
            if len(raw) == total:
                return raw.decode() if encoding == JSON else raw
        raise AssertionError("no such length")

    client = await live_client(watched, encoding)
    try:
        await client.send_raw(padded(size))
        await client.until("error")
        await client.send_raw(padded(size + 1))
        assert (await client.closed(), client.close_reason) == (4413, "frame too large")
    finally:
        await client.close()


async def test_a_strangers_message_is_no_larger(watched: Watched) -> None:  # P1.8
    stranger = watched.gateway.client("bad", ["orders.bad.>"], client="x" * watched.gateway.config.limits.frame_bytes)
    async with stranger:
        assert (await stranger.closed(), stranger.close_reason) == (4413, "frame too large")
        assert stranger.frames == []


async def test_a_message_may_come_in_pieces_but_is_no_larger_for_it(watched: Watched) -> None:  # P1.8
    async with raw_socket(watched.gateway) as socket:
        await connected(watched, socket)
        await socket.send(frame(b'{"type":', TEXT, fin=False) + frame(b"", PING) + frame(b'"dance"}', 0))
        assert (await socket.read())[0] == PONG
        assert b"unknown_type" in (await socket.read())[1]
        for _ in range(17):
            await socket.send(frame(b" " * 4_096, TEXT if not _ else 0, fin=False))
        assert await socket.closed() == 4413


async def connected(watched: Watched, socket: RawSocket) -> None:
    client = watched.gateway.client("bad", ["orders.bad.>"])
    await socket.send(frame(msgspec.json.encode(client.connect_frame)))
    received = b""
    while b'"live"' not in received:
        received += (await socket.read())[1]


@pytest.mark.parametrize(
    ("name", "data", "codes"),
    [
        ("a reserved bit", frame(b'{"type":"pong"}', rsv=4), (1002,)),
        ("another reserved bit", frame(b'{"type":"pong"}', rsv=1), (1002,)),
        ("an unknown opcode", frame(b"x", 3), (1002,)),
        ("an unknown control opcode", frame(b"x", 11), (1002,)),
        ("a continuation of nothing", frame(b"x", 0), (1002,)),
        ("a message inside another", frame(b"x", TEXT, fin=False) + frame(b"y", TEXT), (1002,)),
        ("a ping in pieces", frame(b"x", PING, fin=False), (1002,)),
        ("a long ping", frame(b"x" * 126, PING), (1002,)),
        ("a close of one byte", frame(b"\x03", 8), (1002,)),
        ("a close with a code that is none", frame(b"\x00\x01", 8), (1002,)),
        ("text that is not UTF-8", frame(b'{"type":"\xff"}'), (1007, 4400)),
        ("text that ends inside a character", frame(b'{"type":"\xe2\x82'), (1007, 4400)),
        ("a surrogate", frame(b'{"type":"\xed\xa0\x80"}'), (1007, 4400)),
        ("a length of 2^63", b"\x81\xff\x80" + bytes(7) + b"abcd", (1002, 4413)),
        ("a length beyond the limit", b"\x81\xff" + (2**40).to_bytes(8) + b"abcd", (4413,)),
    ],
)
async def test_broken_framing_ends_the_connection_as_the_rfc_says(
    watched: Watched, name: str, data: bytes, codes: tuple[int, ...]
) -> None:  # D5
    async with raw_socket(watched.gateway) as socket:
        await connected(watched, socket)
        await socket.send(data)
        assert await socket.closed() in codes, name
    async with raw_socket(watched.gateway) as stranger:
        await stranger.send(data)
        assert await stranger.closed() in codes, name


async def test_a_socket_that_ends_in_the_middle_of_a_frame_leaves_its_session_parked(watched: Watched) -> None:
    held = len(watched.gateway.house.exchange.by_key)
    async with raw_socket(watched.gateway) as socket:
        await connected(watched, socket)
        assert len(watched.gateway.house.exchange.by_key) == held + 1
        await socket.send(frame(b'{"type":"ack","seq":1}')[:9])
    await until(lambda: len(watched.gateway.house.exchange.by_key) == held)


async def test_http_that_is_none_harms_nobody(watched: Watched) -> None:  # D9
    for head in (
        b"\0" * 100,
        b"GET /v1/session HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", watched.gateway.port, ssl=watched.gateway.tls, server_hostname="127.0.0.1"
        )
        writer.write(head)
        async with asyncio.timeout(5):
            answer = await reader.read(4_096)
        assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/9.9 4")), answer
        writer.transport.abort()


async def test_a_bug_ends_its_own_connection_and_its_session_resumes(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # P3: 1011
    def broken(*_: object) -> None:
        raise RuntimeError("a bug, with a secret in its text")

    async with running_gateway(nats_server, tmp_path) as gateway, gateway.client("w2", ["orders.w2.>"]) as witness:
        await witness.until("live")
        async with gateway.client("bug", ["orders.bug.>"], session="bug") as client:
            await client.until("live")
            seqs = await publish(nats_server, "orders.bug.o1", 2)
            await client.until("event", 2)
            await client.send({"type": "ack", "seq": seqs[0]})
            monkeypatch.setattr(Session, "_unsubscribe", broken)
            await client.send({"type": "unsubscribe", "id": 1, "subjects": ["orders.bug.>"]})
            assert await client.closed() == 1011
            assert "secret" not in client.close_reason + str(client.frames)
        monkeypatch.undo()
        others = await publish(nats_server, "orders.w2.o1", 1)
        await witness.until("event")
        assert witness.seqs == others
        assert gateway.house.counters.closes[1011] == 1
        async with gateway.client("bug", None, session="bug") as back:
            await back.until("live")
            assert back.seqs == seqs[1:]

"""The first frame of a real socket: late, wrong, out of bounds, not permitted; and what it may ask for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mesh.embedded import EmbeddedServer
from mesh.topology import Topology
from tests.gateways import Gateway, running_gateway
from tests.servers import running_server
from tests.system.publishing import publish
from tests.system.raw_socket import PING, frame, raw_socket
from tests.until import until
from tests.wire_client import JSON, MSGPACK

ENCODINGS = (JSON, MSGPACK)
Frames = list[dict[str, Any]]


@pytest_asyncio.fixture(scope="module")
async def gateway(nats_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server, tmp_path_factory.mktemp("first")) as started:
        yield started


async def first(gateway: Gateway, message: object, encoding: str = JSON) -> tuple[int, str, Frames]:
    """Send one first message; the close code, its reason, and the frames before it."""
    client = gateway.client(encoding=encoding)
    await client.open()
    try:
        if isinstance(message, str | bytes):
            await client.send_raw(message)
        elif encoding == JSON:
            await client.send_raw(msgspec.json.encode(message).decode())
        else:
            await client.send_raw(msgspec.msgpack.encode(message))
        return await client.closed(), client.close_reason, client.frames
    finally:
        await client.close()


def connect(gateway: Gateway, **fields: Any) -> dict[str, Any]:
    return {"type": "connect", "token": gateway.token(), "session": "first", "subscribe": ["orders.c42.>"], **fields}


BAD_FRAME = (4400, "bad frame", [{"type": "error", "code": "bad_frame", "message": "bad frame", "retry": False}])


async def test_without_a_first_frame_the_socket_is_closed_in_time(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:  # P2.10, D2
    async with running_gateway(nats_server, tmp_path, limits={"first_frame_s": 0.2}) as gateway:
        begun = asyncio.get_running_loop().time()
        silent = gateway.client()
        await silent.open()
        async with raw_socket(gateway) as trickle:
            # half a message and pings are no frame
            await trickle.send(frame(b'{"type":', fin=False) + frame(b"", PING))
            assert await silent.closed() == 4005
            assert silent.close_reason == "first frame late"
            assert await trickle.closed() == 4005
        assert 0.2 <= asyncio.get_running_loop().time() - begun < 1.2
        await silent.close()
        async with gateway.client("c42", ["orders.c42.>"]) as client:  # who is welcomed stays
            await client.until("live")
            await until(lambda: asyncio.get_running_loop().time() > begun + 0.8, 2)
            assert client.close_code is None


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "message",
    [
        {"type": "ack", "seq": 1},
        {"type": "ping"},
        {"type": "pong"},
        {"type": "subscribe", "id": 1, "subjects": ["orders.c42.>"]},
        {"type": "unsubscribe", "id": 1, "subjects": ["orders.c42.>"]},
        {"type": "request", "id": 1, "subject": "s"},
        {"type": "publish", "id": 1, "subject": "s"},
        {"type": "refresh", "token": "x"},
        {"type": "dance"},
        {"type": "welcome"},
        {"type": 7},
        {"type": None},
        {},
        [],
        [[]],
        7,
        "connect",
        None,
        True,
    ],
    ids=str,
)
async def test_anything_but_connect_comes_too_early(gateway: Gateway, message: object, encoding: str) -> None:  # P2.4
    """P2.41."""
    raw = msgspec.json.encode(message).decode() if encoding == JSON else msgspec.msgpack.encode(message)
    assert await first(gateway, raw, encoding) == BAD_FRAME


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_connect_comes_alone(gateway: Gateway, encoding: str) -> None:  # P2.4
    good = connect(gateway)
    assert await first(gateway, [good, {"type": "pong"}], encoding) == BAD_FRAME
    assert await first(gateway, [good, good], encoding) == BAD_FRAME
    assert await first(gateway, [[good]], encoding) == BAD_FRAME


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "change",
    [
        {"token": 7},
        {"token": None},
        {"session": None},
        {"session": 7},
        {"session": ["a"]},
        {"session": ""},
        {"session": "s" * 65},
        {"session": "pixel.7"},
        {"session": "pixel 7"},
        {"session": "pixel\n"},
        {"session": "pixel*"},
        {"session": "\u0440ixel"},
        {"session": "a\0"},
        {"subscribe": "orders.c42.>"},
        {"subscribe": [7]},
        {"subscribe": {"orders.c42.>": 1}},
        {"resume": 7},
        {"resume": {"stream": "EVENTS:1"}},
        {"resume": {"seq": 1}},
        {"resume": {"stream": 1, "seq": 1}},
        {"resume": {"stream": "EVENTS:1", "seq": "1"}},
        {"resume": {"stream": "EVENTS:1", "seq": 1.5}},
        {"resume": {"stream": "EVENTS:1", "seq": True}},
        {"resume": {"stream": "EVENTS:1", "seq": -1}},
        {"window": 7},
        {"window": {"messages": 0}},
        {"window": {"messages": -1}},
        {"window": {"messages": "9"}},
        {"window": {"messages": True}},
        {"window": {"bytes": 0}},
        {"window": {"bytes": -(2**63)}},
        {"replay": 1},
        {"replay": None},
    ],
    ids=str,
)
async def test_a_wrong_field_closes(gateway: Gateway, change: dict[str, Any], encoding: str) -> None:  # P2.2, P2.11
    assert await first(gateway, connect(gateway, **change), encoding) == BAD_FRAME


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_missing_session_closes_and_a_missing_token_is_no_token(gateway: Gateway, encoding: str) -> None:
    fields = connect(gateway)
    assert await first(gateway, {k: v for k, v in fields.items() if k != "session"}, encoding) == BAD_FRAME
    without = {k: v for k, v in fields.items() if k != "token"}
    assert await first(gateway, without, encoding) == (4501, "unauthorized", [])  # P3.3


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_keys_that_appear_twice_close(gateway: Gateway, encoding: str) -> None:  # P2.5, A10
    if encoding == JSON:
        good = msgspec.json.encode(connect(gateway))[:-1].decode()
        twice = [
            good + ',"token":"x"}',
            good + ',"session":"other"}',
            good + ',"client":{"a":{"b":1,"b":2}}}',
            good + ',"\\u0074oken":"x"}',
            good + ',"unknown":1,"unknown":1}',
        ]
        for text in twice:
            assert await first(gateway, text, encoding) == BAD_FRAME
        return
    fields = connect(gateway)
    encode = msgspec.msgpack.encode
    members = b"".join(encode(name) + encode(value) for name, value in fields.items())
    for more in (
        encode("token") + encode("x"),
        encode("session") + encode("other"),
        b"\xd9\x05token" + encode("x"),  # the same text under a longer header
        b"\xda\x00\x05token" + encode("x"),
        encode("client") + b"\x82\xa1a\x01\xa1a\x02",
    ):
        assert await first(gateway, bytes((0x80 | len(fields) + 1,)) + members + more, encoding) == BAD_FRAME


@pytest.mark.parametrize("session", ["s", "s" * 64, "Pixel-7_a", "-", "0"])
async def test_a_session_name_has_1_to_64_characters(gateway: Gateway, session: str) -> None:  # P2.11
    async with gateway.client("c42", ["orders.c42.>"], session=session) as client:
        await client.until("live")
        assert client.frames[0]["session"] == session


async def test_unknown_fields_are_ignored(gateway: Gateway) -> None:  # P2.1
    async with gateway.client("c42", ["orders.c42.>"], client={"name": "test", "x": [1, {"y": None}]}, zzz=1) as client:
        await client.until("live")


@pytest.mark.parametrize("replay", ["latest", "none", "some"])
@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_other_replays_are_not_supported(gateway: Gateway, replay: str, encoding: str) -> None:  # P2.15
    code, reason, frames = await first(gateway, connect(gateway, replay=replay), encoding)
    assert (code, reason) == (4400, "bad frame")
    assert [(each["type"], each["code"], each["retry"]) for each in frames] == [("error", "not_supported", False)]


async def test_a_position_beyond_everything_is_of_another_stream(gateway: Gateway) -> None:  # P4.10
    for place, seq in enumerate((2**40, 2**63 - 1, 2**64, 10**30)):
        stream = gateway.house.exchange.identity
        async with gateway.client("c42", ["orders.c42.>"], session=f"far{place}", resume=(stream, seq)) as client:
            await client.until("welcome")
            assert client.frames[0]["outcome"] == "gap"
            await client.until("gap")
            assert client.of("gap")[0]["reason"] == "stream_replaced"


@pytest.mark.parametrize("pattern", ["orders..c42", "", ".", "orders.c42.>.x", "orders.c 2", "a\0b", "o." * 130 + "o"])
async def test_what_is_no_pattern_closes(gateway: Gateway, pattern: str) -> None:  # P2.32
    message = connect(gateway, subscribe=["orders.c42.>", pattern])
    code, reason, frames = await first(gateway, message)
    assert (code, reason) == (4400, "bad frame")
    assert [each["code"] for each in frames] == ["invalid_subject"]


@pytest.mark.parametrize(
    "pattern", [">", "*.c42.>", "orders.>", "orders.*.o1", "orders.c43.>", "$JS.API.>", "_INBOX_gw.>", "$KV.cursors.>"]
)
async def test_where_nothing_asked_for_is_permitted_it_is_forbidden(gateway: Gateway, pattern: str) -> None:  # P2.32
    assert await first(gateway, connect(gateway, subscribe=[pattern])) == (4503, "forbidden", [])


async def test_what_is_denied_is_told_and_the_rest_holds(gateway: Gateway, nats_server: EmbeddedServer) -> None:
    """P2.32."""
    patterns = ["orders.c42.>", "orders.c43.>", ">", "orders.c42.>"]
    async with gateway.client("c42", patterns) as client:
        await client.until("live")
        assert client.frames[0]["subjects"] == ["orders.c42.>"]
        assert client.frames[0]["denied"] == ["orders.c43.>", ">"]
        await publish(nats_server, "orders.c43.o1", 3)
        mine = await publish(nats_server, "orders.c42.o1", 1)
        await client.until("event")
        assert client.seqs == mine


async def test_a_session_may_hold_no_pattern(gateway: Gateway) -> None:  # P2.12, P2.32
    nothing: tuple[list[str] | None, ...] = (None, [])
    for patterns in nothing:
        async with gateway.client("c42", patterns) as client:
            await client.until("live")
            assert client.frames[0]["subjects"] == []
            assert client.frames[0]["outcome"] == "fresh"


async def test_a_token_that_permits_nothing_is_forbidden(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    """P2.32."""
    async with running_gateway(nats_server, tmp_path / "with") as rich:
        jwks = str(rich.state.jwks)
    issuers = [{"name": "tidewire-development", "jwks": jwks}]
    async with running_gateway(nats_server, tmp_path / "with", issuers=issuers) as gateway:
        wishes: tuple[list[str] | None, ...] = (["orders.c42.>"], [], None)
        for patterns in wishes:
            async with gateway.client("c42", patterns) as client:
                assert (await client.closed(), client.close_reason) == (4503, "forbidden")
        async with gateway.client("c42", ["orders.c42.>"], tidewire={"read": ["orders.c42.o1"]}) as client:
            assert await client.closed() == 4503
        async with gateway.client("c42", ["orders.c42.o1"], tidewire={"read": ["orders.c42.o1"]}) as client:
            await client.until("live")


async def test_while_nats_is_away_connects_are_told_to_come_back(tmp_path: Path) -> None:  # P3.5
    async with running_server(tmp_path / "nats", topology=Topology()) as server:
        async with running_gateway(server, tmp_path / "gateway") as gateway:
            async with gateway.client("c42", ["orders.c42.>"], session="stays") as live:
                await live.until("live")
                await server.kill()
                await until(lambda: not gateway.house.is_ready)
                async with gateway.client("c42", ["orders.c42.>"]) as early:
                    assert (await early.closed(), early.close_reason) == (4006, "upstream unavailable")
                async with gateway.client("c42", ["orders.c42.>"], token="wrong") as stranger:
                    assert await stranger.closed() == 4501  # a stranger learns nothing of our state
                await server.start()
                await until(lambda: gateway.house.is_ready, 20)
                await publish(server, "orders.c42.o1", 1)
                await live.until("event", within_s=20)

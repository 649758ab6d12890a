"""Limits on real sockets: each passes at its number and gets its code one beyond."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.close_codes import REASONS
from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher
from tests.gateways import Gateway, running_gateway
from tests.servers import linked
from tests.system.publishing import publish
from tests.system.raw_socket import frame, raw_socket
from tests.until import until
from tests.wire_client import JSON, MSGPACK

PONG = {"type": "pong"}
RATE_LIMITED = {"type": "goodbye", "code": 4429, "reason": "rate limited", "reconnect": True, "after": 1_000}


@contextlib.asynccontextmanager
async def limited(server: EmbeddedServer, folder: Path, **limits: Any) -> AsyncIterator[Gateway]:
    async with running_gateway(server, folder, limits=limits) as gateway:
        yield gateway


class Peer:
    """A TCP connection that says nothing, from an address of the loopback network."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def is_cut(self, within_s: float = 0.15) -> bool:
        try:
            async with asyncio.timeout(within_s):
                is_cut = await self._reader.read(1) == b""
        except ConnectionError:
            is_cut = True
        except TimeoutError:
            return False
        self.cut()
        return is_cut

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    def cut(self) -> None:
        self._writer.transport.abort()


async def peer(gateway: Gateway, address: str = "127.0.0.1") -> Peer:
    return Peer(*await asyncio.open_connection("127.0.0.1", gateway.port, local_addr=(address, 0)))


async def test_frames_beyond_the_burst_are_too_many(nats_server: EmbeddedServer, tmp_path: Path) -> None:  # P7.1
    async with limited(nats_server, tmp_path, frames_per_s=1, frames_burst=5) as gateway:
        async with gateway.client("l1", ["orders.l1.>"]) as client:
            await client.until("live")
            await client.send(*[{"type": "dance"}] * 5)
            await client.until("error", 5)
            assert client.close_code is None
        async with gateway.client("l1", ["orders.l1.>"]) as client:
            await client.until("live")
            await client.send(*[PONG] * 6)
            assert (await client.closed(), client.close_reason) == (4429, "rate limited")
            assert client.frames[-1] == RATE_LIMITED


async def test_each_4096_bytes_of_a_message_count_as_a_frame(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:  # P7.1
    filled = {"type": "pong", "x": ""}
    filled["x"] = "y" * (4 * 4_096 - len(msgspec.json.encode(filled)))
    async with limited(nats_server, tmp_path, frames_per_s=1, frames_burst=5) as gateway:
        async with gateway.client("l0", ["orders.l0.>"]) as client:
            await client.until("live")
            await client.send(filled)  # itself, and four
            await client.send({"type": "ping"})
            assert await client.closed() == 4429
        async with gateway.client("l0", ["orders.l0.>"]) as client:
            await client.until("live")
            await client.send(filled | {"x": filled["x"][1:]})  # a byte less: itself, and three
            await client.send({"type": "ping"})
            await client.until("pong")


async def test_a_principals_frames_count_together_over_its_connections(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    async with limited(nats_server, tmp_path, user_frames_per_s=251) as gateway:
        async with (
            gateway.client("l2", ["orders.l2.>"]) as one,
            gateway.client("l2", ["orders.l2.>"]) as two,
            gateway.client("l3", ["orders.l3.>"]) as other,
        ):
            for client in (one, two, other):
                await client.until("live")
            await one.send(*[{"type": "dance"}] * 250)  # more than 4,096 bytes: one more
            await two.send(*[PONG] * 250)
            await other.send(*[{"type": "dance"}] * 250)
            assert await two.closed() == 4429
            await one.until("error", 250)
            await other.until("error", 250)
            assert one.close_code is None
            assert other.close_code is None


async def test_connects_beyond_the_rate_are_cut_before_tls(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with limited(nats_server, tmp_path, address_connects_per_s=2) as gateway:
        peers = [await peer(gateway) for _ in range(3)]
        other = await peer(gateway, "127.0.0.2")
        assert await peers[2].is_cut(5)
        assert [await each.is_cut() for each in (*peers[:2], other)] == [False, False, False]
        assert gateway.house.counters.refused_sockets["address_connects_per_s"] == 1
        for each in (*peers, other):
            each.cut()


async def test_an_address_has_so_many_connections(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with limited(nats_server, tmp_path, connections_per_address=2) as gateway:
        async with gateway.client("l4", ["orders.l4.>"]) as one:
            await one.until("live")
            silent = await peer(gateway)
            beyond = await peer(gateway)
            assert await beyond.is_cut(5)
            assert gateway.house.counters.refused_sockets["connections_per_address"] == 1
            other = await peer(gateway, "127.0.0.2")
            assert not await other.is_cut()
            assert not await silent.is_cut()
            silent.cut()
            other.cut()
            await until(lambda: gateway.house.counters.refused_sockets["handshake"] == 2)
            async with gateway.client("l4", ["orders.l4.>"]) as two:
                await two.until("live")
            assert one.close_code is None


async def test_who_has_not_been_welcomed_counts_by_address_and_in_all(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:  # D1
    async with limited(nats_server, tmp_path, unauthenticated=3, unauthenticated_per_address=2) as gateway:
        refused = gateway.house.counters.refused_sockets
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(4):  # the welcomed do not count
                client = await stack.enter_async_context(gateway.client("l5", ["orders.l5.>"]))
                await client.until("live")
            behind_tls = await stack.enter_async_context(raw_socket(gateway))
            silent = await peer(gateway)
            third = await peer(gateway)
            assert await third.is_cut(5)
            assert refused["unauthenticated_per_address"] == 1
            elsewhere = await peer(gateway, "127.0.0.2")
            beyond = await peer(gateway, "127.0.0.3")
            assert await beyond.is_cut(5)
            assert refused["unauthenticated"] == 1
            # one is welcomed, and makes room
            connect = gateway.client("l5", ["orders.l5.>"]).connect_frame
            await behind_tls.send(frame(msgspec.json.encode(connect)))
            assert b"welcome" in (await behind_tls.read())[1]
            again = await peer(gateway, "127.0.0.3")
            assert not await again.is_cut()
            for each in (silent, elsewhere, again):
                assert not await each.is_cut(0.05)
                each.cut()


async def test_a_forged_forwarding_header_changes_nothing(nats_server: EmbeddedServer, tmp_path: Path) -> None:  # D8
    async with limited(nats_server, tmp_path, unauthenticated_per_address=1) as gateway:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", gateway.port, ssl=gateway.tls, server_hostname="127.0.0.1"
        )
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n")
        beyond = await peer(gateway)
        assert await beyond.is_cut(5)
        writer.transport.abort()


async def test_slow_strangers_are_cut_in_time(nats_server: EmbeddedServer, tmp_path: Path) -> None:  # D1, D2
    async with limited(nats_server, tmp_path, handshake_s=0.3, head_s=0.3, handshakes=1) as gateway:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        no_tls = await peer(gateway)
        assert await no_tls.is_cut(5)
        assert 0.25 <= loop.time() - begun < 1.3
        async with gateway.client("l6", ["orders.l6.>"]) as client:
            await client.until("live")
            heads = []
            begun = loop.time()
            for head in (b"", b"GET /v1/session HTT", b"GET /v1/session HTTP/1.1\r\nHost: x\r\nX-A: "):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", gateway.port, ssl=gateway.tls, server_hostname="127.0.0.1"
                )
                writer.write(head)
                heads.append(Peer(reader, writer))
            assert [await each.is_cut(3) for each in heads] == [True] * 3
            assert loop.time() - begun < 1.3
            assert client.close_code is None


async def test_stalled_handshakes_hold_no_place(nats_server: EmbeddedServer, tmp_path: Path) -> None:  # D1
    async with limited(nats_server, tmp_path, handshake_s=60.0, handshakes=1) as gateway:
        stalled = [await peer(gateway) for _ in range(20)]
        for each in stalled[:10]:  # those have begun
            each.say(b"\x16\x03\x01\x02\x00\x01")
        async with gateway.client("l6", ["orders.l6.>"]) as client:
            await client.until("live")
        for each in stalled:
            each.cut()


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
async def test_a_session_holds_so_many_patterns(
    nats_server: EmbeddedServer, tmp_path: Path, encoding: str
) -> None:  # P7.1, P2.20, P2.32
    patterns = [f"orders.l7.o{n}" for n in range(129)]
    async with running_gateway(nats_server, tmp_path) as gateway:
        async with gateway.client("l7", patterns, encoding=encoding) as client:
            assert await client.closed() == 4400
            assert [each["code"] for each in client.of("error")] == ["limit"]
        async with gateway.client("l7", [*patterns[:128], patterns[0]], encoding=encoding) as client:
            await client.until("live")
            assert client.frames[0]["subjects"] == patterns[:128]
            await client.send({"type": "subscribe", "id": 1, "subjects": patterns[:128]})
            assert "data" in await client.answer(1)
            await client.send({"type": "subscribe", "id": 2, "subjects": patterns[128:]})
            assert (await client.answer(2))["error"]["code"] == "limit"
            await client.send({"type": "unsubscribe", "id": 3, "subjects": patterns[:1]})
            await client.send({"type": "subscribe", "id": 4, "subjects": patterns[128:]})
            assert "data" in await client.answer(4)


async def test_a_pattern_is_so_long(nats_server: EmbeddedServer, tmp_path: Path) -> None:  # P2.8
    longest = "orders.l8." + "x" * 246
    deepest = "orders.l8" + ".x" * 14
    async with running_gateway(nats_server, tmp_path) as gateway:
        async with gateway.client("l8", [longest, deepest]) as client:
            await client.until("live")
            assert client.frames[0]["subjects"] == [longest, deepest]
            await client.send({"type": "subscribe", "id": 1, "subjects": [longest + "x"]})
            await client.send({"type": "subscribe", "id": 2, "subjects": [deepest + ".x"]})
            for id_ in (1, 2):
                assert (await client.answer(id_))["error"]["code"] == "invalid_subject"


async def test_a_principal_has_so_many_sessions(nats_server: EmbeddedServer, tmp_path: Path) -> None:  # P7.1
    async with limited(nats_server, tmp_path, sessions_per_user=2) as gateway:
        async with (
            gateway.client("l9", ["orders.l9.>"], session="l9-a") as one,
            gateway.client("l9", ["orders.l9.>"], session="l9-b") as two,
        ):
            await one.until("live")
            await two.until("live")
            async with gateway.client("l9", ["orders.l9.>"], session="l9-c") as three:
                assert (await three.closed(), three.close_reason) == (4503, "forbidden")
                assert [each["code"] for each in three.of("error")] == ["limit"]
            async with gateway.client("l10", ["orders.l10.>"], session="l9-c") as other:
                await other.until("live")
            async with gateway.client("l9", ["orders.l9.>"], session="l9-b") as again:  # a takeover is no further one
                await again.until("live")
                assert await two.closed() == 4509
            await until(lambda: len(gateway.house.exchange.by_key) == 1)
            async with gateway.client("l9", ["orders.l9.>"], session="l9-c") as three:
                await three.until("live")
            assert one.close_code is None


async def test_sessions_that_race_do_not_pass_the_limit(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with limited(nats_server, tmp_path, sessions_per_user=3) as gateway:
        clients = [gateway.client("l11", ["orders.l11.>"], session=f"l11-{n}") for n in range(12)]
        await asyncio.gather(*(client.open() for client in clients))
        await asyncio.gather(*(client.send(client.connect_frame) for client in clients))
        await until(lambda: all(client.of("live") or client.close_code for client in clients))
        assert len([client for client in clients if client.of("live")]) == 3
        assert {client.close_code for client in clients if not client.of("live")} == {4503}
        await asyncio.gather(*(client.close() for client in clients))
        await until(lambda: not gateway.house.exchange.by_key)
        async with gateway.client("l11", None, session="l11-0") as client:  # and no place is lost to the refused
            await client.until("live")


@pytest.mark.parametrize(
    ("wish", "window"),
    [
        (None, {"messages": 7, "bytes": 2_048}),
        ({}, {"messages": 7, "bytes": 2_048}),
        ({"messages": 1}, {"messages": 1, "bytes": 2_048}),
        ({"bytes": 1}, {"messages": 7, "bytes": 1}),
        ({"messages": 10, "bytes": 4_096}, {"messages": 10, "bytes": 4_096}),
        ({"messages": 11, "bytes": 4_097}, {"messages": 10, "bytes": 4_096}),
        ({"messages": 2**63, "bytes": 2**62}, {"messages": 10, "bytes": 4_096}),
    ],
)
async def test_a_window_is_lowered_to_what_is_allowed(
    nats_server: EmbeddedServer, tmp_path: Path, wish: dict[str, int] | None, window: dict[str, int]
) -> None:  # P2.14
    sizes = {"messages": 7, "max_messages": 10, "bytes": 2_048, "max_bytes": 4_096}
    async with running_gateway(nats_server, tmp_path, window=sizes) as gateway:
        async with gateway.client("l12", ["orders.l12.>"], window=wish) as client:
            await client.until("live")
            assert client.frames[0]["window"] == window


async def test_no_more_than_the_window_is_outstanding(nats_server: EmbeddedServer, tmp_path: Path) -> None:  # P4.4
    async with running_gateway(nats_server, tmp_path, window={"messages": 5, "max_messages": 5}) as gateway:
        async with (
            gateway.client("l13", ["orders.l13.>"], window={"messages": 100}) as slow,
            gateway.client("l13", ["orders.l13.>"], ack=True) as quick,
        ):
            await slow.until("live")
            await quick.until("live")
            seqs = await publish(nats_server, "orders.l13.o1", 20)
            await quick.until("event", 20)
            assert slow.seqs == seqs[:5]
            await slow.send({"type": "ack", "seq": seqs[0]})
            await slow.until("event", 6)
            await slow.send({"type": "request", "id": 1, "subject": "s"})
            await slow.answer(1)
            assert slow.seqs == seqs[:6]


async def test_a_socket_that_takes_nothing_is_given_up_and_its_session_resumes(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:  # P7.2
    async with limited(nats_server, tmp_path, write_stall_s=0.3) as gateway:
        async with gateway.client("l14", ["orders.l14.>"], ack=True) as other:
            await other.until("live")
            plug = socket.socket()
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            plug.setblocking(False)  # noqa: FBT003  # positional only
            await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", gateway.port))
            window = {"messages": 10_000, "bytes": 8 * 1_048_576}
            connect = gateway.client("l14", ["orders.l14.>"], session="l14", window=window).connect_frame
            async with raw_socket(gateway, sock=plug, limit=1_024) as stalled:
                await stalled.send(frame(msgspec.json.encode(connect)))
                assert b"welcome" in (await stalled.read())[1]
                async with linked(nats_server, user="publisher") as link, Publisher(link) as publisher:
                    seqs = [(await publisher.publish("orders.l14.o1", b"\0" * 400_000)).seq for _ in range(14)]
                await until(lambda: gateway.house.counters.closes[4003] == 1)
            await other.until("event", 14)
            assert other.seqs == seqs
            assert other.close_code is None
        await until(lambda: not gateway.house.exchange.by_key)
        async with gateway.client("l14", None, session="l14", ack=True) as back:
            await back.until("live")
            assert back.seqs == seqs


async def test_a_token_has_so_many_bytes(nats_server: EmbeddedServer, tmp_path: Path) -> None:  # P7.1
    async with running_gateway(nats_server, tmp_path) as gateway:
        size = len(gateway.token("l15", read=["orders.l15.o1"]))
    async with limited(nats_server, tmp_path, token_bytes=size) as gateway:
        async with gateway.client("l15", ["orders.l15.o1"], tidewire={"read": ["orders.l15.o1"]}) as client:
            await client.until("live")
        async with gateway.client("l15", ["orders.l15.o1"], tidewire={"read": ["orders.l15.o1234"]}) as client:
            assert await client.closed() == 4501


async def test_tokens_wait_in_a_queue_of_so_many(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with limited(nats_server, tmp_path, verify_queue=2) as gateway:
        clients = [gateway.client("l17", ["orders.l17.>"], session=f"l17-{n}") for n in range(3)]
        async with gateway.house.doorkeeper._turn:  # as if a signature took long
            for client in clients:
                await client.open()
                await client.send(client.connect_frame)
            await until(lambda: any(client.close_code for client in clients))
        refused = [client for client in clients if client.close_code]
        assert [(client.close_code, client.close_reason) for client in refused] == [(4002, REASONS[4002])]
        for client in clients:
            if client not in refused:
                await client.until("live")
            await client.close()


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
async def test_a_frame_nests_so_deep(nats_server: EmbeddedServer, tmp_path: Path, encoding: str) -> None:  # P2.2
    def nested(levels: int) -> dict[str, Any]:
        value: Any = 1
        for _ in range(levels - 1):
            value = [value]
        return {"type": "dance", "x": value}

    async with limited(nats_server, tmp_path, json_depth=8) as gateway:
        async with gateway.client("l16", ["orders.l16.>"], encoding=encoding) as client:
            await client.until("live")
            await client.send(nested(8))
            await client.until("error")
            await client.send(nested(9))
            assert await client.closed() == 4400

"""Drain of a real gateway: goodbyes spread over time, cursors stored, durables parked; another goes on from there."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from mesh.api import Api, ApiError, ConsumerInfo
from mesh.embedded import EmbeddedServer
from mesh.link import Link
from mesh.topology import Topology
from replay.record import Owner, session_key
from tests.gateways import running_gateway
from tests.servers import link_settings, linked, running_server
from tests.system.publishing import publish
from tests.system.raw_socket import CLOSE, raw_socket
from tests.until import until

SPREAD_MS = 60_000


def key_of(subject: str, session: str) -> str:
    return session_key(Owner("tidewire-development", subject, session))


async def test_a_drain_spreads_its_goodbyes_and_another_gateway_goes_on_from_the_cursors(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """P2.42."""
    names = [f"drain{n}" for n in range(12)]
    # acknowledgements wait for a minute, and so does parking: only the drain can store them
    slow: dict[str, Any] = {"cursors": {"save_within_ms": 60_000}, "durables": {"park_after_s": 60}}
    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(
            running_gateway(nats_server, tmp_path, drain={"spread_ms": SPREAD_MS, "timeout_s": 5}, **slow)
        )
        clients = [gateway.client("d1", ["orders.d1.>"], session=name) for name in names]
        for client in clients:
            await client.open()
            await client.send(client.connect_frame)
            await client.until("live")
        seqs = await publish(nats_server, "orders.d1.o1", 12)
        for place, client in enumerate(clients):
            await client.until("event", 12)
            await client.send({"type": "ack", "seq": seqs[place]})
        by_key = gateway.house.exchange.by_key
        await until(lambda: [by_key[key_of("d1", name)].session.acked for name in names] == seqs)
    for client in clients:
        assert (client.close_code, client.close_reason) == (4001, "draining")
        goodbye = client.frames[-1]
        assert (goodbye["type"], goodbye["code"], goodbye["reconnect"]) == ("goodbye", 4001, True)
        assert 0 <= goodbye["after"] <= SPREAD_MS
        await client.close()
    afters = {client.frames[-1]["after"] for client in clients}
    assert len(afters) > 9
    assert max(afters) - min(afters) > SPREAD_MS / 4
    async with linked(nats_server) as operator:
        for place, name in enumerate(names):
            info = await Api(operator).call("CONSUMER.INFO", f"EVENTS.{key_of('d1', name)}", None, ConsumerInfo)
            assert not isinstance(info, ApiError)
            assert info.num_pending == 11 - place
            assert info.config["metadata"]["session"] == name
    async with running_gateway(nats_server, tmp_path) as second:
        for place, name in enumerate(names):
            async with second.client("d1", None, session=name) as back:
                await back.until("live")
                assert back.seqs == seqs[place + 1 :]


async def test_who_connects_during_a_drain_is_sent_on(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with running_gateway(nats_server, tmp_path) as gateway:
        late = gateway.client("d2", ["orders.d2.>"])
        await late.open()  # upgraded, but its first frame comes when the drain has begun
        gateway.house.is_draining = True
        assert (await gateway.get("/ready"))[0] == 503
        assert (await gateway.get("/health"))[0] == 200
        await late.send(late.connect_frame)
        assert (await late.closed(), late.close_reason) == (4001, "draining")
        await late.close()


async def test_a_drain_sends_those_on_who_have_not_said_who_they_are(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """P3.2: 4001, so that they come back at once and count it as no failure."""
    async with contextlib.AsyncExitStack() as sockets:
        async with running_gateway(nats_server, tmp_path, limits={"first_frame_s": 30}) as gateway:
            silent = [await sockets.enter_async_context(raw_socket(gateway)) for _ in range(5)]
            await until(lambda: len(gateway.house.first_frames) == 5)
        for socket in silent:
            assert await socket.ended() == [(CLOSE, (4001).to_bytes(2) + b"draining")]
        assert gateway.house.counters.closes[4001] == 5
        assert not gateway.house.first_frames


async def test_a_drain_does_not_wait_for_sockets_that_never_spoke(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as sockets:
        async with running_gateway(nats_server, tmp_path, limits={"first_frame_s": 30}) as gateway:
            await sockets.enter_async_context(raw_socket(gateway))
            async with gateway.client("d3", ["orders.d3.>"]) as client:
                await client.until("live")
            begun = loop.time()
        assert loop.time() - begun < 5


async def test_a_drain_ends_also_while_nats_is_away(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with running_server(tmp_path / "nats", topology=Topology()) as server:
        async with running_gateway(server, tmp_path / "gateway", drain={"timeout_s": 2}) as gateway:
            client = gateway.client("d4", ["orders.d4.>"])
            await client.open()
            await client.send(client.connect_frame)
            await client.until("live")
            await server.kill()
            await until(lambda: not gateway.house.link.is_up)
            begun = loop.time()
        assert loop.time() - begun < 10
        assert await client.closed() == 4001
        await client.close()


async def test_a_link_ends_although_a_library_swallows_its_cancellation(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Python 3.11 ``asyncio.wait_for`` loses a cancellation that comes together with a refused connection."""
    tries = 0
    trying = asyncio.Event()

    async def connect(link: Link, server: str) -> None:
        nonlocal tries
        tries += 1
        trying.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if tries > 1:
                raise
            raise ConnectionRefusedError(server) from None

    monkeypatch.setattr(Link, "_connect", connect)
    link = Link(link_settings(nats_server))
    await link.start(within_s=None)
    await trying.wait()
    closing = asyncio.create_task(link.close())
    await until(closing.done, 3)
    assert tries >= 1

"""Single faults on real parts, with the SDK as client; the long run mixes them all (tests/chaos)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tidewire_client import Backoff, Client, FileState, GapFrame, core
from tidewire_client.frames import WindowSize

from mesh.api import Api, StreamInfo
from mesh.embedded import EmbeddedServer
from mesh.topology import Topology
from security.errors import UpstreamUnavailable
from tests.chaos.faults_processes import flood
from tests.chaos.small_disk import SmallDisk
from tests.chaos.world import freeze
from tests.gateway_process import running_process
from tests.gateways import Gateway, running_gateway
from tests.servers import fresh_stream, linked, running_server
from tests.system.publishing import publish
from tests.tcp_proxy import TcpProxy
from tests.until import until

SWIFT = Backoff(least_s=0.05, max_s=0.5, quick_s=0.05)


class Told:
    """What a program on the SDK has processed and was told."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.gaps: list[GapFrame] = []
        self.lives = 0

    def live(self, _: int) -> None:
        self.lives += 1

    async def read(self, client: Client, pattern: str) -> None:
        async for event in client.subscribe(pattern):
            self.seqs.append(event.seq)


@asynccontextmanager
async def program(
    url: str, gateway: Any, user: str, state: Path, told: Told, window: int = 1_000
) -> AsyncIterator[Client]:
    """A program that listens to all that is its user's, with its position in a file."""
    client = Client(
        url,
        token=lambda: gateway.token(user, read=[f"orders.{user}.>"]),
        session="phone",
        ca=gateway.state.ca if isinstance(gateway, Gateway) else gateway.ca,
        state=FileState(state),
        window=WindowSize(messages=window),
        backoff=SWIFT,
        on_gap=told.gaps.append,
        on_live=told.live,
        on_error=lambda _: None,
        random=Random(user),
    )
    async with client:
        reading = asyncio.create_task(told.read(client, f"orders.{user}.>"))
        await until(lambda: client.state == "live", 20)
        yield client
    await reading


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    async with running_server(tmp_path_factory.mktemp("nats") / "state", topology=Topology()) as started:
        yield started


@pytest_asyncio.fixture(scope="module")
async def gateway(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with running_gateway(server, tmp_path_factory.mktemp("gateway"), recent={"recent_events": 20}) as started:
        yield started


async def test_over_a_slow_link_with_stalls_and_a_cut_everything_comes_once(
    server: EmbeddedServer, gateway: Gateway, tmp_path: Path
) -> None:
    told = Told()
    async with TcpProxy(gateway.port, random=Random("stalls")) as proxy:
        url = f"wss://127.0.0.1:{proxy.port}/v1/session"
        async with program(url, gateway, "f1", tmp_path / "state", told, window=60) as client:
            proxy.delay_s, proxy.stall_chance, proxy.stall_s = 0.3, 0.05, 0.5
            seqs = await publish(server, "orders.f1.o", 80)
            await until(lambda: len(told.seqs) >= 20, 20)
            assert proxy.cut() == 1
            await until(lambda: len(told.seqs) >= 80 and client.state == "live", 30)
            lives = told.lives
            seqs += await publish(server, "orders.f1.o", 100)
            await until(lambda: len(told.seqs) >= 180, 30)
            await until(lambda: told.lives > lives, 10)  # it fell behind and caught up
    assert told.seqs == seqs
    assert told.gaps == []


async def test_who_asks_while_a_neighbour_fills_the_queue_of_the_jetstream_api_gets_everything(
    server: EmbeddedServer, gateway: Gateway, tmp_path: Path
) -> None:
    away, here = Told(), Told()
    async with program(gateway.url, gateway, "f2", tmp_path / "away", away):
        pass
    missed = await publish(server, "orders.f2.o", 200)  # ten times the recent window: the durable is read
    async with program(gateway.url, gateway, "f3", tmp_path / "here", here):
        flooding = asyncio.create_task(flood(server, bursts=2, wait_s=1.0))
        async with program(gateway.url, gateway, "f2", tmp_path / "away", away):
            seqs = await publish(server, "orders.f3.o", 100)
            await until(lambda: here.seqs == seqs, 30)
            await until(lambda: away.seqs == missed, 30)
        sent, answered = await flooding
    assert sent - answered >= 5_000, "the server dropped a whole queue"
    assert (away.gaps, here.gaps) == ([], [])


async def test_a_purge_and_another_stream_are_told_to_a_program_and_nothing_new_is_missed(
    server: EmbeddedServer, gateway: Gateway, tmp_path: Path
) -> None:
    told = Told()
    async with program(gateway.url, gateway, "f4", tmp_path / "state", told):
        first = await publish(server, "orders.f4.o", 3)
        await until(lambda: told.seqs == first)
    gone = await publish(server, "orders.f4.o", 30)
    async with linked(server) as operator:
        await Api(operator).call("STREAM.PURGE", "EVENTS", None, msgspec.Raw)
    kept = await publish(server, "orders.f4.o", 30)
    async with program(gateway.url, gateway, "f4", tmp_path / "state", told):
        await until(lambda: told.seqs == first + kept)
        assert told.gaps
        assert all(gap.after < gone[0] and gone[-1] < gap.before for gap in told.gaps[:1])
        told.gaps.clear()
        await fresh_stream(server)
        new = await publish(server, "orders.f4.o", 5)
        await until(lambda: told.seqs == first + kept + new, 20)
        assert [gap.reason for gap in told.gaps] == ["stream_replaced"]
    await until(lambda: gateway.house.is_ready, 20)


async def test_a_frozen_gateway_is_left_and_disturbs_nobody_when_it_goes_on(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "PROBE_WITHIN_S", 0.5)
    told = Told()
    async with (
        running_process(server, tmp_path / "keys") as one,
        running_process(server, tmp_path / "keys") as two,
        TcpProxy(one.port, two.port) as proxy,
    ):
        url = f"wss://127.0.0.1:{proxy.port}/v1/session"
        async with program(url, one, "f5", tmp_path / "state", told) as client:
            seqs = await publish(server, "orders.f5.o", 10)
            await until(lambda: told.seqs == seqs)
            await client.flush()
            assert one.process is not None
            thaw = freeze(one.process.pid)
            try:
                seqs += await publish(server, "orders.f5.o", 10)
                client.wake()  # what a program does when its device woke up
                await until(lambda: told.seqs == seqs, 20)
                connections = proxy.connections
            finally:
                thaw()
            seqs += await publish(server, "orders.f5.o", 10)
            await until(lambda: told.seqs == seqs)
            assert (proxy.connections, client.state) == (connections, "live")
        assert told.gaps == []


async def test_a_full_disk_stops_publishers_and_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "nats" / "store", size_mb=24)
    if refused := disk.mount():
        pytest.skip(refused)
    told = Told()
    try:
        async with (
            running_server(tmp_path / "nats", topology=Topology()) as server,
            running_gateway(server, tmp_path / "gateway") as gateway,
            program(gateway.url, gateway, "f6", tmp_path / "state", told),
            linked(server) as operator,
        ):
            seqs = await publish(server, "orders.f6.o", 20)
            await until(lambda: told.seqs == seqs)
            assert disk.fill() > 1_000_000
            with pytest.raises((UpstreamUnavailable, TimeoutError)):
                async with asyncio.timeout(3):
                    seqs += await publish(server, "orders.f6.o", 20_000)
            disk.free()
            await server.stop()
            await server.start()
            await operator.wait_up(20)
            info = await Api(operator).stream_info("EVENTS")
            assert isinstance(info, StreamInfo)
            stored = list(range(1, info.state.last_seq + 1))
            assert stored[: len(seqs)] == seqs
            stored += await publish(server, "orders.f6.o", 20)
            await until(lambda: told.seqs == stored, 20)
            assert told.gaps == []
    finally:
        disk.unmount()

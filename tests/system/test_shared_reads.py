"""Sessions that missed the same stretch of the stream get it from one sweep; what that cannot do their durables do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway import replays
from mesh.api import Api
from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher
from mesh.sweep import Sweep
from mesh.topology import Topology
from security.errors import UpstreamUnavailable
from tests.gateways import Gateway, running_gateway
from tests.servers import linked, running_server
from tests.until import until
from tests.wire_client import WireClient

SMALL: dict[str, Any] = {"recent": {"recent_events": 10}, "durables": {"park_after_s": 60}}
SESSIONS = 40
Resumes = dict[str, tuple[str, int]]


@contextlib.asynccontextmanager
async def opened(gateway: Gateway, resumes: Resumes | None = None, **more: Any) -> AsyncIterator[dict[str, WireClient]]:
    """Everybody's session, all at once."""
    async with contextlib.AsyncExitStack() as stack:
        subjects = [f"c{n}" for n in range(SESSIONS)]
        clients = {
            subject: gateway.client(
                subject,
                [f"orders.{subject}.>", "orders.all"],
                session="phone",
                resume=resumes[subject] if resumes else None,
                tidewire={"read": [f"orders.{subject}.>", "orders.all"]},
                **more,
            )
            for subject in subjects
        }
        await asyncio.gather(*(stack.enter_async_context(client) for client in clients.values()))
        yield clients


async def leave(gateway: Gateway) -> Resumes:
    """Everybody opens a session and goes; returns where they stand."""
    async with opened(gateway) as clients:
        await asyncio.gather(*(client.until("live") for client in clients.values()))
        await until(lambda: not len(gateway.house.parking))  # their durables are made
        stands = {
            subject: (str(client.frames[0]["stream"]), int(client.of("live")[0]["seq"]))
            for subject, client in clients.items()
        }
    await until(lambda: not gateway.house.exchange.by_key)
    return stands


async def miss(server: EmbeddedServer, gateway: Gateway, each: int) -> dict[str, list[int]]:
    """Publish what they miss, in turns; by subject: their own events and those for all."""
    missed: dict[str, list[int]] = {f"c{n}": [] for n in range(SESSIONS)}
    newest = 0
    async with linked(server, user="publisher") as link, Publisher(link) as publisher:
        for _ in range(each):
            for subject, own in missed.items():
                own.append((await publisher.publish(f"orders.{subject}.o1", {})).seq)
            newest = (await publisher.publish("orders.all", {})).seq
            for seqs in missed.values():
                seqs.append(newest)
    await until(lambda: gateway.house.exchange.recent.head == newest)
    return missed


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {verb: count - before.get(verb, 0) for verb, count in after.items() if count > before.get(verb, 0)}


async def test_one_sweep_serves_all_who_missed_the_same(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with running_gateway(nats_server, tmp_path, **SMALL) as gateway:
        resumes = await leave(gateway)
        missed = await miss(nats_server, gateway, 6)
        before = gateway.calls()
        async with opened(gateway, resumes, ack=True) as clients:
            await asyncio.gather(*(client.until("live") for client in clients.values()))
            assert {subject: client.seqs for subject, client in clients.items()} == missed
            calls = grown(before, gateway.calls())
            assert calls["CONSUMER.CREATE"] <= 4
            assert calls["CONSUMER.MSG.NEXT"] <= 12
            counters = gateway.house.counters
            assert counters.events_from_sweeps >= 6 * SESSIONS
            assert counters.events_from_durables <= 2 * 12
            _, text = await gateway.get("/metrics")
            assert f'events_replayed_total{{source="sweep"}} {float(counters.events_from_sweeps)}' in text


async def test_who_reads_slowly_gets_everything_from_a_small_stretch(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    changes = {**SMALL, "sweeps": {"events": 60}}
    async with running_gateway(nats_server, tmp_path, **changes) as gateway:
        resumes = await leave(gateway)
        missed = await miss(nats_server, gateway, 12)
        async with opened(gateway, resumes, ack=True, window={"messages": 3}) as clients:
            await asyncio.gather(*(client.until("live", within_s=30) for client in clients.values()))
            assert {subject: client.seqs for subject, client in clients.items()} == missed
            assert gateway.house.counters.events_from_sweeps > 100


async def test_what_is_gone_is_told_by_a_sweep_as_by_a_durable(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path / "nats", topology=Topology()) as server,
        linked(server) as operator,
        running_gateway(server, tmp_path / "gateway", **SMALL) as gateway,
    ):
        resumes = await leave(gateway)
        missed = await miss(server, gateway, 6)
        gone = missed["c0"][2]
        await Api(operator).call("STREAM.MSG.DELETE", "EVENTS", {"seq": gone}, dict)
        async with opened(gateway, resumes, ack=True) as clients:
            await asyncio.gather(*(client.until("live") for client in clients.values()))
            for subject, client in clients.items():
                gaps = [(gap["after"], gap["before"], gap["reason"]) for gap in client.of("gap")]
                assert gaps == [(gone - 1, gone + 1, "deleted")]
                assert client.seqs == [seq for seq in missed[subject] if seq != gone]
            assert gateway.house.counters.events_from_sweeps > 100


async def test_when_a_sweep_fails_the_durables_replay(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    read = Sweep.read

    async def fail_soon(self: Sweep, most: int, bytes_most: int) -> Any:
        nonlocal reads
        reads += 1
        if reads > 1:
            raise UpstreamUnavailable("the consumer is gone")
        return await read(self, min(most, 50), bytes_most)

    monkeypatch.setattr(Sweep, "read", fail_soon)
    monkeypatch.setattr(replays, "RETRY_S", 3_600.0)
    async with running_gateway(nats_server, tmp_path, **SMALL) as gateway:
        resumes = await leave(gateway)
        missed = await miss(nats_server, gateway, 6)
        async with opened(gateway, resumes, ack=True) as clients:
            await asyncio.gather(*(client.until("live", within_s=30) for client in clients.values()))
            assert {subject: client.seqs for subject, client in clients.items()} == missed
            assert reads == 2
            assert gateway.house.counters.events_from_durables > 100


async def test_without_sweeps_everybody_reads_a_durable(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with running_gateway(nats_server, tmp_path, **SMALL, sweeps={"events": 0}) as gateway:
        resumes = await leave(gateway)
        missed = await miss(nats_server, gateway, 2)
        before = gateway.calls()
        async with opened(gateway, resumes, ack=True) as clients:
            await asyncio.gather(*(client.until("live") for client in clients.values()))
            assert {subject: client.seqs for subject, client in clients.items()} == missed
        assert grown(before, gateway.calls())["CONSUMER.CREATE"] >= SESSIONS

"""Shell: what is measured, step by step, for each way. A step fails unless each session got exactly what was due."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bench.plan import Plan
from bench.process import Child, Failed, cores, cpu_s, rss_kb
from bench.results import Row
from bench.ways import Tidewire, prepare_streams
from mesh.embedded import EmbeddedServer, EmbeddedSettings
from security.development import DevelopmentState

TOKEN_S = 3_600
SETTLE_S = 1.5
"""Seconds after the last event in which acknowledgements are stored; they are part of the cost."""
WARM = 50
"""Sessions that connect before memory is first read, so that what is made once is not counted per connection."""


def say(text: str) -> None:
    """Tell a person how far it is."""
    print(f"bench: {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Bench:
    """One run: a fresh nats-server for each way, one gateway at a time on a core of its own."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.rows: list[Row] = []
        self.folder = folder
        self.keys = DevelopmentState(folder / "keys")
        self.keys.prepare(time.time())
        self.tokens = [self.keys.mint(f"c{n}", TOKEN_S, time.time()) for n in range(plan.sessions)]
        self.measured_on, self.rest_on = cores()

    async def run(self, only: str = "") -> None:
        """All ways, one after the other; or one of them."""
        ways = {"floor": self._floor, "tidewire": self._tidewire, "per-session": self._per_session}
        for name, way in ways.items():
            if only in ("", name):
                await way()

    async def _floor(self) -> None:
        async with self._child("bench.floor_server", on=self.measured_on) as server, self._load("floor") as load:
            started = await server.ask(30, do="start", certificate=str(self.keys.certificate), key=str(self.keys.key))
            course = _Course(self, "floor", server.pid, None, load, None)
            await course.connect_all(started["port"])
            await load.ask(10, do="acks", on=False)
            for together, case in ((1, "live"), (self.plan.missed_each, "replay")):
                each = -(-self.plan.live_each // together) * together
                text = "one event a write" if together == 1 else f"{together} events a write"
                async with course.measured(case, text, each * self.plan.sessions):
                    writing = {"each": each, "rate": self.plan.rate if together == 1 else 0, "together": together}
                    await server.ask(self.plan.patience_s, do="write", **writing)
                    await course.expect(each)

    async def _tidewire(self) -> None:
        plan = self.plan
        async with self._nats("tidewire") as nats, self._publisher(nats) as publisher:
            await self._publishing_alone(nats, publisher)
            gateway = Tidewire(self.folder, self.keys, nats, self.measured_on)
            await gateway.start()
            try:
                async with self._load("tidewire") as load:
                    assert gateway.child is not None, "started"
                    course = _Course(self, "tidewire", gateway.child.pid, nats.pid, load, publisher)
                    await course.connect_all(gateway.port)
                    await gateway.quiet(plan.patience_s, plan.sessions)
                    await course.live()
                    await course.cut()
                    await gateway.empty(plan.patience_s)
                    await course.come_back("resume", "resume, nothing missed")
                    before = await gateway.consumer_calls()
                    await course.cut()
                    await gateway.empty(plan.patience_s)
                    await course.come_back("replay window", "replay, recent window", missed=plan.missed_each)
                    after = await gateway.consumer_calls()
                    if before != after:
                        raise Failed(f"a replay from the recent window called JetStream: {before} became {after}")
                    await course.cut()
                    await gateway.child.stop()
                    say("tidewire: gateway with a small recent window")
                    await gateway.start(recent_events=plan.small_window, park_after_s=0.5)
                    course.gateway_pid = gateway.child.pid
                    await load.ask(10, do="target", port=gateway.port)
                    await course.come_back("connect", "")
                    await course.cut()
                    await gateway.quiet(plan.patience_s, 0)
                    await course.come_back("replay durable", "replay, durable", missed=plan.missed_each)
                    await gateway.quiet(plan.patience_s, plan.sessions)
                    await course.cut()
            finally:
                if gateway.child is not None:
                    await gateway.child.stop()

    async def _per_session(self) -> None:
        plan = self.plan
        async with (
            self._nats("per-session") as nats,
            self._publisher(nats) as publisher,
            self._child("bench.per_session_server", on=self.measured_on) as server,
            self._load("per-session") as load,
        ):
            started = await server.ask(
                30,
                do="start",
                url=nats.url,
                password=nats.password("gateway").reveal(),
                certificate=str(self.keys.certificate),
                key=str(self.keys.key),
            )
            course = _Course(self, "consumer per session", server.pid, nats.pid, load, publisher)
            await course.connect_all(started["port"])
            await asyncio.sleep(SETTLE_S)
            await course.live()
            await course.cut()
            await course.come_back("resume", "resume, nothing missed")
            await course.cut()
            await course.come_back("replay durable", "replay, durable", missed=plan.missed_each)

    async def _publishing_alone(self, nats: EmbeddedServer, publisher: Child) -> None:
        """What nats-server spends on storing events that nobody reads: taken off the live rows."""
        plan = self.plan
        count = plan.sessions * plan.live_each
        say(f"publishing alone: {count} events")
        assert nats.pid is not None, "running"
        before = cpu_s(nats.pid)
        await publisher.ask(plan.patience_s, do="publish", sessions=0, each=count, rate=plan.rate)
        self.rows.append(
            Row(way="nobody", case="publish", text="publish only", events=count, nats_cpu_s=cpu_s(nats.pid) - before)
        )

    @contextlib.asynccontextmanager
    async def _child(self, module: str, *, on: set[int]) -> AsyncIterator[Child]:
        child = Child(module, on=on, log=self.folder / f"{module}.log")
        await child.start()
        try:
            yield child
        finally:
            await child.stop()

    @contextlib.asynccontextmanager
    async def _load(self, way: str) -> AsyncIterator[Child]:
        async with self._child("bench.load_client", on=self.rest_on) as load:
            await load.ask(30, do="begin", ca=str(self.keys.ca), counting=way != "floor", tokens=self.tokens)
            yield load

    @contextlib.asynccontextmanager
    async def _nats(self, way: str) -> AsyncIterator[EmbeddedServer]:
        settings = EmbeddedSettings(state_dir=self.folder / f"nats-{way}", stop_within_s=60.0)
        async with EmbeddedServer(settings) as nats:
            await prepare_streams(nats)
            yield nats

    @contextlib.asynccontextmanager
    async def _publisher(self, nats: EmbeddedServer) -> AsyncIterator[Child]:
        async with self._child("bench.publish_process", on=self.rest_on) as publisher:
            await publisher.ask(30, do="connect", url=nats.url, password=nats.password("publisher").reveal())
            yield publisher


class _Course:
    """One way's sessions through all cases."""

    def __init__(
        self, bench: Bench, way: str, gateway_pid: int, nats_pid: int | None, load: Child, publisher: Child | None
    ) -> None:
        self.gateway_pid = gateway_pid
        self._bench = bench
        self._plan = bench.plan
        self._way = way
        self._nats_pid = nats_pid
        self._load = load
        self._publisher = publisher
        self._due = 0
        self._seen: dict[str, Any] = {}

    async def connect_all(self, port: int) -> None:
        """Connect every session, and see what memory one costs."""
        plan, load = self._plan, self._load
        say(f"{self._way}: {plan.sessions} sessions connect")
        await load.ask(10, do="target", port=port)
        await self._open(0, WARM)
        await asyncio.sleep(SETTLE_S)
        before_kb, before_s, begun = rss_kb(self.gateway_pid), cpu_s(self.gateway_pid), time.monotonic()
        await self._open(WARM, plan.sessions)
        took_s, count = time.monotonic() - begun, plan.sessions - WARM
        await asyncio.sleep(SETTLE_S)
        self._bench.rows.append(
            Row(
                way=self._way,
                case="connect",
                text="new session: TLS, upgrade, connect",
                sessions=count,
                seconds=took_s,
                gateway_cpu_s=cpu_s(self.gateway_pid) - before_s,
                rss_kb=(rss_kb(self.gateway_pid) - before_kb) / count,
            )
        )

    async def live(self) -> None:
        """Events to live sessions: acknowledged one by one, then not at all."""
        plan = self._plan
        for acks, each in ((True, plan.live_each), (False, plan.live_each // 2)):
            await self._load.ask(10, do="acks", on=acks)
            text = "live, each event acknowledged" if acks else "live, delivery alone"
            async with self.measured("live acked" if acks else "live", text, each * plan.sessions):
                await self._publish(each, plan.rate)
                await self.expect(each)
                if acks:
                    await asyncio.sleep(SETTLE_S)
        await self._load.ask(10, do="acks", on=True)
        await asyncio.sleep(SETTLE_S)

    async def cut(self) -> None:
        """Every client vanishes."""
        await self._load.ask(30, do="cut")
        await asyncio.sleep(SETTLE_S)

    async def come_back(self, case: str, text: str, missed: int = 0) -> None:
        """All clients come back; measured from their ``connect`` frames on. Sockets and TLS are not in it."""
        plan, load = self._plan, self._load
        if missed:
            say(f"{self._way}: {missed * plan.sessions} events while everyone is away")
            await self._publish(missed, 0)
            if "durable" in case:
                assert self._publisher is not None, "events come from it"
                await self._publisher.ask(plan.patience_s, do="publish", sessions=0, each=plan.filler, rate=0)
            await asyncio.sleep(SETTLE_S)
        await load.ask(plan.patience_s, do="open", first=0, last=plan.sessions)
        await asyncio.sleep(SETTLE_S)
        async with self.measured(case, text, missed * plan.sessions, sessions=plan.sessions):
            await load.ask(plan.patience_s, do="hello", first=0, last=plan.sessions, within_s=plan.patience_s - 5)
            await self.expect(missed)
            self._seen["seconds"] = time.monotonic()
            await asyncio.sleep(SETTLE_S)

    async def expect(self, more: int) -> None:
        """Wait until each session has had exactly so many more events."""
        self._due += more
        patience_s = self._plan.patience_s
        answer = await self._load.ask(patience_s, do="expect", each=self._due, within_s=patience_s - 5)
        self._seen |= answer

    @contextlib.asynccontextmanager
    async def measured(self, case: str, text: str, events: int, sessions: int = 0) -> AsyncIterator[None]:
        """CPU of both servers over a step; a row of the results unless ``text`` is empty."""
        if text:
            say(f"{self._way}: {text}, {events} events")
        self._seen = {}
        begun, gateway_s, nats_s = time.monotonic(), cpu_s(self.gateway_pid), self._nats_s()
        yield
        if not text:
            return
        row = Row(
            way=self._way,
            case=case,
            text=text,
            events=events,
            sessions=sessions,
            seconds=self._seen.get("seconds", time.monotonic()) - begun,
            gateway_cpu_s=cpu_s(self.gateway_pid) - gateway_s,
            nats_cpu_s=self._nats_s() - nats_s,
            p50_ms=self._seen.get("p50_ms", 0.0) if case.startswith("live") and self._nats_pid else 0.0,
            p99_ms=self._seen.get("p99_ms", 0.0) if case.startswith("live") and self._nats_pid else 0.0,
        )
        self._bench.rows.append(row)

    def _nats_s(self) -> float:
        return cpu_s(self._nats_pid) if self._nats_pid is not None else 0.0

    async def _open(self, first: int, last: int) -> None:
        patience_s = self._plan.patience_s
        await self._load.ask(patience_s, do="open", first=first, last=last)
        await self._load.ask(patience_s, do="hello", first=first, last=last, within_s=patience_s - 5)

    async def _publish(self, each: int, rate: int) -> None:
        assert self._publisher is not None, "events come from it"
        count = self._plan.sessions
        told = await self._publisher.ask(self._plan.patience_s, do="publish", sessions=count, each=each, rate=rate)
        if told["published"] != each * count:
            raise Failed(f"{told['published']} of {each * count} events were stored")

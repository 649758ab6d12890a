"""Shell: `tidewire serve` with one worker and with two, under the same load.

On four cores or more each worker has a core. On fewer the load generator needs one, and both workers share the measured
one: then they carry no more than one does, and what can be shown is that a delivery costs no more CPU.
"""

import asyncio
import contextlib
import os
import socket
import urllib.request
from pathlib import Path

import msgspec

from bench.cases.course import Course, running
from bench.cases.turns import by_turns, turning
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import Child, Failed
from bench.way import Order, Site
from bench.ways.tidewire import READY_S, Tidewire, gateway_config
from gateway import config as has
from gateway.config_text import effective

CASE = "workers"
WARM = 3
"""Events before the first that counts."""
ROOM = 4
"""Cores from which on each of two workers has one of its own."""
POLL_S = 0.1


class Served(Tidewire):
    """`tidewire serve` with so many workers on one port."""

    def __init__(self, site: Site, workers: int) -> None:
        super().__init__(site)
        self.workers = workers
        self._metrics_ports: list[int] = []

    async def start_gateway(self) -> None:
        """Return when the workers are ready."""
        folder = self.jetstream.folder
        self.port, *self._metrics_ports = free_ports(1 + self.workers)
        config = gateway_config(
            folder,
            self._site.keys,
            self.jetstream.nats,
            recent_events=self.recent_events,
            park_after_s=self.park_after_s,
        )
        config = msgspec.structs.replace(
            config,
            listen=msgspec.structs.replace(config.listen, port=self.port),
            metrics=has.Metrics(port=self._metrics_ports[0]),
        )
        path, log = folder / "serve.toml", folder / "serve.log"
        path.write_text(effective(config), encoding="utf-8")
        arguments = ("serve", "--config", str(path), "--workers", str(self.workers))
        self._gateway = Child("gateway", *arguments, on=self._site.measured_on, log=log)
        await self._gateway.start()
        async with asyncio.timeout(READY_S):
            while not _is_ready(log):  # noqa: ASYNC110  # another process: nothing to wait on
                await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        """End every process: the workers end with their supervisor when that is told, and not when it is killed."""
        await self.stop_gateway()
        await self.jetstream.stop()

    async def metrics(self) -> str:
        """What all workers tell: on the clients' port one of them would answer, whichever."""
        return "".join([await asyncio.to_thread(_read, port) for port in self._metrics_ports])

    def servers(self) -> list[int]:
        """The workers, without their supervisor, which waits."""
        assert self._gateway is not None, "started"
        pid = self._gateway.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


async def workers(site: Site, plan: Plan) -> list[Measurement]:
    """CPU of a delivery, one event at a time, and deliveries a second, as fast as it goes."""
    if len(os.sched_getaffinity(0) | site.measured_on) >= ROOM:
        second = min(site.rest_on)
        site = msgspec.structs.replace(site, measured_on=site.measured_on | {second}, rest_on=site.rest_on - {second})

    async def turn(course: Course) -> list[Measurement]:
        return [await _measure(site, plan, course)]

    made = {count: Served(site, count) for count in (1, 2)} if plan.takes(Tidewire.name) else {}
    stands = {
        _name(count): turning(running(site, plan, way, plan.sessions, shared=True), turn) for count, way in made.items()
    }
    return await by_turns(CASE, stands, plan.turns)


async def _measure(site: Site, plan: Plan, course: Course) -> Measurement:
    way, events, burst = course.way, plan.workers_events // plan.turns, plan.workers_burst // plan.turns
    assert isinstance(way, Served), "what was made above"
    await course.acks(each=0)
    await course.one_by_one(WARM)
    async with course.spending() as spent:
        await course.one_by_one(events)
    values = spent.each(events * plan.sessions)
    async with course.spending() as fast:
        await way.publish(Order(events=burst, rate=0))
        await course.expect(burst)
    values["events_per_s"] = burst * plan.sessions / fast.seconds
    values["cores"] = float(len(site.measured_on))
    return Measurement(case=CASE, way=_name(way.workers), values=values)


def _name(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"


def _is_ready(log: Path) -> bool:
    return " ready " in log.read_text(encoding="utf-8", errors="replace")


def _read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def free_ports(count: int) -> list[int]:
    """So many free ports in a row. Raises ``Failed`` when none are found in a hundred tries."""
    for _ in range(100):
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for more in range(port + 1, port + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", more))
            except (OSError, OverflowError):
                continue
            return list(range(port, port + count))
    raise Failed(f"no {count} free ports in a row")

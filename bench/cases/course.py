"""Shell: one way's processes and its devices through the steps of a case.

A step fails unless each session got exactly what was due: the load client counts.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path

from bench.measurement import Measurement
from bench.plan import EVERYONE, Plan, subject
from bench.process import Child, Failed, cpu_s, rss_kb
from bench.progress import say
from bench.tables import number
from bench.way import Order, Site, Way
from bench.ways import WAYS
from bench.ways.tidewire import Tidewire
from security.errors import TidewireError

TOKEN_S = 3_600 * 6
SETTLE_S = 1.5
"""Seconds after the last event in which acknowledgements are stored; they are part of the cost."""


class Spent:
    """CPU and time of a step; read it after the step."""

    def __init__(self) -> None:
        self.server_s = 0.0
        """Seconds of CPU of the processes that hold the sockets."""
        self.broker_s = 0.0
        """The same of what stands behind them."""
        self.seconds = 0.0
        """Seconds of wall time, until ``settle`` or the end."""

    def each(self, events: int) -> dict[str, float]:
        """Values of a measurement, for so many delivered events."""
        values = {"server_us": self.server_s / events * 1e6}
        if self.broker_s:
            values["broker_us"] = self.broker_s / events * 1e6
        return values | {"events_per_s": events / self.seconds}


class Course:
    """A way that runs, and devices that its events go to."""

    def __init__(self, plan: Plan, way: Way, load: Child, sessions: int) -> None:
        self.way = way
        self.load = load
        self.sessions = sessions
        """Devices, all of which must get what is due."""
        self.patience_s = plan.patience_s
        self._due = 0

    async def connect(self, first: int = 0, last: int | None = None) -> None:
        """Open sockets and sessions of these devices, all by default; return when each is live."""
        await self.open(first, last)
        await self.hello(first, last)

    async def open(self, first: int = 0, last: int | None = None) -> None:
        """Open the sockets: TLS and the upgrade, no more."""
        last = self.sessions if last is None else last
        await self.load.ask(10, do="target", port=self.way.port)
        await self.load.ask(self.patience_s, do="open", first=first, last=last)

    async def hello(self, first: int = 0, last: int | None = None) -> None:
        """Begin a session on each open socket; return when each is live."""
        patience_s, last = self.patience_s, self.sessions if last is None else last
        await self.load.ask(patience_s, do="hello", first=first, last=last, within_s=patience_s - 5)

    async def acks(self, *, each: int, within_s: float = 0.0) -> None:
        """Have every ``each`` events acknowledged from now on, after what is outstanding; 0: none.

        ``within_s``: seconds after which fewer are acknowledged, too; 0: they wait.
        """
        await self.load.ask(10, do="acks", each=each, within_s=within_s)

    async def expect(self, more: int) -> dict[str, float]:
        """Wait until each device has had exactly so many more events; returns latencies in ms."""
        self._due += more
        return await self.load.ask(self.patience_s, do="expect", each=self._due, within_s=self.patience_s - 5)

    async def broadcast(self, events: int) -> None:
        """Publish so many events to everyone at once; return when every device has them."""
        await self.way.publish(Order(events=events, rate=0, together=events))
        await self.expect(events)

    async def one_by_one(self, events: int) -> None:
        """Broadcast one event, and the next when every device has it: no two ever share a write."""
        for _ in range(events):
            await self.broadcast(1)

    async def writes(self) -> int:
        """Writes that have come to the devices so far, over all of their connections that are open."""
        told: int = (await self.load.ask(30, do="segments"))["segments"]
        return told

    async def settled(self) -> None:
        """Return when nothing is left to do for sessions that are new: a gateway places their durables meanwhile."""
        if isinstance(self.way, Tidewire):
            await self.way.quiet(self.patience_s, self.sessions)
        await asyncio.sleep(SETTLE_S)

    async def cut(self) -> None:
        """Every device vanishes."""
        await self.load.ask(30, do="cut")
        await asyncio.sleep(SETTLE_S)

    def resident_kb(self) -> int:
        """KiB that the processes with the sockets have resident."""
        return sum(map(rss_kb, self.way.servers()))

    @contextlib.asynccontextmanager
    async def spending(self, *, settle: bool = True) -> AsyncIterator[Spent]:
        """Measure the step inside. ``settle``: what is done shortly after it is counted, but not its time."""
        spent = Spent()
        servers, brokers = self.way.servers(), self.way.brokers()
        begun, server_s, broker_s = time.monotonic(), sum(map(cpu_s, servers)), sum(map(cpu_s, brokers))
        yield spent
        spent.seconds = time.monotonic() - begun
        if settle:
            await asyncio.sleep(SETTLE_S)
        spent.server_s = sum(map(cpu_s, servers)) - server_s
        spent.broker_s = sum(map(cpu_s, brokers)) - broker_s


@contextlib.asynccontextmanager
async def running(
    site: Site, plan: Plan, way: Way, sessions: int, *, shared: bool = False, connect: bool = True
) -> AsyncIterator[Course]:
    """Start a way and its devices, and end both. ``shared``: all read one subject, instead of each its own."""
    load = Child("bench.load_client", on=site.rest_on, log=Path(site.folder) / "load.log")
    try:
        await way.start()
        await load.start()
        await load.ask(
            30,
            do="begin",
            ca=str(site.keys.ca),
            counting=way.name != "floor",
            tokens=tokens(site, sessions),
            shared=shared,
            dialect=way.dialect,
        )
        course = Course(plan, way, load, sessions)
        if connect:
            await course.connect()
            await course.settled()
        yield course
    finally:
        await load.stop()
        await way.stop()


def tokens(site: Site, sessions: int) -> list[str]:
    """A token for each session, good for its own subjects and the shared one; made once a run."""
    made, now = site.tokens, time.time()
    for session in range(len(made), sessions):
        read = [EVERYONE, subject(session)]
        made.append(site.keys.mint(f"c{session}", TOKEN_S, now, {"tidewire": {"read": read}}))
    return made[:sessions]


async def each_way(
    site: Site, plan: Plan, case: str, names: Iterable[str], one: Callable[[Way], Awaitable[list[Measurement]]]
) -> list[Measurement]:
    """Take a case through the ways of ``names`` that were chosen and are there. One that fails does not stop others."""
    measured: list[Measurement] = []
    for way in chosen(site, plan, names):
        measured += await attempt(case, way.name, one(way))
    return measured


def chosen(site: Site, plan: Plan, names: Iterable[str]) -> Iterator[Way]:
    """A new one of each way of ``names`` that was chosen and is there."""
    for name in names:
        if name in WAYS and plan.takes(name):
            way = WAYS[name](site)
            if not way.missing():
                yield way


async def attempt(case: str, name: str, work: Awaitable[list[Measurement]]) -> list[Measurement]:
    """What the work measured, told at once; or that it failed, and why."""
    say(f"{case}: {name}")
    try:
        measured = await work
    except (Failed, TimeoutError, OSError, TidewireError) as error:
        say(f"{case}: {name} FAILED: {error}")
        return [Measurement(case=case, way=name, values={}, failed=in_short(error))]
    for each in measured:
        told = ", ".join(f"{key} {number(value)}" for key, value in each.values.items())
        say(f"  {each.case}, {each.way}: {told}")
    return measured


def in_short(error: Exception) -> str:
    """A failure in one line: how it begins, and its last line, which is what a traceback says in the end."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    told = lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1]}"
    return f"{type(error).__name__}: {told[:400]}"

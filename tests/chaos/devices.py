"""One process of devices: clients on the SDK, each with its position in a file, that come and go.

Reads a plan as one line of JSON, then commands, a line each; says on standard output what happens
(tests/chaos/trace.py). A line is written before the event counts as processed, so that a killed process has said
whatever it has done.
"""

import asyncio
import os
import sys
import time
import traceback
from pathlib import Path
from random import Random

import msgspec
from tidewire_client import Backoff, Client, FileState, GapFrame, Position, Scope
from tidewire_client.frames import EventFrame, Incoming, Welcome, WindowSize

from security.development import DevelopmentState
from tests.chaos import trace

TOKEN_TTL_S = 100
"""Tokens end during the run, so that refreshing them is part of it."""
BACKOFF = Backoff(max_s=4.0)
UNIX_S = time.time


class DevicePlan(msgspec.Struct, frozen=True):
    """One device."""

    name: str
    """Name of its trace and of its file; two devices of one session have two."""
    user: str
    session: str
    patterns: tuple[str, ...]
    url: str
    window: int
    roams: bool = True
    begins: bool = True
    """Whether it is there from the start."""


class Plan(msgspec.Struct, frozen=True):
    """What a process of devices is to do."""

    seed: str
    keys: str
    """Folder of the issuer's keys."""
    folder: str
    """Where the positions are kept."""
    devices: tuple[DevicePlan, ...]


class Command(msgspec.Struct, frozen=True):
    """``away``, ``back``, ``stay`` (roam no more), ``roam``, ``clock`` (by seconds), ``crash`` (when), ``end``."""

    do: str
    names: tuple[str, ...] = ()
    by_s: float = 0.0
    when: str = ""


def say(line: trace.Line) -> None:
    """Write a line at once and whole."""
    data = msgspec.json.encode(line) + b"\n"
    while data:
        data = data[os.write(1, data) :]


class Host:
    """What the devices of a process share."""

    def __init__(self, plan: Plan) -> None:
        self.keys = DevelopmentState(Path(plan.keys))
        self.folder = Path(plan.folder)
        self.roaming = asyncio.Event()
        self.roaming.set()
        self.crash_when = ""
        self.clock_by_s = 0.0

    def unix_s(self) -> float:
        """The time of day as these devices believe it to be."""
        return UNIX_S() + self.clock_by_s


class CrashingState(FileState):
    """A file that a crash strikes just before or just after a position is written."""

    def __init__(self, path: Path, host: Host) -> None:
        super().__init__(path)
        self._host = host

    async def save(self, scope: Scope, position: Position | None) -> None:
        if self._host.crash_when == "before":
            os._exit(9)
        await super().save(scope, position)
        if self._host.crash_when == "after":
            os._exit(9)


class TracedClient(Client):
    """Says what comes on the wire, and that each connection brings rising sequences, none twice."""

    name = ""
    _newest: tuple[int, int] = (0, 0)

    def on_frames(self, number: int, frames: list[Incoming]) -> None:
        now_s, events = time.monotonic(), 0
        for frame in frames:
            if isinstance(frame, EventFrame):
                events += 1
                connection, newest = self._newest
                if connection == number and frame.seq <= newest:
                    say(trace.Wrong(self.name, now_s, number, f"{frame.seq} after {newest}"))
                self._newest = (number, frame.seq)
            elif isinstance(frame, GapFrame):
                say(trace.WireGap(self.name, now_s, number, frame.after, frame.before, frame.reason))
            elif isinstance(frame, Welcome):
                say(trace.Welcomed(self.name, now_s, number, frame.stream, frame.outcome, frame.after))
        if events:
            say(trace.Frames(self.name, now_s, events))
        super().on_frames(number, frames)


class Device:
    """One device: there, or away."""

    def __init__(self, plan: DevicePlan, host: Host, random: Random) -> None:
        self.plan = plan
        self.wanted = asyncio.Event()
        if plan.begins:
            self.wanted.set()
        self.leave = asyncio.Event()
        self._host = host
        self._random = random
        self._state = CrashingState(host.folder / f"{plan.name}.state", host)

    async def run(self) -> None:
        """Come and go until the process ends."""
        while True:
            await self.wanted.wait()
            self.leave.clear()
            await self.visit()
            if self.wanted.is_set():
                await asyncio.sleep(self._random.uniform(0.5, 8.0))

    async def visit(self) -> None:
        """One life of a client; ends when it is sent away, roams away, or its session ends for good."""
        plan, now_s = self.plan, time.monotonic
        stored = self._state._read()  # what the client will begin with, said before it begins
        position = stored.position if stored is not None else None
        say(
            trace.Begin(plan.name, now_s(), position.stream if position else "", position.seq if position else 0),
        )
        client = TracedClient(
            plan.url,
            token=self._token,
            session=plan.session,
            state=self._state,
            ca=self._host.keys.ca,
            window=WindowSize(messages=plan.window),
            backoff=BACKOFF,
            on_gap=lambda gap: say(trace.ToldGap(plan.name, now_s(), gap.after, gap.before, gap.reason)),
            on_state=lambda state: say(trace.State(plan.name, now_s(), state)),
            on_error=lambda _: None,
            random=self._random,
        )
        client.name = plan.name
        why = trace.LEFT
        async with client:
            reading = asyncio.create_task(self._read(client))
            leaving = asyncio.create_task(self._until_leaving())
            await asyncio.wait([reading, leaving], return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if reading.done() and (error := reading.exception()) is not None:
                why = f"{type(error).__name__}: {error}"
                self.wanted.clear()
            reading.cancel()
            await asyncio.gather(reading, leaving, return_exceptions=True)
        say(trace.Away(plan.name, now_s(), why))

    async def _read(self, client: Client) -> None:
        async for event in client.subscribe(*self.plan.patterns):
            say(trace.Done(self.plan.name, time.monotonic(), event.seq, event.data["n"], event.subject))

    async def _until_leaving(self) -> None:
        stay_s = self._random.uniform(5.0, 45.0) if self.plan.roams else float("inf")
        try:
            async with asyncio.timeout(None if stay_s == float("inf") else stay_s):
                await self.leave.wait()
        except TimeoutError:
            if not self._host.roaming.is_set():
                await self.leave.wait()

    def _token(self) -> str:
        claims = {"tidewire": {"read": ["orders.>"]}}
        return self._host.keys.mint(self.plan.user, TOKEN_TTL_S, UNIX_S(), claims)


def obey(command: Command, devices: dict[str, Device], host: Host) -> None:
    """Do what the run asks for."""
    match command.do:
        case "away":
            for name in command.names:
                devices[name].wanted.clear()
                devices[name].leave.set()
        case "back":
            for name in command.names or devices:
                devices[name].wanted.set()
        case "stay":
            host.roaming.clear()
        case "roam":
            host.roaming.set()
        case "clock":
            host.clock_by_s = command.by_s
        case "crash":
            host.crash_when = command.when
        case _:
            raise AssertionError(f"no such command: {command.do}")


async def main() -> None:
    """Run until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    plan = msgspec.json.decode(await reader.readline(), type=Plan)
    host = Host(plan)
    time.time = host.unix_s  # what the client reads; the trace has a clock of its own
    devices = {each.name: Device(each, host, Random(f"{plan.seed}/{each.name}")) for each in plan.devices}
    tasks = [asyncio.create_task(device.run()) for device in devices.values()]
    commands = asyncio.create_task(reader.readline())
    while True:
        await asyncio.wait([commands, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done() and (error := task.exception()) is not None:
                traceback.print_exception(error)
                os._exit(1)
        if commands.done():
            line = commands.result()
            if not line:
                os._exit(0)
            obey(msgspec.json.decode(line, type=Command), devices, host)
            commands = asyncio.create_task(reader.readline())


if __name__ == "__main__":
    asyncio.run(main())

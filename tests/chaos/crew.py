"""The processes of devices, as the run sees them: their plans, what they are told to do, what they say."""

import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec

from tests.chaos import trace
from tests.chaos.devices import Command, DevicePlan, Plan


class Traces:
    """What all devices have said, by name."""

    def __init__(self) -> None:
        self.lines: dict[str, list[trace.Line]] = defaultdict(list)
        self.states: dict[str, str] = {}
        self.done: dict[str, set[int]] = defaultdict(set)
        self.counts: Counter[str] = Counter()
        self.takeovers = 0
        """How often a device was told that its session is connected elsewhere."""

    def take(self, line: trace.Line) -> None:
        """Keep one line."""
        match line:
            case trace.Frames():
                self.counts["deliveries"] += line.events
                return
            case trace.State():
                self.states[line.name] = line.state
            case trace.Done():
                self.done[line.name].add(line.number)
            case trace.Away():
                self.states[line.name] = "away"
                self.takeovers += line.why.startswith("TakenOver")
            case _:
                pass
        self.counts[type(line).__name__] += 1
        self.lines[line.name].append(line)


class Crew:
    """One process of devices. It can be killed and started again; the positions are in files."""

    def __init__(self, name: str, plan: Plan, traces: Traces) -> None:
        self.name = name
        self.plan = plan
        self.exits = 0
        """How often the process has ended and was not asked to."""
        self._traces = traces
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._lives = 0

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process with the plan."""
        self._lives += 1
        plan = msgspec.structs.replace(self.plan, seed=f"{self.plan.seed}/{self._lives}")
        with Path(self.plan.folder, f"{self.name}.log").open("ab") as log:  # noqa: ASYNC230  # a local file, once
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.chaos.devices",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=1 << 20,
            )
        self._reader = asyncio.create_task(self._read(self._process))
        await self._write(plan)

    async def tell(self, do: str, *names: str, by_s: float = 0.0, when: str = "") -> None:
        """Give a command; one to a process that is gone is lost."""
        await self._write(Command(do, names, by_s, when))

    async def ended(self, within_s: float) -> bool:
        """Wait for the process to end by itself."""
        assert self._reader is not None
        done, _ = await asyncio.wait([self._reader], timeout=within_s)
        return bool(done)

    async def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        assert self._reader is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def _write(self, what: Command | Plan) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(what) + b"\n")
            await self._process.stdin.drain()
        except OSError:
            pass  # it is gone; its end is seen elsewhere

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.endswith(b"\n"):
                self._traces.take(trace.decoder.decode(line))
        await process.wait()
        for device in self.plan.devices:
            if self._traces.states.get(device.name, "away") != "away":
                self._traces.take(trace.Away(device.name, time.monotonic(), trace.DIED))


def plan_devices(
    seed: str, subjects: Sequence[str], urls: Sequence[str], counts: Sequence[int], shared: int
) -> list[list[DevicePlan]]:
    """Devices for each process. The first ``shared`` sessions have two devices, in the first two processes."""
    random = Random(f"{seed}/devices")
    crews: list[list[DevicePlan]] = []
    for crew, count in enumerate(counts):
        devices: list[DevicePlan] = []
        for place in range(count):
            is_shared = crew < 2 and place < shared
            session = f"both{place}" if is_shared else f"c{crew}n{place:02}"
            patterns = Random(f"{seed}/{session}").sample(list(subjects), 3)
            devices.append(
                DevicePlan(
                    name=f"{session}.{'ab'[crew]}" if is_shared else session,
                    user=f"user-{session}",
                    session="phone",
                    patterns=tuple(sorted(patterns)),
                    url=random.choice(urls),
                    window=random.choice([5, 50, 1000]),
                    roams=not is_shared and crew < 2,
                    begins=not (is_shared and crew == 1),
                )
            )
        crews.append(devices)
    return crews

"""Shell: child processes on chosen cores, and what the operating system says that they cost."""

import asyncio
import contextlib
import os
import resource
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from bench.proc_stat import cpu_clock, resident_kb

STOP_S = 40.0
"""Seconds that a child has to end after SIGTERM; a gateway drains meanwhile."""


class Failed(Exception):
    """A child said that something is wrong, or a step took too long."""


def cores() -> tuple[set[int], set[int]]:
    """The core of the process that is measured, and those of everything else; the same when there is only one."""
    free = sorted(os.sched_getaffinity(0))
    return {free[0]}, set(free[1:]) or {free[0]}


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used, user and system, counted in nanoseconds."""
    return time.clock_gettime(cpu_clock(pid))


def rss_kb(pid: int) -> int:
    """KiB of memory that a process has resident."""
    return resident_kb(Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))


async def end(process: asyncio.subprocess.Process | None, within_s: float) -> None:
    """End a process that was started with SIGTERM, and with SIGKILL when it takes longer; safe to repeat."""
    if process is None or process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(within_s):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class Child:
    """A Python child process that answers a JSON line for each JSON line."""

    def __init__(self, module: str, *arguments: str, on: set[int], log: Path) -> None:
        self._arguments = ("-m", module, *arguments)
        self._on = on
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "started"
        return self._process.pid

    async def start(self) -> None:
        """Start it on its cores."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=1_048_576,
                start_new_session=True,  # as nats-server has: a core may be shared out by session
                preexec_fn=lambda: os.sched_setaffinity(0, self._on),
            )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()

    async def ask(self, within_s: float, /, **command: Any) -> dict[str, Any]:
        """Send a command; returns its answer. Raises ``Failed``."""
        assert self._process is not None, "started"
        assert self._process.stdin is not None, "a pipe"
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        return await self.answer(within_s)

    async def answer(self, within_s: float) -> dict[str, Any]:
        """The next line that it says. Raises ``Failed``."""
        assert self._process is not None, "started"
        assert self._process.stdout is not None, "a pipe"
        try:
            async with asyncio.timeout(within_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise Failed(f"{self._arguments[1]} did not answer within {within_s} s") from None
        if not line:
            raise Failed(f"{self._arguments[1]} ended: {self._log.read_text(errors='replace')[-2_000:]}")
        answer: dict[str, Any] = msgspec.json.decode(line)
        if "error" in answer:
            raise Failed(f"{self._arguments[1]}: {answer['error']}")
        return answer

    async def kill(self) -> None:
        """End it with SIGKILL, as a crash does; safe to repeat."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def stop(self) -> None:
        """End it with SIGTERM; safe to repeat."""
        await end(self._process, STOP_S)

"""Shell: a server that is not ours, as a child process on chosen cores."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from bench.process import Failed, end

STOP_S = 15.0
"""Seconds that it has to end after SIGTERM."""
_POLL_S = 0.05
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_TOLD = 1_000
"""Characters of its log that are shown when it does not start."""


def free_port() -> int:
    """A port on the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Program:
    """One process; what it prints goes to its log."""

    def __init__(self, *command: str, on: set[int], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._on = on
        self._log = log
        self._environment = environment or {}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "started"
        return self._process.pid

    async def start(self, *ports: int, within_s: float = 30.0) -> None:
        """Start it on its cores; return when it listens on ``ports``. Raises ``Failed`` with the end of its log."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
                preexec_fn=self._prepare,
            )
        try:
            async with asyncio.timeout(within_s):
                for port in ports:
                    await self._until_listening(port)
        except TimeoutError:
            raise self._failed(f"did not listen within {within_s} s") from None

    async def stop(self) -> None:
        """End it with SIGTERM, then SIGKILL; safe to repeat."""
        await end(self._process, STOP_S)

    def _prepare(self) -> None:
        """In the child, before it is another program: its cores, and an end with ours, however we end (Linux)."""
        os.sched_setaffinity(0, self._on)
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    async def _until_listening(self, port: int) -> None:
        assert self._process is not None, "started"
        while True:
            if self._process.returncode is not None:
                raise self._failed("ended")
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(_POLL_S)

    def _failed(self, what: str) -> Failed:
        told = self._log.read_text(encoding="utf-8", errors="replace")[-_TOLD:].strip()
        return Failed(f"{Path(self._command[0]).name} {what}: {told}")

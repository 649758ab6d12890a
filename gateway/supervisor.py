"""Shell: worker processes on one port, started again when they die, drained when we stop.

The parent reserves the port with a socket that it binds and never listens on: workers share the port by SO_REUSEPORT, a
worker that was killed finds it again, and port 0 stays the same port for all of them. Who else listens there is found
out first, because SO_REUSEPORT alone would quietly share the port with another gateway of the same user.
"""

import asyncio
import contextlib
import errno
import json
import logging
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path

from gateway.config import Config
from gateway.exits import Exit
from gateway.restarts import Restarts
from security.errors import ConfigurationError, TidewireError, UpstreamUnavailable

log = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "gateway.worker")
"""The program of a worker; its options follow."""
READY_WITHIN_S = 120.0
"""Seconds until a worker must say that it is ready; filling the recent window is in it."""
GRACE_S = 5.0
"""Seconds beyond ``drain.timeout_s`` until a worker that does not end is killed."""


class Supervisor:
    """The workers of one gateway on this machine. ``start`` once, then ``stop``."""

    def __init__(self, config: Config, config_file: Path, workers: int, program: Sequence[str] = WORKER) -> None:
        self.host = config.listen.host
        self.port = config.listen.port
        """The port that all workers share; known after ``start`` when any was asked for."""
        self._command = (*program, "--config", str(config_file))
        self._drain_s = config.drain.timeout_s + GRACE_S
        self._reserved: socket.socket | None = None
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._workers = workers

    async def start(self) -> None:
        """Start every worker and return once all are ready.

        Raises ``ConfigurationError`` when the port is taken or a worker refuses its configuration,
        ``UpstreamUnavailable`` when a worker cannot reach NATS; no worker is left behind then.
        """
        self._reserved = reserve(self.host, self.port)
        self.port = self._reserved.getsockname()[1]
        try:
            first = await _all(*(self._spawn(worker) for worker in range(self._workers)))
        except BaseException:
            await self.stop()
            raise
        loop = asyncio.get_running_loop()
        for worker, process in enumerate(first):
            name = f"keep worker {worker}"
            self._keepers.append(loop.create_task(self._keep(worker, process, loop.time()), name=name))

    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [process.pid for process in self._running.values() if process.returncode is None]

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on to every worker."""
        for process in self._running.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)

    def kill_one(self) -> bool:
        """Kill one running worker by force, as a crash would; False when none runs. It is started again like any."""
        for process in self._running.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                    return True
        return False

    async def stop(self) -> None:
        """Drain every worker; kill what has not ended in time. Safe to repeat."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers.clear()
        self.signal(signal.SIGTERM)
        await asyncio.gather(*(self._ended(process) for process in self._running.values()))
        self._running.clear()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def _ended(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(self._drain_s):
                await process.wait()
        except TimeoutError:
            log.warning("worker did not drain in time", extra={"pid": process.pid, "timeout_s": self._drain_s})
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _keep(self, worker: int, process: asyncio.subprocess.Process, since: float) -> None:
        """Start a worker again whenever it has ended, for ever."""
        loop = asyncio.get_running_loop()
        restarts = Restarts()
        while True:
            status = await process.wait()
            delay_s = restarts.died(loop.time() - since)
            told = {"worker": worker, "pid": process.pid, "status": status, "delay_s": delay_s}
            log.warning("worker ended", extra=told)
            await asyncio.sleep(delay_s)
            with contextlib.suppress(TidewireError, OSError):  # its own log says why; the old death counts again
                process = await self._spawn(worker)
                log.info("worker is back", extra={"worker": worker, "pid": process.pid, "restarts": restarts.total})
            since = loop.time()

    async def _spawn(self, worker: int) -> asyncio.subprocess.Process:
        """Start one worker and return when it is ready."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *("--port", str(self.port), "--worker", str(worker)),
            stdin=asyncio.subprocess.PIPE,  # kept open and silent: its end tells the worker that we are gone
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C on our terminal is for us: we pass it on as a drain
        )
        self._running[worker] = process
        assert process.stdout is not None, "asked for above"
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                line = await process.stdout.readline()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise UpstreamUnavailable(f"worker {worker} was not ready within {READY_WITHIN_S:.0f} s") from None
        if not line:
            raise _failure(worker, await process.wait())
        assert "port" in json.loads(line), "a worker says where it listens"
        return process


async def _all(*starts: Coroutine[object, object, asyncio.subprocess.Process]) -> list[asyncio.subprocess.Process]:
    """Every result, or the first failure once none is under way any more."""
    results = await asyncio.gather(*starts, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _failure(worker: int, status: int) -> TidewireError:
    match status:
        case Exit.USAGE:
            return ConfigurationError(f"worker {worker} refused its configuration; its log above says what to change")
        case Exit.UNREACHABLE:
            return UpstreamUnavailable(f"worker {worker} could not reach NATS; its log above says how it tried")
        case _:
            return TidewireError(f"worker {worker} ended at its start with status {status}; its log above says why")


def reserve(host: str, port: int, name: str = "listen.port") -> socket.socket:
    """Bind a port for our workers to share, without listening on it; 0 takes a free one.

    ``name`` is what the port was asked for by. Raises ``ConfigurationError`` when someone listens there already, or the
    address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            port = probe.getsockname()[1]
        reserved = socket.socket(family)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            reserved.bind((host, port))
        except OSError:
            reserved.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            remedy = "stop what listens there, or choose another (0 takes a free one)"
            raise ConfigurationError(f"{name}: {port} of {host} is taken; {remedy}") from None
        cause = errno.errorcode.get(error.errno or 0, type(error).__name__)
        raise ConfigurationError(f"{name}: cannot listen on {host} port {port} ({cause})") from None
    return reserved

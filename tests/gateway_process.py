"""A gateway as a process of its own, which can be killed with -9 and started again on its port."""

import asyncio
import contextlib
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from gateway.config_text import effective
from mesh.embedded import EmbeddedServer
from security.development import DevelopmentState
from tests.gateways import gateway_config
from tests.servers import free_ports


class GatewayProcess:
    """One worker process."""

    def __init__(self, folder: Path, state: DevelopmentState, config: Path) -> None:
        self._folder = folder
        self._state = state
        self._config = config
        (self.port,) = free_ports(1)
        self.url = f"wss://127.0.0.1:{self.port}/v1/session"
        self.tls = ssl.create_default_context(cafile=str(state.ca))
        self.ca = state.ca
        self.process: asyncio.subprocess.Process | None = None
        self.kills = 0

    def token(self, subject: str = "c42", **tidewire: Any) -> str:
        """A development token."""
        return self._state.mint(subject, 3_600, time.time(), {"tidewire": tidewire} if tidewire else None)

    async def start(self) -> None:
        """Start; return when sockets are accepted."""
        arguments = ("-m", "gateway.worker", "--config", str(self._config), "--port", str(self.port))
        with (self._folder / "log").open("ab") as log:  # a local file, once
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert json.loads(line)["port"] == self.port

    async def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None and self.process.returncode is None:
            self.kills += 1
            self.process.kill()
            await self.process.wait()

    async def stop(self) -> None:
        """End it with SIGTERM: it drains."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()


@contextlib.asynccontextmanager
async def running_process(server: EmbeddedServer, folder: Path, **changes: Any) -> AsyncIterator[GatewayProcess]:
    """A gateway process, started, drained afterwards. ``changes``: sections of the configuration."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    state = DevelopmentState(folder)
    state.prepare(time.time())
    path = folder / "gateway.toml"
    await asyncio.to_thread(path.write_text, effective(gateway_config(server, state, folder, changes)))
    gateway = GatewayProcess(folder, state, path)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()

"""Shell: nats-server's own WebSocket listener as a way of delivering: core NATS, nothing is kept for who is away.

TLS without compression, no access control, one connection and one subscription for each client. The publisher speaks
NATS over plain TCP. One core, so ``GOMAXPROCS`` is 1.
"""

import tempfile
import time
from pathlib import Path

import nats
from nats.aio.client import Client

from bench.numbering import Numbering
from bench.pace import turns
from bench.program import Program, free_port
from bench.rivals.installed import version
from bench.rivals.nats_config import nats_config
from bench.way import Order, Site
from mesh.embedded import find_server

TOGETHER = 500
"""Most events of one turn."""
FLUSH_S = 60


class NatsWebSocket:
    """One nats-server on the measured core, nothing behind it."""

    name = "nats-websocket"
    dialect = "nats"

    def __init__(self, site: Site) -> None:
        self.port = 0
        self._site = site
        self._folder = Path(tempfile.mkdtemp(prefix="nats-websocket-", dir=site.folder))
        self._numbering = Numbering()
        self._server: Program | None = None
        self._publisher: Client | None = None

    def missing(self) -> str:
        """It is always there."""
        return ""

    def version(self) -> str:
        """What is measured, and which of its promises are on."""
        told = version(find_server(), "--version")
        return f"{told}, core NATS, GOMAXPROCS 1: nothing is kept for who is away, no access control"

    async def start(self) -> None:
        """Return when clients are served."""
        self.port, plain = free_port(), free_port()
        path = self._folder / "nats.conf"
        keys = self._site.keys
        path.write_text(nats_config(plain, self.port, str(keys.certificate), str(keys.key)), encoding="utf-8")
        self._server = Program(
            find_server(),
            "--config",
            str(path),
            on=self._site.measured_on,
            log=self._folder / "nats.log",
            environment={"GOMAXPROCS": "1"},
        )
        await self._server.start(plain, self.port)
        self._publisher = await nats.connect(f"nats://127.0.0.1:{plain}", allow_reconnect=False)

    async def stop(self) -> None:
        """End it; safe to repeat."""
        if self._publisher is not None:
            await self._publisher.close()
        if self._server is not None:
            await self._server.stop()

    def servers(self) -> list[int]:
        """The server."""
        assert self._server is not None, "started"
        return [self._server.pid]

    def brokers(self) -> list[int]:
        """Nothing."""
        return []

    async def publish(self, order: Order) -> None:
        """Return when the server has read all."""
        assert self._publisher is not None, "started"
        async for due in turns(order, TOGETHER):
            for number in due:
                await self._publisher.publish(*self._numbering.event(order, number, time.monotonic_ns()))
        await self._publisher.flush(FLUSH_S)

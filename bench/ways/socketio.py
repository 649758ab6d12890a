"""Shell: Socket.IO 4 as a way of delivering: connection state recovery on, its adapter in memory, a room for a subject.

On: recovery within two minutes, TLS, WebSocket alone. No access control. Events come as lines over a local socket.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from bench.numbering import Numbering
from bench.pace import turns
from bench.process import Failed
from bench.program import Program, free_port
from bench.rivals.installed import SOCKETIO, SOCKETIO_PACKAGES, node, socketio_missing, version
from bench.way import Order, Site

SERVER = Path(__file__).resolve().parents[1] / "rivals" / "socketio_server.mjs"
TOGETHER = 100
"""Most events in one write."""
PUBLISH_S = 120.0


class SocketIo:
    """One node process on the measured core, nothing behind it."""

    name = "socketio"
    dialect = "socketio"

    def __init__(self, site: Site) -> None:
        self.port = 0
        self._site = site
        self._folder = Path(tempfile.mkdtemp(prefix="socketio-", dir=site.folder))
        self._numbering = Numbering()
        self._server: Program | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    def missing(self) -> str:
        """Why it could not be installed."""
        return socketio_missing() if node() else "there is no node on PATH"

    def version(self) -> str:
        """What is measured, and which of its promises are on."""
        return (
            f"{', '.join(SOCKETIO_PACKAGES)}, node {version(node(), '--version')}: state recovery on, adapter "
            "in memory, WebSocket alone, no access control; published over a local socket"
        )

    async def start(self) -> None:
        """Return when clients are served."""
        self.port, local = free_port(), str(self._folder / "publish")
        keys = self._site.keys
        self._server = Program(
            node(),
            str(SERVER),
            str(SOCKETIO),
            str(self.port),
            str(keys.certificate),
            str(keys.key),
            local,
            on=self._site.measured_on,
            log=self._folder / "socketio.log",
            environment={"NODE_ENV": "production"},
        )
        await self._server.start(self.port)
        self._reader, self._writer = await asyncio.open_unix_connection(local)

    async def stop(self) -> None:
        """End it; safe to repeat."""
        if self._writer is not None:
            self._writer.close()
        if self._server is not None:
            await self._server.stop()

    def servers(self) -> list[int]:
        """The node process."""
        assert self._server is not None, "started"
        return [self._server.pid]

    def brokers(self) -> list[int]:
        """Nothing."""
        return []

    async def publish(self, order: Order) -> None:
        """Return when each event was emitted."""
        assert self._writer is not None, "started"
        assert self._reader is not None, "started"
        async with asyncio.timeout(PUBLISH_S):
            async for due in turns(order, TOGETHER):
                events = [self._numbering.event(order, number, time.monotonic_ns()) for number in due]
                self._writer.write(b"".join(b"%s %s\n" % (to.encode(), data) for to, data in events))
                await self._writer.drain()
            self._writer.write(b".\n")
            if await self._reader.readline() != b".\n":
                raise Failed("Socket.IO's server closed the publisher's connection")

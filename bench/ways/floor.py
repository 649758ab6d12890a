"""Shell: the floor as a way of delivering: ready-made frames written to transports (`bench/floor_server.py`)."""

import tempfile
from pathlib import Path

from bench.process import Child
from bench.way import Order, Site

WRITE_S = 120.0
"""Seconds until a whole order must be written."""


class Floor:
    """One process on the measured core, nothing behind it."""

    name = "floor"
    dialect = "tidewire"

    def __init__(self, site: Site) -> None:
        self.port = 0
        folder = Path(tempfile.mkdtemp(prefix="floor-", dir=site.folder))
        self._keys = site.keys
        self._server = Child("bench.floor_server", on=site.measured_on, log=folder / "floor.log")

    def missing(self) -> str:
        """It is always there."""
        return ""

    def version(self) -> str:
        """What is measured."""
        return "ready-made frames written to the transports of aiohttp on uvloop; no promise"

    async def start(self) -> None:
        """Return when clients are served."""
        await self._server.start()
        started = await self._server.ask(
            30, do="start", certificate=str(self._keys.certificate), key=str(self._keys.key)
        )
        self.port = started["port"]

    async def stop(self) -> None:
        """End it; safe to repeat."""
        await self._server.stop()

    def servers(self) -> list[int]:
        """The process with the sockets."""
        return [self._server.pid]

    def brokers(self) -> list[int]:
        """Nothing."""
        return []

    async def publish(self, order: Order) -> None:
        """Write frames: each event to all, or to one transport after the other."""
        await self._server.ask(
            WRITE_S,
            do="write",
            events=order.events,
            rate=order.rate,
            together=order.together,
            to_all=not order.sessions,
        )

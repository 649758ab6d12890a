"""Shell: mosquitto as a way of delivering: MQTT 3.1.1 over WebSockets, sessions that are kept, QoS 1 from end to end.

On: Clean Session 0, each event acknowledged by its client, TLS. No access control. Sessions live in memory and would be
written to disk at the end; the publisher uses QoS 1 on a plain listener.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from bench import mqtt
from bench.numbering import Numbering
from bench.pace import turns
from bench.process import Failed
from bench.program import Program, free_port
from bench.rivals.installed import debian_missing, tool, version
from bench.rivals.mosquitto_config import mosquitto_config
from bench.way import Order, Site

TOGETHER = 100
"""Most events in one write."""
OUTSTANDING = 1_000
"""Most events that are published and not yet acknowledged."""
PUBLISH_S = 120.0
_IDS = 65_535


class Mosquitto:
    """One process on the measured core, nothing behind it."""

    name = "mosquitto"
    dialect = "mqtt"

    def __init__(self, site: Site) -> None:
        self.port = 0
        self._site = site
        self._folder = Path(tempfile.mkdtemp(prefix="mosquitto-", dir=site.folder))
        self._numbering = Numbering()
        self._server: Program | None = None
        self._publisher: _Publisher | None = None

    def missing(self) -> str:
        """Which package is not there."""
        return debian_missing("mosquitto")

    def version(self) -> str:
        """What is measured, and which of its promises are on."""
        told = version(tool("mosquitto"), "-h")
        return f"{told}, MQTT 3.1.1: sessions kept, QoS 1 from end to end, no bound on queues, no access control"

    async def start(self) -> None:
        """Return when clients are served."""
        self.port, plain = free_port(), free_port()
        path = self._folder / "mosquitto.conf"
        keys = self._site.keys
        config = mosquitto_config(plain, self.port, str(keys.certificate), str(keys.key), str(self._folder))
        path.write_text(config, encoding="utf-8")
        self._server = Program(
            tool("mosquitto"), "-c", str(path), on=self._site.measured_on, log=self._folder / "mosquitto.log"
        )
        await self._server.start(plain, self.port)
        self._publisher = _Publisher()
        await self._publisher.connect(plain)

    async def stop(self) -> None:
        """End it; safe to repeat."""
        if self._publisher is not None:
            self._publisher.close()
        if self._server is not None:
            await self._server.stop()

    def servers(self) -> list[int]:
        """The broker: it holds the sockets."""
        assert self._server is not None, "started"
        return [self._server.pid]

    def brokers(self) -> list[int]:
        """Nothing."""
        return []

    async def publish(self, order: Order) -> None:
        """Return when the broker has acknowledged each event."""
        publisher = self._publisher
        assert publisher is not None, "started"
        async with asyncio.timeout(PUBLISH_S):
            async for due in turns(order, TOGETHER):
                publisher.send([self._numbering.event(order, number, time.monotonic_ns()) for number in due])
                await publisher.until_outstanding(OUTSTANDING)
            await publisher.until_outstanding(0)


class _Publisher:
    """One connection with QoS 1."""

    def __init__(self) -> None:
        self._sent = 0
        self._acknowledged = 0
        self._rest = b""
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self, port: int) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self._writer.write(mqtt.connect("publisher", is_clean=True))
        answer = await self._read()
        if not answer or answer[0].kind != mqtt.CONNACK or answer[0].body[1]:
            raise Failed(f"mosquitto refused the publisher: {answer}")

    def send(self, events: list[tuple[str, bytes]]) -> None:
        assert self._writer is not None, "connected"
        packets = [
            mqtt.publish(to.encode(), data, number % _IDS + 1) for number, (to, data) in enumerate(events, self._sent)
        ]
        self._writer.write(b"".join(packets))
        self._sent += len(packets)

    async def until_outstanding(self, most: int) -> None:
        while self._sent - self._acknowledged > most:
            self._acknowledged += sum(packet.kind == mqtt.PUBACK for packet in await self._read())

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    async def _read(self) -> list[mqtt.Packet]:
        assert self._reader is not None, "connected"
        received = await self._reader.read(65_536)
        if not received:
            raise Failed("mosquitto closed the publisher's connection")
        whole, self._rest = mqtt.packets(self._rest + received)
        return whole

"""Shell: the obvious way: a durable consumer for each session (`bench/per_session_server.py`)."""

from bench.process import Child
from bench.way import Order, Site
from bench.ways.jetstream import JetStream


class PerSession:
    """nats-server, one process with a consumer for each session on the measured core, a publisher."""

    name = "per-session"
    dialect = "tidewire"

    def __init__(self, site: Site) -> None:
        self.port = 0
        self.jetstream = JetStream(site)
        self._keys = site.keys
        self._server = Child(
            "bench.per_session_server", on=site.measured_on, log=self.jetstream.folder / "per-session.log"
        )

    def missing(self) -> str:
        """It is always there."""
        return ""

    def version(self) -> str:
        """What is measured."""
        return "aiohttp on uvloop and nats-py, a durable pull consumer for each session; stored, resumed"

    async def start(self) -> None:
        """Start all, and return when clients are served."""
        await self.jetstream.start()
        await self._server.start()
        nats = self.jetstream.nats
        started = await self._server.ask(
            30,
            do="start",
            url=nats.url,
            password=nats.password("gateway").reveal(),
            certificate=str(self._keys.certificate),
            key=str(self._keys.key),
        )
        self.port = started["port"]

    async def stop(self) -> None:
        """End every process; safe to repeat."""
        await self._server.stop()
        await self.jetstream.stop()

    def servers(self) -> list[int]:
        """The process with the sockets."""
        return [self._server.pid]

    def brokers(self) -> list[int]:
        """nats-server."""
        return [self.jetstream.pid()]

    async def publish(self, order: Order) -> None:
        """Through Tidewire's own ``Publisher``, each event acknowledged by JetStream."""
        await self.jetstream.publish(order)

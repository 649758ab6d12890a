"""Shell: a nats-server as a deployment has it, and a publisher: what stands behind two of the ways."""

import tempfile
from pathlib import Path

from bench.process import Child, Failed
from bench.way import Order, Site
from gateway import config as has
from gateway.settings import topology
from mesh.api import Api
from mesh.embedded import USERS, EmbeddedServer, EmbeddedSettings
from mesh.link import Link, LinkSettings
from mesh.provision import provision

PUBLISH_S = 120.0
"""Seconds until a whole order must be stored."""


class JetStream:
    """nats-server with the stream and the bucket, and a process with Tidewire's own ``Publisher``."""

    def __init__(self, site: Site) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="jetstream-", dir=site.folder))
        self.nats = EmbeddedServer(EmbeddedSettings(state_dir=self.folder / "nats", stop_within_s=60.0))
        self._publisher = Child("bench.publish_process", on=site.rest_on, log=self.folder / "publisher.log")

    async def start(self) -> None:
        """Return when events can be published. nats-server gets the cores of this process."""
        await self.nats.start()
        await prepare_streams(self.nats)
        await self._publisher.start()
        await self._publisher.ask(
            30, do="connect", url=self.nats.url, password=self.nats.password("publisher").reveal()
        )

    async def stop(self) -> None:
        """End both. The store is thrown away, so that nats-server need not write down every consumer."""
        await self._publisher.stop()
        await self.nats.kill()

    def pid(self) -> int:
        """Process id of nats-server."""
        assert self.nats.pid is not None, "running"
        return self.nats.pid

    async def publish(self, order: Order) -> None:
        """Return when each event was stored. Raises ``Failed``."""
        to = "nobody" if order.unread else "sessions" if order.sessions else "everyone"
        asked = {"to": to, "events": order.events, "rate": order.rate, "sessions": order.sessions}
        told = await self._publisher.ask(PUBLISH_S, do="publish", **asked)
        if told["published"] != order.events:
            raise Failed(f"{told['published']} of {order.events} events were stored")


async def prepare_streams(nats: EmbeddedServer) -> None:
    """Make the stream and the bucket as a deployment has them."""
    settings = LinkSettings(
        servers=(nats.url,), user="operator", password=nats.password("operator"), inbox_prefix=USERS["operator"]
    )
    async with Link(settings) as link:
        await provision(Api(link), topology(has.Config()))

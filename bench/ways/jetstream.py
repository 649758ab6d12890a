"""Shell: a nats-server as a deployment has it, and a publisher: what stands behind two of the ways."""

import tempfile
from pathlib import Path

from bench.api_queue import config_with_monitoring
from bench.process import Child, Failed
from bench.way import Order, Site
from gateway import config as has
from gateway.settings import topology
from mesh.api import Api, ApiError, StreamInfo
from mesh.embedded import USERS, EmbeddedServer, EmbeddedSettings
from mesh.link import Link, LinkSettings
from mesh.provision import provision

STREAM = has.Config().stream.name
BUCKET = has.Config().cursors.bucket
PUBLISH_S = 120.0
"""Seconds until a whole order must be stored."""


class JetStream:
    """nats-server with the stream and the bucket, and a process with Tidewire's own ``Publisher``."""

    def __init__(self, site: Site, *, monitored: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="jetstream-", dir=site.folder))
        config = config_with_monitoring(self.folder) if monitored else None
        self.nats = EmbeddedServer(EmbeddedSettings(state_dir=self.folder / "nats", config=config, stop_within_s=60.0))
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

    def pids(self) -> list[int]:
        """Process ids of nats-server and of the publisher."""
        return [self.pid(), self._publisher.pid]

    async def publish(self, order: Order) -> None:
        """Return when each event was stored. Raises ``Failed``."""
        to = "nobody" if order.unread else "sessions" if order.sessions else "everyone"
        asked = {"to": to, "events": order.events, "rate": order.rate}
        asked |= {"first": order.first, "sessions": order.sessions}
        told = await self._publisher.ask(PUBLISH_S, do="publish", **asked)
        if told["published"] != order.events:
            raise Failed(f"{told['published']} of {order.events} events were stored")


async def prepare_streams(nats: EmbeddedServer) -> None:
    """Make the stream and the bucket as a deployment has them."""
    async with linked(nats, "operator") as link:
        await provision(Api(link), topology(has.Config()))


async def stream_info(nats: EmbeddedServer, stream: str = STREAM) -> StreamInfo:
    """State of a stream. Raises ``Failed``."""
    async with linked(nats, "operator") as link:
        told = await Api(link).stream_info(stream)
        if isinstance(told, ApiError):
            raise Failed(f"{stream}: {told.description}")
        return told


def linked(nats: EmbeddedServer, user: str) -> Link:
    """A link as one of nats.conf's users, for ``async with``."""
    return Link(LinkSettings(servers=(nats.url,), user=user, password=nats.password(user), inbox_prefix=USERS[user]))

"""Shell: what one gateway process holds together, handed to those who need a part of it."""

import asyncio
from typing import Any

from gateway.config import Config
from gateway.counters import Counters
from gateway.doorkeeper import Doorkeeper
from gateway.exchange import Exchange
from gateway.parking import Parking
from gateway.replays import Replays
from gateway.websocket import WebSocket
from mesh.api import Api
from mesh.feed import Feed
from mesh.link import Link
from replay.cursors import Cursors
from replay.durable import Durables
from security.tls import ServerTls

FEED_SILENT_S = 10.0
"""A feed without a sign of life for so many seconds serves nobody new: it may be far behind without knowing."""


class House:
    """The parts of a running gateway."""

    def __init__(
        self,
        config: Config,
        name: str,
        *,
        link: Link,
        api: Api,
        doorkeeper: Doorkeeper,
        cursors: Cursors,
        durables: Durables,
        counters: Counters,
    ) -> None:
        self.config = config
        self.name = name
        """Random name of this process, as records and takeovers carry it."""
        self.link = link
        self.api = api
        self.doorkeeper = doorkeeper
        self.cursors = cursors
        self.durables = durables
        self.counters = counters
        self.parking = Parking(durables, park_after_s=config.durables.park_after_s)
        self.replays = Replays(config, api.beside(), durables.puller, counters)
        self.feed: Feed | None = None
        self.open_exchange: Exchange | None = None
        self.tls: ServerTls | None = None
        """The certificate that clients see; None: they come without TLS."""
        self.is_draining = False
        self.first_frames: set[WebSocket] = set()
        """Sockets whose first frame is waited for; a drain hurries them."""
        self._loop = asyncio.get_running_loop()
        self._kept: set[asyncio.Task[Any]] = set()

    @property
    def exchange(self) -> Exchange:
        """The exchange of the stream that is being read."""
        assert self.open_exchange is not None, "nobody is let in before the feed has begun"
        return self.open_exchange

    @property
    def is_ready(self) -> bool:
        """Whether clients can be served.

        The feed has caught up with what was stored when it began and is heard of, and NATS answers.
        """
        return (
            self.open_exchange is not None
            and self.feed is not None
            and self.feed.caught_up.is_set()
            and self.link.is_up
            and self.feed.age_s(self.now_s()) < FEED_SILENT_S
            and not self.is_draining
        )

    def now_s(self) -> float:
        """Monotonic seconds."""
        return self._loop.time()

    def keep(self, task: "asyncio.Task[Any]") -> None:
        """Hold on to a task until it is done."""
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)

    async def settle(self) -> None:
        """Wait for the tasks that are held."""
        while self._kept:
            await asyncio.wait(list(self._kept))

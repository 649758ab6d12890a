"""Shell: reads the stream for the demo page's count of waiting events, for ever."""

import asyncio
import logging

from gateway.demo_pulse import KEPT_EVENTS, Pulse, Waiting
from mesh.api import Api, StreamInfo
from mesh.contiguity import Hole
from mesh.epochs import Epochs
from mesh.event import StoredEvent
from mesh.feed import Feed, FeedSettings
from mesh.kv import Bucket
from mesh.link import Link
from security.errors import TidewireError

log = logging.getLogger(__name__)

AGAIN_S = 0.5
"""Seconds until a feed that failed is followed by a new one."""


class PulseReader:
    """Follows the newest events of the stream. ``run`` in a task; ask at any time."""

    def __init__(self, stream: str, bucket: str) -> None:
        self._stream = stream
        self._bucket = bucket
        self._feed: Feed | None = None
        self._pulse: Pulse | None = None

    def waiting(self, customer: str, after: int) -> Waiting | None:
        """How many events wait for a customer above ``after``; None before the stream was read to its end once."""
        if self._feed is None or self._pulse is None or not self._feed.caught_up.is_set():
            return None
        return Waiting(self._pulse.stream, self._feed.head, self._pulse.waiting(customer, after))

    async def run(self, link: Link) -> None:
        """Read until cancelled; a stream that was replaced is read from its beginning."""
        api = Api(link)
        epochs = Epochs(link, Bucket(link, api, self._bucket))  # so that identities are those of the gateways
        while True:
            feed = Feed(
                link,
                api,
                FeedSettings(stream=self._stream, name="page"),
                deliver=self._deliver,
                hole=_ignore,
                epochs=epochs,
            )
            self._feed, self._pulse = feed, None
            try:
                await feed.run(self._begin)
            except TidewireError as error:
                log.warning("the page's feed begins anew", extra={"error": str(error)})
            finally:
                await feed.close()
            await asyncio.sleep(AGAIN_S)

    def _begin(self, info: StreamInfo) -> int:
        assert self._feed is not None, "it is the feed that asks"
        self._pulse = Pulse(self._feed.identity)
        return max(info.state.first_seq, info.state.last_seq - KEPT_EVENTS + 1)

    def _deliver(self, events: list[StoredEvent]) -> None:
        assert self._pulse is not None, "the feed begins before it delivers"
        for event in events:
            self._pulse.add(event.seq, event.subject)


def _ignore(hole: Hole) -> None:
    """What is gone waits for nobody."""
    del hole

"""Shell: the stream is read for ever: a feed and the exchange it fills, begun anew when the stream was replaced."""

import asyncio
import contextlib
import logging
from functools import partial

import msgspec

from gateway import close_codes
from gateway.config import Config
from gateway.exchange import Exchange
from gateway.house import House
from gateway.leak_guard import LeakGuard
from gateway.settings import policy
from mesh.api import StreamInfo
from mesh.contiguity import Hole
from mesh.epochs import EPOCH_SUBJECT, Epochs
from mesh.event import StoredEvent
from mesh.feed import Feed, FeedSettings
from mesh.kv import Bucket
from replay.recent import BYTES_FACTOR, EVENT_OVERHEAD_BYTES, RecentWindow
from security.errors import LimitReached, StreamReplaced, UpstreamUnavailable

log = logging.getLogger(__name__)

DEAD_LETTER_SUBJECT = "tidewire.deadletter.clear"
"""Core NATS subject that hears of withheld events."""


WITNESS_EVERY_S = 2.0
"""Seconds between notes of what was read last, by which a gateway that starts can tell whether it is still there."""
WITNESS_AT_END_S = 2.0
"""Seconds that a drained gateway takes to write it a last time."""


async def read_stream(house: House) -> None:
    """The feed, for ever; a new one when the stream was replaced."""
    epochs = _epochs(house)
    await house.link.tap(EPOCH_SUBJECT, lambda *_: house.feed.look_soon() if house.feed is not None else None)
    while True:
        reading = _Reading(house, epochs)
        house.feed = reading.feed
        try:
            await reading.feed.run(reading.begin)
        except StreamReplaced as error:
            log.warning("the stream was replaced", extra={"error": str(error)})
            await reading.feed.close()
            for connection in list(house.exchange.by_key.values()) if house.open_exchange is not None else ():
                connection.guarded(partial(connection.close, close_codes.UPSTREAM_UNAVAILABLE))
            house.feed, house.open_exchange = None, None
        except asyncio.CancelledError:
            if house.is_draining:
                await reading.keep_witness(WITNESS_AT_END_S)
            raise
        finally:
            reading.end()


def _epochs(house: House) -> Epochs:
    api = house.api.beside()
    idle_s = house.config.cursors.session_idle_s  # then an entry of the bucket expires
    return Epochs(house.link, Bucket(house.link, api, house.config.cursors.bucket), refresh_s=min(3_600, idle_s / 4))


class _Reading:
    """One stream's feed and the exchange that it fills."""

    def __init__(self, house: House, epochs: Epochs) -> None:
        self._house = house
        self._epochs = epochs
        self._exchange: Exchange | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._guard = LeakGuard(policy(house.config))
        self.feed = Feed(
            house.link,
            house.api.beside(),
            FeedSettings(stream=house.config.stream.name),
            deliver=self._deliver,
            hole=self._hole,
            epochs=epochs,
        )

    def begin(self, info: StreamInfo) -> int:
        """Open the exchange; returns the first sequence to read."""
        config = self._house.config
        first = _first_to_read(info, config)
        recent = RecentWindow(
            first - 1,
            bytes_most=config.recent.recent_bytes,
            events_most=config.recent.recent_events,
            max_age_s=config.stream.max_age_s,
        )
        self._exchange = self._house.open_exchange = Exchange(recent, self.feed.identity, self._guard, self._leaked)
        self._tasks = [
            asyncio.create_task(self._exchange.run(), name="clock"),
            asyncio.create_task(self._keep_witnesses(), name="witness"),
        ]
        return first

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def keep_witness(self, within_s: float) -> None:
        """Write down which event was read last, where NATS answers within so many seconds."""
        epoch = self.feed.epoch
        if epoch is None or self._exchange is None:
            return
        try:
            async with asyncio.timeout(within_s):
                if not await self._epochs.keep(epoch, self.feed.witness):
                    self.feed.stop("another epoch has begun")
        except (UpstreamUnavailable, LimitReached, TimeoutError) as error:
            log.warning("what was read last could not be written down", extra={"error": str(error)})

    async def _keep_witnesses(self) -> None:
        while True:
            await asyncio.sleep(WITNESS_EVERY_S)
            await self.keep_witness(WITNESS_EVERY_S * 5)

    def _leaked(self, event: StoredEvent, pointers: list[str]) -> None:
        """Say that an event was withheld: where, never what. Once for each gateway that reads it as it comes."""
        log.error("an event holds in clear what must be sealed", extra={"seq": event.seq, "subject": event.subject})
        if self.feed.caught_up.is_set():
            letter = {"stream": self.feed.identity, "seq": event.seq, "subject": event.subject, "pointers": pointers}
            self._house.keep(
                asyncio.create_task(self._send_dead_letter(msgspec.json.encode(letter)), name="dead letter")
            )

    async def _send_dead_letter(self, letter: bytes) -> None:
        with contextlib.suppress(UpstreamUnavailable):
            await self._house.link.publish(DEAD_LETTER_SUBJECT, letter)

    def _deliver(self, events: list[StoredEvent]) -> bool:
        assert self._exchange is not None, "the feed begins before it delivers"
        return self._exchange.deliver(events)

    def _hole(self, hole: Hole) -> None:
        assert self._exchange is not None, "the feed begins before it delivers"
        self._exchange.hole(hole)


def _first_to_read(info: StreamInfo, config: Config) -> int:
    """Where the feed begins so that the recent window is full: by the mean size of what is stored."""
    state = info.state
    if not state.messages:
        return state.last_seq + 1
    each = state.bytes / state.messages * BYTES_FACTOR + EVENT_OVERHEAD_BYTES
    events = min(config.recent.recent_events, int(config.recent.recent_bytes / each))
    return max(state.first_seq, state.last_seq - events + 1)

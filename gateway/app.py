"""Shell: the composition root: a configuration becomes a running gateway, and ends in a drain."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import msgspec
from aiohttp import web

from gateway import close_codes
from gateway.certificate_watch import watch_certificate
from gateway.claiming import CLAIMED_SUBJECT, Claim
from gateway.config import Config
from gateway.counters import Counters
from gateway.doorkeeper import Doorkeeper
from gateway.exchange import Exchange
from gateway.house import House
from gateway.http_limits import HEAD_S, RUNNER_SETTINGS
from gateway.leak_guard import LeakGuard
from gateway.listener import Listener
from gateway.nats_link import link_settings
from gateway.server import Server
from gateway.settings import policy, topology
from mesh.api import Api, StreamInfo
from mesh.contiguity import Hole
from mesh.event import StoredEvent
from mesh.feed import Feed, FeedSettings
from mesh.kv import Bucket
from mesh.link import Link
from mesh.provision import verify
from mesh.pull import Puller
from replay.cursors import Cursors
from replay.durable import Durables
from replay.recent import BYTES_FACTOR, EVENT_OVERHEAD_BYTES, RecentWindow
from security.errors import ConfigurationError, LimitReached, StreamReplaced, UpstreamUnavailable
from security.tls import ServerTls

log = logging.getLogger(__name__)

DEAD_LETTER_SUBJECT = "tidewire.deadletter.clear"
"""Core NATS subject that hears of withheld events."""


async def run(
    config: Config,
    *,
    stop: asyncio.Event,
    ready: Callable[[str, int], None] | None = None,
    worker: int = 0,
    opened: Callable[[House], None] | None = None,
) -> None:
    """Run a gateway until ``stop`` is set, then drain.

    ``ready`` is called with the address once sockets are accepted; ``/ready`` tells when clients are served. ``opened``
    gets the parts, for programs that look inside. Raises ``ConfigurationError`` for files that are wrong and ports that
    are taken.
    """
    counters = Counters()
    doorkeeper = Doorkeeper(config, counters)
    await doorkeeper.start()
    link = Link(link_settings(config.nats, name="tidewire gateway"))
    await link.start(within_s=None)
    api = Api(link, in_flight=config.admission.api_in_flight)
    puller = Puller(link, config.stream.name)
    await puller.start()
    cursors = Cursors(Bucket(link, api, config.cursors.bucket), save_within_s=config.cursors.save_within_ms / 1_000)
    durables = Durables(api, puller, config.stream.name, inactive_threshold_s=config.durables.inactive_threshold_s)
    name = secrets.token_hex(8)
    house = House(
        config, name, link=link, api=api, doorkeeper=doorkeeper, cursors=cursors, durables=durables, counters=counters
    )
    await link.tap(CLAIMED_SUBJECT, lambda _subject, _reply, data, _headers: _hear_claim(house, data))
    tls = _server_tls(config)
    server = Server(house)
    async with contextlib.AsyncExitStack() as stack:
        listener = await _listen(stack, house, server, tls)
        host, port = listener.bind(config.listen.host, config.listen.port, shared=config.listen.port != 0)
        await _serve_operations(stack, house, server, worker)
        background = [
            asyncio.create_task(work, name=title)
            for title, work in (
                ("feed", _read_stream(house)),
                ("cursors", cursors.run()),
                ("parking", house.parking.run()),
                ("keys", doorkeeper.run()),
                ("accept", listener.run()),
                ("certificate", watch_certificate(tls)),
            )
        ]
        house.keep(asyncio.create_task(_compare_topology(house), name="topology"))
        log.info("gateway listens", extra={"host": host, "port": port, "worker": worker})
        if opened is not None:
            opened(house)
        if ready is not None:
            ready(host, port)
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *background], return_when=asyncio.FIRST_COMPLETED)
            await listener.close()
            for task in done - {stopping}:
                task.result()  # a background task ends by its failure only
            await _drain(house)
        finally:
            await listener.close()
            for task in (stopping, *background):
                task.cancel()
            await asyncio.gather(stopping, *background, return_exceptions=True)
            await puller.close()
            await link.close()
    log.info("gateway stopped", extra={"worker": worker})


def _server_tls(config: Config) -> ServerTls | None:
    listen = config.listen
    if listen.plain:
        return None
    if listen.certificate is None or listen.key is None:
        raise ConfigurationError("listen.certificate: a certificate and a key are needed unless listen.plain is set")
    return ServerTls(Path(listen.certificate), Path(listen.key), time.time())


async def _listen(stack: contextlib.AsyncExitStack, house: House, server: Server, tls: ServerTls | None) -> Listener:
    runner = web.AppRunner(server.app, keepalive_timeout=house.config.limits.head_s, **RUNNER_SETTINGS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return Listener(house, runner, tls.context if tls is not None else None)


async def _serve_operations(stack: contextlib.AsyncExitStack, house: House, server: Server, worker: int) -> None:
    """A listener of its own for ``/metrics``, ``/health`` and ``/ready``, where one is configured."""
    metrics = house.config.metrics
    if metrics.port is None:
        return
    runner = web.AppRunner(server.operations(), keepalive_timeout=HEAD_S, **RUNNER_SETTINGS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    port = metrics.port + worker if metrics.port else 0
    try:
        await web.TCPSite(runner, metrics.host, port).start()
    except OSError as error:
        raise ConfigurationError(f"metrics.port: {metrics.host}:{port} cannot be taken ({error.strerror})") from error


async def _compare_topology(house: House) -> None:
    """Say once at the start when streams and buckets are not what the configuration wants; change nothing."""
    try:
        await house.link.wait_up(3_600)
        difference = await verify(house.api, topology(house.config))
    except (UpstreamUnavailable, LimitReached) as error:
        log.warning("the streams could not be compared with the configuration", extra={"error": str(error)})
        return
    if not difference.is_done:
        log.warning("streams differ from the configuration: see tidewire provision", extra={"error": difference.text()})


async def _read_stream(house: House) -> None:
    """The feed, for ever; a new one when the stream was replaced."""
    while True:
        reading = _Reading(house)
        house.feed = reading.feed
        try:
            await reading.feed.run(reading.begin)
        except StreamReplaced as error:
            log.warning("the stream was replaced", extra={"error": str(error)})
            await reading.feed.close()
            for connection in list(house.exchange.by_key.values()) if house.open_exchange is not None else ():
                connection.guarded(partial(connection.close, close_codes.UPSTREAM_UNAVAILABLE))
            house.feed, house.open_exchange = None, None
        finally:
            reading.end()


class _Reading:
    """One stream's feed and the exchange that it fills."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._exchange: Exchange | None = None
        self._clock: asyncio.Task[None] | None = None
        self._guard = LeakGuard(policy(house.config))
        api = Api(house.link)  # of its own: the feed does not queue behind sessions
        api.calls = house.api.calls
        self.feed = Feed(
            house.link,
            api,
            FeedSettings(stream=house.config.stream.name),
            deliver=self._deliver,
            hole=self._hole,
        )

    def begin(self, info: StreamInfo) -> int:
        """Open the exchange; returns the first sequence to read."""
        config = self._house.config
        first = _first_to_read(info, config)
        recent = RecentWindow(first - 1, bytes_most=config.recent.recent_bytes, events_most=config.recent.recent_events)
        self._exchange = self._house.open_exchange = Exchange(recent, self.feed.identity, self._guard, self._leaked)
        self._clock = asyncio.create_task(self._exchange.run(), name="clock")
        return first

    def end(self) -> None:
        if self._clock is not None:
            self._clock.cancel()

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

    def _deliver(self, event: StoredEvent) -> None:
        assert self._exchange is not None, "the feed begins before it delivers"
        self._exchange.deliver(event)

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


def _hear_claim(house: House, data: bytes) -> None:
    """Another gateway has claimed a session, or an operator has ended one (an empty claim)."""
    try:
        claimed = msgspec.json.decode(data, type=Claim)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if house.open_exchange is None:
        return
    connection = house.exchange.by_key.get(claimed.key)
    if connection is None:
        house.cursors.forget(claimed.key)
    elif connection.cursor.claim != claimed.claim and claimed.revision > connection.cursor.claimed_revision:
        house.cursors.forget(claimed.key)
        connection.lose(ended=not claimed.claim)


async def _drain(house: House) -> None:
    """Say goodbye to everyone, spread over time; store cursors; park what is pending."""
    drain = house.config.drain
    house.is_draining = True
    random = Random(secrets.randbits(64))  # noqa: S311  # spreads reconnects, keeps no secret
    connections = list(house.open_exchange.by_key.values()) if house.open_exchange is not None else []
    log.info("drain begins", extra={"connections": len(connections)})
    try:
        async with asyncio.timeout(drain.timeout_s):
            for connection in connections:
                after_ms = random.randint(0, drain.spread_ms)
                connection.guarded(partial(connection.close, close_codes.DRAINING, after_ms))
            if house.open_exchange is not None:
                await house.exchange.empty.wait()
            await house.replays.settle()
            await house.settle()
            if house.link.is_up:
                await house.parking.flush()
    except TimeoutError:
        log.warning("drain took too long", extra={"timeout_s": drain.timeout_s})

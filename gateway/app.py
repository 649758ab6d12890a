"""Shell: the composition root: a configuration becomes a running gateway, and ends in a drain."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.certificate_watch import watch_certificate
from gateway.claiming import CLAIMED_SUBJECT, hear_claim
from gateway.config import Config
from gateway.counters import Counters
from gateway.doorkeeper import Doorkeeper
from gateway.draining import drain
from gateway.house import House
from gateway.http_limits import HEAD_S, RUNNER_SETTINGS
from gateway.listener import Listener
from gateway.nats_link import link_settings
from gateway.reading import read_stream
from gateway.server import Server
from gateway.settings import topology
from mesh.api import Api
from mesh.kv_gathering import GatheringBucket
from mesh.link import Link
from mesh.provision import verify
from mesh.pull import Puller
from replay.cursors import Cursors
from replay.durable import Durables
from security.errors import ConfigurationError, LimitReached, UpstreamUnavailable
from security.tls import ServerTls

log = logging.getLogger(__name__)


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
    house = await open_house(config, link, doorkeeper, counters)
    tls = house.tls = _server_tls(config)
    server = Server(house)
    async with contextlib.AsyncExitStack() as stack:
        listener = await _listen(stack, house, server, tls)
        host, port = listener.bind(config.listen.host, config.listen.port, shared=config.listen.port != 0)
        await _serve_operations(stack, house, server, worker)
        background = [
            asyncio.create_task(work, name=title)
            for title, work in (
                *works_of(house).items(),
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
            await drain(house)
        finally:
            await listener.close()
            for task in (stopping, *background):
                task.cancel()
            await asyncio.gather(stopping, *background, return_exceptions=True)
            listener.abort()
            await house.durables.puller.close()
            await link.close()
    log.info("gateway stopped", extra={"worker": worker})


async def open_house(config: Config, link: Link, doorkeeper: Doorkeeper, counters: Counters) -> House:
    """Put a gateway's parts together over a link that was started. Close ``durables.puller`` before the link."""
    api = Api(link, in_flight=config.admission.api_in_flight)
    puller = Puller(link, config.stream.name)
    await puller.start()
    bucket = GatheringBucket(link, api, config.cursors.bucket)
    await bucket.start()
    house = House(
        config,
        secrets.token_hex(8),
        link=link,
        api=api,
        doorkeeper=doorkeeper,
        cursors=Cursors(bucket, save_within_s=config.cursors.save_within_ms / 1_000),
        durables=Durables(api, puller, config.stream.name, inactive_threshold_s=config.durables.inactive_threshold_s),
        counters=counters,
    )
    await link.tap(CLAIMED_SUBJECT, lambda _subject, _reply, data, _headers: hear_claim(house, data))
    return house


def works_of(house: House) -> dict[str, Coroutine[Any, Any, None]]:
    """What a gateway does all the time, by name: to be run as tasks; each ends by its failure only."""
    return {"feed": read_stream(house), "cursors": house.cursors.run(), "parking": house.parking.run()}


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
    return Listener(house, runner, tls.context if tls is not None else None, server.opened)


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

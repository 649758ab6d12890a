"""Shell: Tidewire as a way of delivering: nats-server, one gateway worker on the measured core, a publisher."""

import asyncio
import re
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.process import Child
from bench.way import Order, Site
from bench.ways.jetstream import JetStream
from gateway import config as has
from gateway.config_text import effective
from gateway.up_config import development_config
from mesh.embedded import EmbeddedServer
from security.development import DevelopmentState
from security.development_names import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER

READY_S = 30.0
"""Seconds that a gateway has to be ready."""
POLL_S = 0.1
RECENT_BYTES = 512 * has.MIB
"""Bytes of the recent window: it must hold all that a whole crowd misses at once."""
_WIDE = 1_000_000


class Tidewire:
    """One gateway worker with development keys. Limits are out of the way, the recent window is wide."""

    name = "tidewire"
    dialect = "tidewire"

    def __init__(
        self,
        site: Site,
        *,
        recent_events: int = 200_000,
        park_after_s: float = 30.0,
        jetstream: JetStream | None = None,
    ) -> None:
        """``jetstream``: another gateway's, which runs: this is one more worker, for ``start_gateway`` alone."""
        self.port = 0
        self.jetstream = jetstream or JetStream(site)
        self.recent_events = recent_events
        self.park_after_s = park_after_s
        """Both are read at each start of the gateway."""
        self._site = site
        self._gateway: Child | None = None

    def missing(self) -> str:
        """It is always there."""
        return ""

    def version(self) -> str:
        """What is measured."""
        return "one gateway worker of this commit and nats-server; stored, replayed, resumed"

    async def start(self) -> None:
        """Start all, and return when clients are served."""
        await self.jetstream.start()
        await self.start_gateway()

    async def start_gateway(self) -> None:
        """Start the gateway alone; NATS runs."""
        folder = self.jetstream.folder
        path = folder / "gateway.toml"
        config = gateway_config(
            folder,
            self._site.keys,
            self.jetstream.nats,
            recent_events=self.recent_events,
            park_after_s=self.park_after_s,
        )
        path.write_text(effective(config), encoding="utf-8")
        self._gateway = Child(
            "gateway.worker",
            "--config",
            str(path),
            "--port",
            "0",
            on=self._site.measured_on,
            log=folder / "gateway.log",
        )
        await self._gateway.start()
        self.port = (await self._gateway.answer(READY_S))["port"]
        await self.until(lambda text: value(text, "tidewire_ready") == 1, READY_S, "the gateway ready")

    async def stop_gateway(self) -> None:
        """Drain the gateway; NATS stays."""
        if self._gateway is not None:
            await self._gateway.stop()

    async def kill_gateway(self) -> None:
        """End the gateway as a crash does: it tells nobody. NATS stays."""
        if self._gateway is not None:
            await self._gateway.kill()

    async def stop(self) -> None:
        """End every process; safe to repeat. A drain would park each session in a store that is thrown away."""
        await self.kill_gateway()
        await self.jetstream.stop()

    def servers(self) -> list[int]:
        """The gateway."""
        assert self._gateway is not None, "started"
        return [self._gateway.pid]

    def brokers(self) -> list[int]:
        """nats-server."""
        return [self.jetstream.pid()]

    async def publish(self, order: Order) -> None:
        """Through Tidewire's own ``Publisher``, each event acknowledged by JetStream."""
        await self.jetstream.publish(order)

    async def quiet(self, within_s: float, sessions: int) -> None:
        """Return when so many sessions are connected and nothing is left to do in the background."""

        def is_quiet(text: str) -> bool:
            connected = sum(values(text, "tidewire_sessions"))
            return connected == sessions and not any(values(text, "tidewire_durables_pending"))

        await self.until(is_quiet, within_s, f"{sessions} sessions and no durable to place")

    async def empty(self, within_s: float) -> None:
        """Return when no session is connected any more; their durables may wait to be parked."""
        await self.until(lambda text: sum(values(text, "tidewire_sessions")) == 0, within_s, "no session connected")

    async def consumer_calls(self) -> dict[str, int]:
        """JetStream calls about consumers so far, by verb."""
        return calls(await self.metrics(), "CONSUMER")

    async def until(self, is_so: Callable[[str], bool], within_s: float, what: str) -> None:
        """Poll the gateway's metrics until they say so. Raises ``TimeoutError``, naming ``what``."""
        try:
            async with asyncio.timeout(within_s):
                while not is_so(await self.metrics()):  # noqa: ASYNC110  # another process: nothing to wait on
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise TimeoutError(f"waited {within_s} s for {what}") from None

    async def metrics(self) -> str:
        """What the gateway tells a monitor."""
        return await asyncio.to_thread(read_metrics, self._site.keys, self.port)


def gateway_config(
    folder: Path, keys: DevelopmentState, nats: EmbeddedServer, *, recent_events: int, park_after_s: float
) -> has.Config:
    """A development configuration with limits out of the way; the gateway's password goes to a file in ``folder``."""
    password = folder / "gateway.password"
    password.touch(mode=0o600)
    password.write_text(nats.password("gateway").reveal(), encoding="utf-8")
    config = development_config(
        port=0,
        nats_url=nats.url,
        password_file=str(password),
        certificate=str(keys.certificate),
        key=str(keys.key),
        issuer=DEVELOPMENT_ISSUER,
        audience=DEVELOPMENT_AUDIENCE,
        jwks=str(keys.jwks),
    )
    limits = has.Limits(
        frames_per_s=100_000,
        frames_burst=_WIDE,
        user_frames_per_s=_WIDE,
        address_connects_per_s=_WIDE,
        connections_per_address=_WIDE,
        unauthenticated=_WIDE,
        unauthenticated_per_address=_WIDE,
        verify_queue=100_000,
        first_frame_s=300.0,  # a replay is measured from here: sockets wait, then all say connect
    )
    return msgspec.structs.replace(
        config,
        limits=limits,
        recent=has.Recent(recent_bytes=RECENT_BYTES, recent_events=recent_events),
        durables=has.Durables(park_after_s=park_after_s),
        sealed=(),
    )


def read_metrics(keys: DevelopmentState, port: int) -> str:
    """Fetch what a gateway tells a monitor; blocks."""
    context = ssl.create_default_context(cafile=str(keys.ca))
    with urllib.request.urlopen(f"https://127.0.0.1:{port}/metrics", context=context, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def calls(metrics: str, verb: str) -> dict[str, int]:
    """JetStream calls so far whose verb begins so."""
    found = re.findall(r'^tidewire_jetstream_calls_total\{verb="([^"]*)"\} ([\d.e+]+)', metrics, re.MULTILINE)
    return {name: int(float(count)) for name, count in found if name.startswith(verb)}


def values(metrics: str, name: str) -> list[float]:
    """All values of a metric, whatever its labels."""
    return [float(text) for text in re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([-\d.e+]+)$", metrics, re.MULTILINE)]


def value(metrics: str, name: str) -> float:
    """The first value of a metric; -1 when it has none."""
    return next(iter(values(metrics, name)), -1.0)

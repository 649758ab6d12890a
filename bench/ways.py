"""Shell: the three ways of delivering that are compared, as processes: Tidewire, a consumer per session, the floor."""

import asyncio
import re
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.process import Child
from gateway import config as has
from gateway.config_text import effective
from gateway.settings import topology
from gateway.up_config import development_config
from mesh.api import Api
from mesh.embedded import USERS, EmbeddedServer
from mesh.link import Link, LinkSettings
from mesh.provision import provision
from security.development import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, DevelopmentState

READY_S = 30.0
"""Seconds that a server has to be ready."""
POLL_S = 0.1
RECENT_BYTES = 512 * has.MIB
"""Bytes of the recent window: it must hold all that a whole crowd misses at once."""
_WIDE = 1_000_000


class Tidewire:
    """One gateway worker with development keys. Limits are out of the way, the recent window is wide."""

    def __init__(self, folder: Path, keys: DevelopmentState, nats: EmbeddedServer, on: set[int]) -> None:
        self._folder = folder
        self._keys = keys
        self._nats = nats
        self._on = on
        self.child: Child | None = None
        self.port = 0

    async def start(self, recent_events: int = 200_000, park_after_s: float = 30.0) -> None:
        """Start, and return when clients are served."""
        path = self._folder / "gateway.toml"
        path.write_text(effective(self._config(recent_events, park_after_s)), encoding="utf-8")
        self.child = Child(
            "gateway.worker", "--config", str(path), "--port", "0", on=self._on, log=self._folder / "gateway.log"
        )
        await self.child.start()
        self.port = (await self.child.answer(READY_S))["port"]
        await self.until(lambda text: _value(text, "tidewire_ready") == 1, READY_S, "the gateway ready")

    async def quiet(self, within_s: float, sessions: int) -> None:
        """Return when so many sessions are connected and nothing is left to do in the background."""

        def is_quiet(text: str) -> bool:
            connected = sum(_values(text, "tidewire_sessions"))
            return connected == sessions and _value(text, "tidewire_durables_pending") == 0

        await self.until(is_quiet, within_s, f"{sessions} sessions and no durable to place")

    async def empty(self, within_s: float) -> None:
        """Return when no session is connected any more; their durables may wait to be parked."""
        await self.until(lambda text: sum(_values(text, "tidewire_sessions")) == 0, within_s, "no session connected")

    async def consumer_calls(self) -> dict[str, int]:
        """JetStream calls about consumers so far, by verb."""
        found = re.findall(
            r'tidewire_jetstream_calls_total\{verb="(CONSUMER[^"]*)"\} ([\d.e+]+)', await self._metrics()
        )
        return {verb: int(float(count)) for verb, count in found}

    async def until(self, is_so: Callable[[str], bool], within_s: float, what: str) -> None:
        """Poll the gateway's metrics until they say so. Raises ``TimeoutError``, naming ``what``."""
        try:
            async with asyncio.timeout(within_s):
                while not is_so(await self._metrics()):  # noqa: ASYNC110  # another process: nothing to wait on
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise TimeoutError(f"waited {within_s} s for {what}") from None

    async def _metrics(self) -> str:
        return await asyncio.to_thread(self._read_metrics)

    def _read_metrics(self) -> str:
        context = ssl.create_default_context(cafile=str(self._keys.ca))
        url = f"https://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def _config(self, recent_events: int, park_after_s: float) -> has.Config:
        password = self._folder / "gateway.password"
        password.touch(mode=0o600)
        password.write_text(self._nats.password("gateway").reveal(), encoding="utf-8")
        config = development_config(
            port=0,
            nats_url=self._nats.url,
            password_file=str(password),
            certificate=str(self._keys.certificate),
            key=str(self._keys.key),
            issuer=DEVELOPMENT_ISSUER,
            audience=DEVELOPMENT_AUDIENCE,
            jwks=str(self._keys.jwks),
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


async def prepare_streams(nats: EmbeddedServer) -> None:
    """Make the stream and the bucket as a deployment has them."""
    settings = LinkSettings(
        servers=(nats.url,), user="operator", password=nats.password("operator"), inbox_prefix=USERS["operator"]
    )
    async with Link(settings) as link:
        await provision(Api(link), topology(has.Config()))


def _values(text: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([-\d.e+]+)$", text, re.MULTILINE)]


def _value(text: str, name: str) -> float:
    return next(iter(_values(text, name)), -1.0)

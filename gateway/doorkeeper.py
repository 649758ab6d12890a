"""Shell: who may come in: the issuers' keys, read from files or fetched, and tokens judged by them."""

import asyncio
import logging
import time
from pathlib import Path

import msgspec

from gateway import config as configuration
from gateway.counters import Counters
from gateway.jwks import fetch_jwks
from security.development_names import is_development_kid
from security.errors import ConfigurationError, LimitReached, UpstreamUnavailable
from security.issuers import Issuer, Issuers, JwksSchedule
from security.keys import JwksRefused, KeySet, parse_jwks
from security.permissions import Permissions, permissions_for
from security.tokens import Claims, Refused, verify

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often the schedules of fetched key sets are looked at, in seconds."""


class Doorkeeper:
    """Judges tokens. Key sets that come from a URL are kept fresh by ``run``."""

    def __init__(self, config: configuration.Config, counters: Counters) -> None:
        self._sources = {issuer.name: issuer for issuer in config.issuers}
        self._limits = config.limits
        self._is_production = config.profile == "production"
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._counters = counters
        self._schedules: dict[str, JwksSchedule] = {}
        self._issuers = Issuers()
        self._wake = asyncio.Event()
        self._due: dict[str, None] = {}

    async def start(self) -> None:
        """Read the key files. Raises ``ConfigurationError`` with the path of what is wrong."""
        loaded: list[Issuer] = []
        for place, source in enumerate(self._sources.values()):
            if source.jwks.startswith("https://"):
                self._schedules[source.name] = JwksSchedule(_now_s())
                keys = KeySet()
            else:
                keys = await self._read(source, f"issuers[{place}].jwks")
            loaded.append(_issuer(source, keys))
        self._issuers = Issuers(loaded)
        self._issuers.check()
        await self._fetch_due()

    async def judge(self, token: object) -> tuple[Claims, Permissions] | Refused:
        """Judge a stranger's token, one in each turn of the loop, so that a flood of them holds up nobody's events.

        Raises ``LimitReached`` when ``verify_queue`` tokens wait already.
        """
        if self._waiting >= self._limits.verify_queue:
            raise LimitReached(f"limits.verify_queue: {self._limits.verify_queue} tokens wait")
        self._waiting += 1
        try:
            async with self._turn:
                await asyncio.sleep(0)
                return self.verify(token, time.time())
        finally:
            self._waiting -= 1

    def verify(self, token: object, unix_s: float) -> tuple[Claims, Permissions] | Refused:
        """Judge a token: its claims and what they permit, or why it is refused."""
        if isinstance(token, str) and len(token) > self._limits.token_bytes:
            verified: Claims | Refused = Refused("size", "J1")
        else:
            verified = verify(token, unix_s, self._issuers)
        if isinstance(verified, Refused):
            self._counters.tokens_refused[verified.reason] += 1
            if verified.unknown_kid:
                asked = [name for name, schedule in self._schedules.items() if schedule.unknown_kid(_now_s())]
                if asked:
                    self._due |= dict.fromkeys(asked)
                    self._wake.set()
            return verified
        issuer = self._issuers.named(verified.issuer)
        assert issuer is not None, "claims name the issuer that verified them"
        tenant = self._sources[issuer.name].tenant
        if tenant is not None:
            verified = msgspec.structs.replace(verified, tenant=tenant)
        return verified, permissions_for(verified, issuer)

    def is_stale(self, issuer: str | None) -> bool:
        """Whether an issuer's fetched keys are too old to let anyone in by; with None, whether any issuer's are."""
        now_s = _now_s()
        schedules = self._schedules.items()
        return any(schedule.is_stale(now_s) for name, schedule in schedules if issuer in (None, name))

    def key_ages(self) -> dict[str, float]:
        """Seconds since each key set that has a URL was fetched, by issuer; infinite where it never was."""
        now_s = _now_s()
        return {name: schedule.age_s(now_s) for name, schedule in self._schedules.items()}

    async def run(self) -> None:
        """Fetch key sets when they are due, for ever."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._fetch_due()

    async def _fetch_due(self) -> None:
        for name, schedule in self._schedules.items():
            if name in self._due:
                del self._due[name]
            elif not schedule.tick(_now_s()):
                continue
            source = self._sources[name]
            try:
                document = await fetch_jwks(source.jwks)
            except UpstreamUnavailable as error:
                schedule.failed(_now_s())
                log.warning("a key set could not be fetched", extra={"issuer": name, "error": str(error)})
                continue
            keys = parse_jwks(document, algorithms=source.algorithms, from_file=False)
            reason = self._objection(keys)
            if isinstance(keys, JwksRefused) or reason:
                schedule.failed(_now_s())
                log.warning("a fetched key set is not taken", extra={"issuer": name, "error": reason})
                continue
            schedule.fetched(_now_s())
            self._issuers = self._issuers.with_keys(name, keys)

    def _objection(self, keys: KeySet | JwksRefused) -> str:
        """Why a fetched key set is not taken, or empty. Development keys in files are refused by the configuration."""
        if isinstance(keys, JwksRefused):
            return keys.message
        if not len(keys):
            return "no keys"
        is_development = any(is_development_kid(kid) for kid in keys.by_kid)
        return "a development key" if is_development and self._is_production else ""

    async def _read(self, source: configuration.Issuer, path: str) -> KeySet:
        try:
            document = await asyncio.to_thread(Path(source.jwks).read_bytes)
        except OSError as error:
            raise ConfigurationError(f"{path}: {source.jwks} cannot be read ({error.strerror})") from error
        keys = parse_jwks(document, algorithms=source.algorithms, from_file=True)
        if isinstance(keys, JwksRefused):
            raise ConfigurationError(f"{path}: {source.jwks}: {keys.message}")
        return keys


def _now_s() -> float:
    return time.monotonic()


def _issuer(source: configuration.Issuer, keys: KeySet) -> Issuer:
    return Issuer(
        name=source.name,
        audience=source.audience,
        algorithms=source.algorithms,
        typ=source.typ,
        read=source.read,
        publish=source.publish,
        request=source.request,
        deny=source.deny,
        leeway_s=source.leeway_s,
        keys=keys,
    )

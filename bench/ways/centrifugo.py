"""Shell: Centrifugo 6 as a way of delivering: history and recovery on, its memory engine or Redis.

On: history of 300 publications and 300 s, positioning and recovery for each subscription, TLS, tokens (ES256, the same
as Tidewire's). Publications come by ``/api/batch`` on the internal port over one kept connection, all that are due in
one request. One core, so ``GOMAXPROCS`` is 1.
"""

import tempfile
import time
from pathlib import Path

import aiohttp
import msgspec
from joserfc.jwk import ECKey

from bench.numbering import Numbering
from bench.pace import turns
from bench.process import Failed
from bench.program import Program, free_port
from bench.rivals.centrifugo_config import HISTORY_EVENTS, HISTORY_S, Places, batch, centrifugo_config, refused
from bench.rivals.installed import CENTRIFUGO, CENTRIFUGO_VERSION, centrifugo_missing
from bench.way import Order, Site
from security.development import DevelopmentState

TOGETHER = 100
"""Most publications in one request."""
API_S = 60.0
OK = 200


class Centrifugo:
    """One process on the measured core, nothing behind it."""

    name = "centrifugo"
    dialect = "centrifugo"

    def __init__(self, site: Site) -> None:
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="centrifugo-", dir=site.folder))
        self._site = site
        self._api = ""
        self._numbering = Numbering()
        self._server: Program | None = None
        self._http: aiohttp.ClientSession | None = None

    def missing(self) -> str:
        """Why it could not be built."""
        return centrifugo_missing()

    def version(self) -> str:
        """What is measured, and which of its promises are on."""
        return (
            f"Centrifugo {CENTRIFUGO_VERSION}, JSON, memory engine, GOMAXPROCS 1: history of {HISTORY_EVENTS} events "
            f"and {HISTORY_S} s, positioning and recovery on, tokens ES256; published in batches over HTTP"
        )

    async def start(self) -> None:
        """Return when clients are served."""
        await self.start_server()

    async def start_server(self, redis_port: int = 0) -> None:
        """Start Centrifugo alone. ``redis_port``: of the Redis whose engine it is to use; 0 for its memory."""
        places = Places(
            port=free_port(),
            api_port=free_port(),
            certificate=str(self._site.keys.certificate),
            key=str(self._site.keys.key),
            token_key=public_pem(self._site.keys),
            redis_port=redis_port,
        )
        path = self.folder / "centrifugo.json"
        path.write_bytes(msgspec.json.encode(centrifugo_config(places)))
        self._server = Program(
            str(CENTRIFUGO),
            "--config",
            str(path),
            on=self._site.measured_on,
            log=self.folder / "centrifugo.log",
            environment={"GOMAXPROCS": "1"},
        )
        await self._server.start(places.port, places.api_port)
        self.port = places.port
        self._http = aiohttp.ClientSession(
            f"http://127.0.0.1:{places.api_port}",
            connector=aiohttp.TCPConnector(limit=1),
            timeout=aiohttp.ClientTimeout(total=API_S),
            headers={"Content-Type": "application/json"},
        )

    async def stop(self) -> None:
        """End every process; safe to repeat."""
        if self._http is not None:
            await self._http.close()
        if self._server is not None:
            await self._server.stop()

    def servers(self) -> list[int]:
        """Centrifugo."""
        assert self._server is not None, "started"
        return [self._server.pid]

    def brokers(self) -> list[int]:
        """Nothing."""
        return []

    async def publish(self, order: Order) -> None:
        """Return when each publication was accepted; one request at a time, so that they stay in order."""
        assert self._http is not None, "started"
        async for due in turns(order, TOGETHER):
            events = [self._numbering.event(order, number, time.monotonic_ns()) for number in due]
            async with self._http.post("/api/batch", data=batch(events)) as answer:
                body = await answer.read()
            if why := refused(body) if answer.status == OK else f"status {answer.status}":
                raise Failed(f"Centrifugo did not take a publication: {why}")


def public_pem(keys: DevelopmentState) -> str:
    """The public key of the development issuer's tokens, as PEM."""
    public = msgspec.json.decode(keys.jwks.read_bytes())["keys"][0]
    return ECKey.import_key(public).as_pem(private=False).decode()

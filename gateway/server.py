"""Shell: HTTP: the upgrade to a session, and what operators ask for.

An upgrade is answered by ``gateway.listener``, and ``gateway.websocket`` goes on; aiohttp speaks all other HTTP.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web

from gateway import close_codes
from gateway.house import House
from gateway.listener import Handler
from gateway.metrics import exposition, process_exposition
from gateway.reception import Reception
from gateway.upgrade import SESSION_PATH, NoOffer, Offer, read_offer
from gateway.websocket import WebSocket

log = logging.getLogger(__name__)

METRICS_PATH = "/metrics"
CREDENTIAL_NAMES = frozenset(("token", "access_token", "jwt"))
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class _Upgraded(web.Response):
    """What aiohttp gets for an answer once the connection is not its own any more: nothing is written."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is to be prepared."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is to be ended."""


class Server:
    """Routes of one gateway."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._reception = Reception(house)
        self._origins = frozenset(house.config.listen.origins)
        self.app = web.Application(client_max_size=16_384)
        self.app.router.add_get(SESSION_PATH, self._session)
        self._add_health(self.app)
        if house.config.metrics.port is None and house.config.profile == "development":
            self.app.router.add_get(METRICS_PATH, self._metrics)  # else the public could read them

    def operations(self) -> web.Application:
        """An application with the operators' routes alone, for a listener of their own."""
        app = web.Application(client_max_size=16_384)
        self._add_health(app)
        app.router.add_get(METRICS_PATH, self._metrics)
        return app

    def _add_health(self, app: web.Application) -> None:
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)

    async def _health(self, request: web.Request) -> web.Response:
        """Alive: the event loop turns."""
        del request
        return web.json_response({"status": "alive"})

    async def _ready(self, request: web.Request) -> web.Response:
        """Ready: the feed and the recent window are up, NATS answers, no drain."""
        del request
        house = self._house
        state: dict[str, Any] = {"ready": house.is_ready, "nats": house.link.is_up, "draining": house.is_draining}
        state["feed"] = house.feed is not None and house.feed.caught_up.is_set()
        return web.json_response(state, status=200 if house.is_ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        del request
        process = await asyncio.to_thread(process_exposition)
        return web.Response(body=exposition(self._house) + process, headers={"Content-Type": PROMETHEUS})

    async def _session(self, request: web.Request) -> web.StreamResponse:
        """A request for a session that is not the plain upgrade which a ``Greeting`` answers: its refusal, mostly."""
        refused = self._house.counters.refused_sockets
        if _carries_credential(request):
            refused["token in query"] += 1
            return web.json_response({"error": "tokens come in the first frame, never in the query"}, status=400)
        offer = read_offer(request.method, request.headers)
        if isinstance(offer, NoOffer):
            if offer.is_subprotocol:
                refused["subprotocol"] += 1
            return web.json_response({"error": offer.message}, status=400)
        handler = request.protocol
        assert isinstance(handler, Handler), "sockets come from our listener"
        if not handler.upgrade(offer):
            return web.json_response({"error": NoOffer().message}, status=400)
        return _Upgraded()

    def opened(
        self, offer: Offer, socket: WebSocket, transport: asyncio.Transport, welcomed: Callable[[], None]
    ) -> None:
        """Serve a WebSocket whose upgrade was answered, unless it is a page's that is not on the list."""
        house = self._house
        if offer.origin is not None and offer.origin not in self._origins:
            house.counters.refused_sockets["origin"] += 1
            house.counters.closes[close_codes.FORBIDDEN] += 1
            work = socket.close(close_codes.FORBIDDEN, b"forbidden")
        else:
            work = self._reception.serve(socket, transport, offer.encoding, welcomed)
        house.keep(asyncio.create_task(work, name="open"))


def _carries_credential(request: web.Request) -> bool:
    """Whether the query holds something that is, or looks like, a token. Its value is never logged."""
    if any(name.lower() in CREDENTIAL_NAMES for name in request.query):
        return True
    texts = (*request.query, *request.query.values())
    return any(text.count(".") == 2 and len(text) > 40 for text in texts)

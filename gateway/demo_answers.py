"""Shell: what the demo page's site answers: files, tokens, keys, a count, and two stunts.

Whom it answers, and what a request may hold, is decided by ``gateway.demo_request``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from gateway import demo_request as asked
from gateway.demo_reader import PulseReader
from gateway.http_limits import HEAD_S
from gateway.page_files import PageFile
from gateway.shop import CUSTOMERS, STATUSES
from gateway.shop_keeper import ShopKeeper
from security.development import DevelopmentState
from security.errors import UpstreamUnavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_W = TypeVar("_W", bound=asked.Wanted)


class Backstage(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers come from; all of it belongs to ``gateway.up``."""

    gateway_port: int
    keys: DevelopmentState
    """Mints the tokens."""
    device_keys: Callable[[str], Path]
    """The file with the keys of one customer's device."""
    kill_worker: Callable[[], bool]
    shop: ShopKeeper | None
    """None: the shop is closed."""


class _Stop(Exception):
    """The request ends with this answer."""

    def __init__(self, refused: asked.Refused) -> None:
        super().__init__(refused.error)
        self.refused = refused


class Answers:
    """The routes of one site; ``app`` serves them."""

    def __init__(self, port: int, files: Mapping[str, PageFile], reader: PulseReader, backstage: Backstage) -> None:
        self._port = port
        self._files = files
        self._reader = reader
        self._behind = backstage
        self._headers = asked.headers_of_answers(backstage.gateway_port)
        self.app = web.Application(client_max_size=asked.BODY_BYTES, middlewares=[self._guard])
        self.app.on_response_prepare.append(self._add_headers)
        routes = self.app.router
        for path in files:
            routes.add_get(path, self._file)
        routes.add_get("/demo/settings", self._settings)
        routes.add_get("/demo/pulse", self._pulse)
        routes.add_post("/demo/token", self._token)
        routes.add_post("/demo/keys", self._keys)
        routes.add_post("/demo/rush", self._rush)
        routes.add_post("/demo/kill", self._kill)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Who may ask; and every refusal as JSON."""
        headers = request.headers
        refused = asked.refusal(
            request.method,
            self._port,
            hosts=headers.getall("Host", []),
            origins=headers.getall("Origin", []),
            content_types=headers.getall("Content-Type", []),
        )
        if refused is None:
            try:
                return await handler(request)
            except _Stop as stop:
                refused = stop.refused
            except web.HTTPException as error:  # aiohttp's own: 404, 405, 413
                refused = asked.Refused(error.status, error.reason)
        return _answer({"error": refused.error}, refused.status)

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        del request
        response.headers.update(self._headers)

    async def _file(self, request: web.Request) -> web.Response:
        file = self._files[request.path]
        return web.Response(body=file.data, headers={"Content-Type": file.content_type})

    async def _settings(self, request: web.Request) -> web.Response:
        """What the page must know before it connects."""
        del request
        return _answer(
            {
                "gateway_port": self._behind.gateway_port,
                "path": "/v1/session",
                "customers": [{"name": customer.name} for customer in CUSTOMERS],
                "statuses": STATUSES,
                "has_shop": self._behind.shop is not None,
            }
        )

    async def _token(self, request: web.Request) -> web.Response:
        """Sign in: here anybody is any customer."""
        wanted = await _body(request, asked.TokenWanted)
        customer = _known(wanted.customer)
        token = await asyncio.to_thread(self._behind.keys.mint, customer, wanted.ttl_s, time.time())
        return _answer({"token": token})

    async def _keys(self, request: web.Request) -> web.Response:
        """The keys that open what is sealed for this customer."""
        customer = _known((await _body(request, asked.KeysWanted)).customer)
        data = await asyncio.to_thread(self._behind.device_keys(customer).read_bytes)
        return web.Response(body=data, content_type="application/json", charset="utf-8")

    async def _pulse(self, request: web.Request) -> web.Response:
        """How many events wait."""
        wanted = asked.read_pulse(list(request.query.items()))
        if isinstance(wanted, asked.Refused):
            raise _Stop(wanted)
        waiting = self._reader.waiting(_known(wanted.customer), wanted.after)
        if waiting is None:
            raise _Stop(asked.Refused(503, "the stream has not been read yet; ask again"))
        return _answer(msgspec.to_builtins(waiting))

    async def _rush(self, request: web.Request) -> web.Response:
        """A busy moment in the shop."""
        wanted = await _body(request, asked.RushWanted)
        customer, shop = _known(wanted.customer), self._behind.shop
        if shop is None:
            raise _Stop(asked.Refused(409, "the shop is closed: tidewire up runs with --no-shop"))
        try:
            published = await shop.rush(customer, wanted.count)
        except UpstreamUnavailable:
            raise _Stop(asked.Refused(503, "nothing was published: NATS does not answer")) from None
        return _answer({"published": published})

    async def _kill(self, request: web.Request) -> web.Response:
        """A crash of a gateway worker."""
        await _body(request, asked.KillWanted)
        return _answer({"killed": self._behind.kill_worker()})


async def _body(request: web.Request, wanted: type[_W]) -> _W:
    try:
        async with asyncio.timeout(HEAD_S):
            body = await request.read()
    except TimeoutError:
        raise _Stop(asked.Refused(408, "the body did not come in time")) from None
    read = asked.read_body(body, wanted)
    if isinstance(read, asked.Refused):
        raise _Stop(read)
    return read


def _known(name: str) -> str:
    """The customer of that name, as the shop spells it."""
    for customer in CUSTOMERS:
        if customer.name == name:
            return customer.name
    raise _Stop(asked.Refused(404, f"no such customer; there are {', '.join(each.name for each in CUSTOMERS)}"))


def _answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", charset="utf-8"
    )

"""Key sets from a URL: fetched over TLS, bounded, kept when a fetch fails, and never a storm (docs/security.md, J7)."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from math import inf

import pytest
import pytest_asyncio
import trustme
from aiohttp import web

from gateway import doorkeeper as module
from gateway.config import Config, Issuer
from gateway.counters import Counters
from gateway.doorkeeper import Doorkeeper
from gateway.jwks import DOCUMENT_BYTES, fetch_jwks
from security.errors import UpstreamUnavailable
from security.tokens import Refused
from tests.security.attack_tokens import Forge
from tests.until import until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class KeyServer:
    """An https server with one key set; ``handler`` may be changed."""

    def __init__(self) -> None:
        self.forge = Forge(int(time.time()), "https://issuer.example", "tidewire")
        self.handler: Handler = self.good
        self.fetches = 0
        self.url = ""
        authority = trustme.CA()
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self.context)

    async def good(self, _: web.Request) -> web.StreamResponse:
        return web.Response(body=self.forge.jwks())

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.fetches += 1
        return await self.handler(request)


@pytest_asyncio.fixture
async def keys(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KeyServer]:
    server = KeyServer()
    app = web.Application()
    app.router.add_get("/{tail:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server.context)
    await site.start()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    monkeypatch.setattr(module, "fetch_jwks", partial(fetch_jwks, tls=server.trust))
    yield server
    await runner.cleanup()


async def doorkeeper(keys: KeyServer) -> Doorkeeper:
    issuer = Issuer(name=keys.forge.name, audience=keys.forge.audience, jwks=keys.url, read=("orders.{sub}.>",))
    made = Doorkeeper(Config(issuers=(issuer,)), Counters())
    await made.start()
    return made


def answers(status: int = 200, body: bytes = b"", **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return handler


async def test_a_key_set_from_a_url_lets_its_tokens_in(keys: KeyServer) -> None:
    made = await doorkeeper(keys)
    verified = made.verify(keys.forge.token(), time.time())
    assert isinstance(verified, tuple), verified
    assert not made.is_stale(None)
    assert keys.fetches == 1


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (answers(302, Location="https://127.0.0.1:1/elsewhere"), "status 302"),
        (answers(404), "status 404"),
        (answers(200, b"x" * (DOCUMENT_BYTES + 1)), "more than 65536 bytes"),
    ],
)
async def test_what_is_no_answer_is_unavailable(keys: KeyServer, handler: Handler, reason: str) -> None:
    keys.handler = handler
    with pytest.raises(UpstreamUnavailable, match=reason):
        await fetch_jwks(keys.url, keys.trust)


async def test_a_document_of_the_largest_size_is_taken(keys: KeyServer) -> None:
    keys.handler = answers(200, b"x" * DOCUMENT_BYTES)
    assert len(await fetch_jwks(keys.url, keys.trust)) == DOCUMENT_BYTES


async def test_a_slow_answer_is_given_up(keys: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    keys.handler = slow
    monkeypatch.setattr("gateway.jwks.FETCH_S", 0.2)
    with pytest.raises(UpstreamUnavailable, match="Timeout"):
        await fetch_jwks(keys.url, keys.trust)
    never.set()


async def test_an_untrusted_certificate_is_unavailable(keys: KeyServer) -> None:
    with pytest.raises(UpstreamUnavailable, match="Certificate"):
        await fetch_jwks(keys.url)


@pytest.mark.parametrize("body", [b'{"keys":[]}', b"not json", b'{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}'])
async def test_a_set_that_is_refused_at_the_start_leaves_the_issuer_without_keys(keys: KeyServer, body: bytes) -> None:
    keys.handler = answers(200, body)
    made = await doorkeeper(keys)
    refused = made.verify(keys.forge.token(), time.time())
    assert isinstance(refused, Refused)
    assert refused.unknown_kid
    assert made.is_stale(keys.forge.name), "whoever comes is told 4006, not 4501"
    assert made.key_ages() == {keys.forge.name: inf}


async def test_unknown_key_ids_fetch_once_and_a_failed_fetch_keeps_the_last_good_set(keys: KeyServer) -> None:
    made = await doorkeeper(keys)
    keys.handler = answers(500)
    stranger = keys.forge.token(keys.forge.header(kid="nobody-has-it"))
    working = asyncio.create_task(made.run())
    for _ in range(1_000):
        assert isinstance(made.verify(stranger, time.time()), Refused)
    await until(lambda: keys.fetches == 2)
    for _ in range(100):
        made.verify(stranger, time.time())
    assert isinstance(made.verify(keys.forge.token(), time.time()), tuple)
    assert keys.fetches == 2
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def test_keys_older_than_a_day_are_stale(keys: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await doorkeeper(keys)
    now_s = time.monotonic()
    monkeypatch.setattr(module, "_now_s", lambda: now_s + 86_399)
    assert not made.is_stale(keys.forge.name)
    assert 86_399 <= made.key_ages()[keys.forge.name] < 86_402
    monkeypatch.setattr(module, "_now_s", lambda: now_s + 86_402)
    assert made.is_stale(keys.forge.name)


async def test_a_development_key_from_a_url_is_refused_in_production(
    keys: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_development_kid", lambda kid: True)
    made = await doorkeeper(keys)  # Config() is production
    assert isinstance(made.verify(keys.forge.token(), time.time()), Refused)

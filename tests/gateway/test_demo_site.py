"""The demo page's site in this process, against a real nats-server: what the whole of `tidewire up` shows less well."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway import certificate_watch
from gateway.demo_answers import Backstage
from gateway.demo_site import DemoSite
from gateway.page_files import PageFile
from gateway.shop import CUSTOMERS
from gateway.shop_keeper import ShopKeeper
from mesh.embedded import EmbeddedServer
from mesh.topology import Topology
from security.development import DevelopmentState
from security.errors import ConfigurationError
from security.keyfile import generate
from security.keyring import KeyRing
from security.tls import ServerTls
from tests.servers import fresh_stream, link_settings, linked, running_server
from tests.system.publishing import publish
from tests.until import until

FILES = {"/": PageFile("text/html; charset=utf-8", b"<p>")}


class Site:
    """A running site, and what it was made of."""

    def __init__(self, site: DemoSite, keys: DevelopmentState) -> None:
        self.site = site
        self.keys = keys
        self.kills = 0
        self.can_kill = True

    def kill(self) -> bool:
        """Stand in for the supervisor."""
        self.kills += self.can_kill
        return self.can_kill

    async def ask(self, method: str, path: str, **further: Any) -> tuple[int, Any]:
        """Ask as the page does; returns status and answer."""
        page = self.site.url.rstrip("/")
        tls = ssl.create_default_context(cafile=self.keys.ca)
        headers = {"Origin": page} if method == "POST" else {}
        async with aiohttp.ClientSession() as session:
            async with session.request(method, page + path, ssl=tls, headers=headers, **further) as response:
                assert response.content_type == "application/json"
                return response.status, await response.json()

    async def pulse(self, customer: str, after: int) -> dict[str, Any]:
        """Ask until the stream was read."""
        found: list[dict[str, Any]] = []

        async def answers() -> bool:
            status, said = await self.ask("GET", f"/demo/pulse?customer={customer}&after={after}")
            if status == 200:
                found.append(said)
            return status == 200

        await until(answers)
        return found[-1]

    async def until_read(self, seq: int) -> None:
        """Return when the site has read the stream up to ``seq``."""

        async def is_read() -> bool:
            return bool((await self.pulse("c42", 0))["last"] >= seq)

        await until(is_read)

    async def serial(self) -> str:
        """Serial number of the certificate that a new connection gets."""
        tls = ssl.create_default_context(cafile=self.keys.ca)
        _, writer = await asyncio.open_connection("127.0.0.1", self.site.port, ssl=tls)
        certificate = writer.get_extra_info("ssl_object").getpeercert()
        writer.close()
        return str(certificate["serialNumber"])


@contextlib.asynccontextmanager
async def running_site(server: EmbeddedServer, folder: Path, shop: ShopKeeper | None = None) -> AsyncIterator[Site]:
    keys = DevelopmentState(folder / "development")
    keys.prepare(time.time())
    tls = ServerTls(keys.certificate, keys.key, time.time())
    with DemoSite(0, FILES) as demo:
        site = Site(demo, keys)
        backstage = Backstage(
            gateway_port=8_443, keys=keys, device_keys=lambda name: folder / name, kill_worker=site.kill, shop=shop
        )
        async with running(demo.run(backstage, tls, link_settings(server, user="gateway"), "EVENTS", "cursors")):
            yield site


@contextlib.asynccontextmanager
async def running(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Beside the block, and not after it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def open_shop(server: EmbeddedServer) -> AsyncIterator[ShopKeeper]:
    """A shop that sells one thing at once, and the next in an hour."""
    keys = [generate("default", customer.name, "contact", 1, time.time()) for customer in CUSTOMERS]
    shop = ShopKeeper(KeyRing(keys))
    async with linked(server, user="publisher") as link, running(shop.run(link, every_s=3_600)):
        yield shop


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """A server that a test may kill."""
    async with running_server(tmp_path / "nats", topology=Topology()) as server:
        yield server


async def test_what_waits_is_counted_exactly_whoever_published_it(own: EmbeddedServer, tmp_path: Path) -> None:
    mine = await publish(own, "orders.c42.o1", 5)
    async with running_site(own, tmp_path) as site:
        [other] = await publish(own, "orders.c43.o1", 1)
        mine += await publish(own, "orders.c42.o2", 3)
        await site.until_read(mine[-1])
        for passed, seq in enumerate(mine, start=1):
            assert (await site.pulse("c42", seq))["waiting"] == len(mine) - passed
        said = await site.pulse("c43", other - 1)
        assert (said["last"], said["waiting"]) == (mine[-1], 1)
        assert said["stream"].startswith("EVENTS:")
        assert (await site.pulse("c44", 0))["waiting"] == 0


async def test_a_stream_that_was_replaced_is_read_from_its_beginning(own: EmbeddedServer, tmp_path: Path) -> None:
    await publish(own, "orders.c42.o1", 30)
    async with running_site(own, tmp_path) as site:
        before = await site.pulse("c42", 0)
        assert before["waiting"] == 30
        await fresh_stream(own)
        await publish(own, "orders.c42.o1", 2)

        async def is_another() -> bool:
            return bool((await site.pulse("c42", 0))["stream"] != before["stream"])

        await until(is_another, within_s=20)
        await site.until_read(2)
        assert await site.pulse("c42", 1) == {"stream": (await site.pulse("c42", 0))["stream"], "last": 2, "waiting": 1}


async def test_it_serves_without_nats_and_reads_on_when_that_is_back(own: EmbeddedServer, tmp_path: Path) -> None:
    await own.kill()
    async with running_site(own, tmp_path) as site:
        assert (await site.ask("GET", "/demo/settings"))[0] == 200
        assert await site.ask("GET", "/demo/pulse?customer=c42&after=0") == (
            503,
            {"error": "the stream has not been read yet; ask again"},
        )
        await own.start()
        [seq] = await publish(own, "orders.c42.o1", 1)
        await site.until_read(seq)
        await own.kill()
        assert (await site.pulse("c42", 0))["waiting"] == 1  # what it knew
        await own.start()
        [_, last] = await publish(own, "orders.c42.o1", 2)
        await site.until_read(last)
        assert (await site.pulse("c42", 0))["waiting"] == 3


async def test_a_rush_is_stored_before_it_is_answered(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with open_shop(nats_server) as shop, running_site(nats_server, tmp_path, shop) as site:
        before = (await site.pulse("c44", 0))["last"]
        assert (await site.ask("GET", "/demo/settings"))[1]["has_shop"] is True
        wanted = {"customer": "c44", "count": 100}
        assert await site.ask("POST", "/demo/rush", json=wanted) == (200, {"published": 100})
        await site.until_read(before + 100)
        assert (await site.pulse("c44", before))["waiting"] == 100


async def test_a_closed_shop_and_one_without_nats_say_so(own: EmbeddedServer, tmp_path: Path) -> None:
    wanted = {"customer": "c42", "count": 1}
    async with running_site(own, tmp_path) as site:
        assert (await site.ask("GET", "/demo/settings"))[1]["has_shop"] is False
        status, said = await site.ask("POST", "/demo/rush", json=wanted)
        assert (status, said) == (409, {"error": "the shop is closed: tidewire up runs with --no-shop"})
    unopened = ShopKeeper(KeyRing())
    async with running_site(own, tmp_path, unopened) as site:
        status, said = await site.ask("POST", "/demo/rush", json=wanted)
        assert (status, said) == (503, {"error": "nothing was published: NATS does not answer"})


async def test_killing_is_handed_on_and_its_outcome_told(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with running_site(nats_server, tmp_path) as site:
        assert await site.ask("POST", "/demo/kill", json={}) == (200, {"killed": True})
        site.can_kill = False
        assert await site.ask("POST", "/demo/kill", json={}) == (200, {"killed": False})
        assert (await site.ask("POST", "/demo/kill", json={"worker": 1}))[0] == 400
        assert site.kills == 1


async def test_a_fault_of_the_site_itself_tells_nothing_and_keeps_the_headers(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    async with running_site(nats_server, tmp_path) as site, aiohttp.ClientSession() as session:
        page = site.site.url.rstrip("/")
        tls = ssl.create_default_context(cafile=site.keys.ca)
        headers = {"Origin": page}  # the keys of this customer are in no file here
        async with session.post(f"{page}/demo/keys", json={"customer": "c42"}, headers=headers, ssl=tls) as response:
            assert response.status == 500
            assert str(tmp_path) not in await response.text()
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")


async def test_a_renewed_certificate_is_taken_up(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate_watch, "LOOK_EVERY_S", 0.02)
    async with running_site(nats_server, tmp_path) as site:
        first = await site.serial()
        site.keys.certificate.unlink()
        assert site.keys.prepare(time.time())

        async def is_renewed() -> bool:
            return await site.serial() != first

        await until(is_renewed)


def test_a_port_that_is_taken_is_told_by_its_option() -> None:
    with DemoSite(0, FILES) as first, pytest.raises(ConfigurationError, match=f"--demo-port: {first.port} of 127"):
        DemoSite(first.port, FILES)

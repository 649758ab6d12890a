"""The demo page's site on a real `tidewire up`: each route, whom it answers, what its tokens and keys are good for."""

import asyncio
import json
import os
import signal
import ssl
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import psutil  # type: ignore[import-untyped]
import pytest
import pytest_asyncio
from tidewire_client import Client, DeviceKeys, Event

from gateway.page_files import client_folder, page_folder
from tests.system.running_up import Up, take, up
from tests.until import until
from tests.wire_client import WireClient

CUSTOMER = {"customer": "c42"}
POSTS = ("/demo/token", "/demo/keys", "/demo/rush", "/demo/kill")


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def told(self) -> Any:
        """What it says in JSON, as every answer does that is no file."""
        assert self.headers["Content-Type"] == "application/json; charset=utf-8"
        return json.loads(self.body)

    def refusal(self) -> tuple[int, str]:
        """Status and text of a refusal."""
        told = self.told()
        assert told.keys() == {"error"}
        return self.status, told["error"]


class Page:
    """A browser at the page of a running `tidewire up`."""

    def __init__(self, running: Up) -> None:
        self.running = running
        self.origin = running.told["page"].rstrip("/")
        self.port = int(self.origin.rpartition(":")[2])
        self.gateway_port = int(running.told["http"].rpartition(":")[2])
        self.tls = ssl.create_default_context(cafile=running.told["ca"])

    async def ask(self, method: str, path: str, *, at: str | None = None, **further: Any) -> Answer:
        """Ask the site for a path."""
        async with aiohttp.ClientSession() as session:
            async with session.request(method, (at or self.origin) + path, ssl=self.tls, **further) as response:
                return Answer(response.status, dict(response.headers), await response.read())

    async def get(self, path: str, **further: Any) -> Answer:
        """Ask as the page does when it reads."""
        return await self.ask("GET", path, **further)

    async def post(self, path: str, body: object, **further: Any) -> Answer:
        """Ask as the page does when it changes something; ``body`` bytes go as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Origin": self.origin, "Content-Type": "application/json"} | further
        return await self.ask("POST", path, data=data, headers={k: v for k, v in headers.items() if v is not None})

    async def pulse(self, after: int) -> dict[str, Any]:
        """How many events wait for customer c42, once the stream was read."""
        found: list[Answer] = []

        async def answers() -> bool:
            found.append(await self.get(f"/demo/pulse?customer=c42&after={after}"))
            return found[-1].status == 200

        await until(answers)
        told: dict[str, Any] = found[-1].told()
        return told

    async def token(self) -> str:
        """Sign in."""
        token: str = (await self.post("/demo/token", CUSTOMER)).told()["token"]
        return token

    async def next_order(self, keys: DeviceKeys) -> Event:
        """An order of customer c42 that the shop moves while a device looks."""
        told = self.running.told
        async with Client(told["url"], token=await self.token(), session="device", ca=told["ca"], keys=keys) as client:
            live = asyncio.create_task(take(client, 1))
            await until(lambda: client.state == "live")
            await self.post("/demo/rush", CUSTOMER | {"count": 1})
            [event] = await live
            return event

    async def is_ready(self) -> bool:
        """Whether the gateway serves."""
        return await self.running.status("/ready") == 200

    def worker(self) -> int | None:
        """Process id of the gateway's worker; None while there is none."""
        found = self.running.child("gateway.worker")
        return found.pid if found is not None else None


@pytest_asyncio.fixture(scope="module")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    """One start for the whole file; each test waits for what it needs."""
    async with up(tmp_path_factory.mktemp("up")) as running:
        yield Page(running)


def headers_of(page: Page) -> dict[str, str]:
    """What is on every answer."""
    port = page.gateway_port
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' wss://localhost:{port} wss://127.0.0.1:{port}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


async def test_every_file_of_the_page_and_of_the_client_is_served_as_it_is(page: Page) -> None:
    kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    files = {f"/page/{path.name}": path for path in page_folder().iterdir() if path.suffix in kinds}
    files |= {f"/client/{path.name}": path for path in client_folder().glob("*.js")}
    files["/"] = page_folder() / "index.html"
    assert {"/client/index.js", "/page/index.html"} <= files.keys()
    for url, path in files.items():
        answer = await page.get(url)
        assert (answer.status, answer.body) == (200, path.read_bytes()), url
        assert answer.headers["Content-Type"] == f"{kinds[path.suffix]}; charset=utf-8"
        assert headers_of(page).items() <= answer.headers.items()


async def test_both_names_of_this_machine_lead_to_it_and_it_listens_on_loopback_only(page: Page) -> None:
    assert (await page.get("/", at=f"https://127.0.0.1:{page.port}")).status == 200
    process = psutil.Process(page.running.process.pid)
    listening = {each.laddr for each in process.net_connections(kind="tcp") if each.status == psutil.CONN_LISTEN}
    assert ("127.0.0.1", page.port) in listening
    assert {address for address, _ in listening} == {"127.0.0.1"}


async def test_the_page_is_told_what_it_needs_before_it_connects(page: Page) -> None:
    answer = await page.get("/demo/settings")
    assert headers_of(page).items() <= answer.headers.items()
    assert answer.told() == {
        "gateway_port": page.gateway_port,
        "path": "/v1/session",
        "customers": [{"name": "c42"}, {"name": "c43"}, {"name": "c44"}],
        "statuses": ["placed", "paid", "packed", "shipped", "delivered"],
        "has_shop": True,
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/page/", 404),
        ("GET", "/page/../up.py", 404),
        ("GET", "/page/%2e%2e/up.py", 404),
        ("GET", "/client/..%2fpackage.json", 404),
        ("GET", "/demo/token", 405),
        ("POST", "/demo/settings", 405),
        ("POST", "/", 405),
    ],
)
async def test_what_is_not_there_is_refused_with_the_same_headers(
    page: Page, method: str, path: str, status: int
) -> None:
    answer = await (page.get(path) if method == "GET" else page.post(path, {}))
    assert answer.refusal()[0] == status
    assert headers_of(page).items() <= answer.headers.items()
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/page/index.html", "/client/index.js", "/demo/settings", *POSTS])
async def test_another_host_name_is_misdirected(page: Page, path: str) -> None:
    method = "POST" if path in POSTS else "GET"
    for host in ("attacker.example", f"attacker.example:{page.port}", f"localhost:{page.gateway_port}"):
        headers = {"Host": host, "Origin": f"https://{host}", "Content-Type": "application/json"}
        answer = await page.ask(method, path, headers=headers, data=b"{}" if method == "POST" else None)
        both = f"{page.origin} or https://127.0.0.1:{page.port}"
        assert answer.refusal() == (421, f"this site is {both} and nothing else")
        assert headers_of(page).items() <= answer.headers.items()


@pytest.mark.parametrize("path", POSTS)
async def test_another_page_and_another_form_of_body_are_refused(page: Page, path: str) -> None:
    body = {"customer": "c42"}
    for origin in (None, "null", "https://attacker.example", f"https://localhost:{page.gateway_port}"):
        answer = await page.post(path, body, Origin=origin)
        assert answer.refusal() == (403, "only the page of this site may ask for this")
    for form in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await page.post(path, body, **{"Content-Type": form})
        assert answer.refusal() == (403, "Content-Type must be application/json")


@pytest.mark.parametrize("path", POSTS)
async def test_a_wrong_body_is_told_the_right_form(page: Page, path: str) -> None:
    for body in (b"", b"{", b"[]", b'{"customer": 42}', b'{"customer": "c42", "more": 1}'):
        status, error = (await page.post(path, body)).refusal()
        assert status == 400
        assert error.startswith("the body must be {")


async def test_bodies_lives_counts_and_positions_have_bounds(page: Page) -> None:
    whole = json.dumps(CUSTOMER).encode().ljust(4_096)
    assert (await page.post("/demo/token", whole)).status == 200
    assert (await page.post("/demo/token", whole + b" ")).refusal()[0] == 413
    for ttl_s, status in ((14, 400), (15, 200), (3_600, 200), (3_601, 400)):
        assert (await page.post("/demo/token", CUSTOMER | {"ttl_s": ttl_s})).status == status
    for count, status in ((0, 400), (101, 400)):
        assert (await page.post("/demo/rush", CUSTOMER | {"count": count})).status == status
    for after, status in ((-1, 400), (0, 200), (2**53 - 1, 200), (2**53, 400)):
        await page.pulse(0)
        assert (await page.get(f"/demo/pulse?customer=c42&after={after}")).status == status


async def test_an_unknown_customer_is_told_who_is_known(page: Page) -> None:
    nobody = {"customer": "c99"}
    expected = (404, "no such customer; there are c42, c43, c44")
    assert (await page.post("/demo/token", nobody)).refusal() == expected
    assert (await page.post("/demo/keys", nobody)).refusal() == expected
    assert (await page.post("/demo/rush", nobody | {"count": 1})).refusal() == expected
    assert (await page.get("/demo/pulse?customer=c99&after=0")).refusal() == expected


async def test_its_token_is_welcome_from_its_origins_and_from_no_other(page: Page) -> None:
    await until(page.is_ready, within_s=20)
    token = await page.token()

    async def first_word(origin: str) -> Any:
        async with aiohttp.ClientSession() as session:
            url = f"wss://localhost:{page.gateway_port}/v1/session"
            protocols = ("tidewire.v1.json",)
            async with session.ws_connect(url, origin=origin, protocols=protocols, ssl=page.tls) as socket:
                await socket.send_json({"type": "connect", "token": token, "session": "browser", "subscribe": []})
                said = await socket.receive(timeout=10)
                if said.type is not aiohttp.WSMsgType.TEXT:
                    return socket.close_code
                frames = json.loads(said.data)
                return (frames[0] if isinstance(frames, list) else frames)["type"]

    for origin in (page.origin, f"https://127.0.0.1:{page.port}"):
        assert await first_word(origin) == "welcome"
    for origin in ("https://attacker.example", f"http://localhost:{page.port}", f"https://localhost:{page.port + 1}"):
        assert await first_word(origin) == 4503


async def test_the_token_of_one_customer_reads_only_its_own_orders(page: Page) -> None:
    await until(page.is_ready, within_s=20)
    url = page.running.told["url"]
    async with WireClient(url, page.tls, await page.token(), "curious", ["orders.c43.>"]) as client:
        await until(lambda: client.close_code is not None)
        assert (client.close_code, client.frames) == (4503, [])


async def test_its_keys_open_what_the_shop_has_sealed(page: Page) -> None:
    await until(page.is_ready, within_s=20)
    keys = await page.post("/demo/keys", CUSTOMER)
    assert headers_of(page).items() <= keys.headers.items()
    own = await page.next_order(DeviceKeys.from_jwks(keys.body))
    assert own.data["phone"].startswith("+49 40 ")
    others = await page.next_order(DeviceKeys.from_jwks((await page.post("/demo/keys", {"customer": "c43"})).body))
    assert others.data.keys().isdisjoint({"phone", "address"})


async def test_a_rush_publishes_and_the_count_of_what_waits_is_that_of_the_gateway(page: Page) -> None:
    await until(page.is_ready, within_s=20)
    start = await page.pulse(0)
    assert (await page.post("/demo/rush", CUSTOMER | {"count": 100})).told() == {"published": 100}

    async def is_read() -> bool:
        return bool((await page.pulse(start["last"]))["waiting"] >= 100)

    await until(is_read)
    end = await page.pulse(start["last"])
    resume = (start["stream"], start["last"])
    url, token = page.running.told["url"], await page.token()
    async with WireClient(url, page.tls, token, "counter", ["orders.c42.>"], resume=resume, ack=True) as client:
        await client.until("live")
        replayed = [seq for seq in client.seqs if seq <= end["last"]]
    assert len(replayed) == end["waiting"]
    assert end["stream"] == start["stream"]


async def test_a_killed_worker_returns_while_the_page_goes_on(page: Page) -> None:
    await until(page.is_ready, within_s=20)
    before = page.worker()
    assert (await page.post("/demo/kill", {})).told() == {"killed": True}
    assert (await page.get("/demo/settings")).status == 200
    await until(lambda: page.worker() not in (None, before), within_s=20)
    await until(page.is_ready, within_s=20)


async def test_the_page_goes_on_without_nats_and_the_rush_comes_when_that_is_back(page: Page) -> None:
    before = (await page.pulse(0))["last"]
    os.kill(page.running.pid_of("nats-server"), signal.SIGKILL)
    assert (await page.get("/demo/settings")).status == 200
    assert (await page.pulse(before))["stream"].startswith("EVENTS:")
    async with asyncio.timeout(30):
        answer = await page.post("/demo/rush", CUSTOMER | {"count": 5})
    assert answer.told() == {"published": 5}

    async def is_read() -> bool:
        return bool((await page.pulse(before))["waiting"] >= 5)

    await until(is_read, within_s=20)


async def test_without_the_page_nothing_is_served_and_no_origin_is_let_in(tmp_path: Path) -> None:
    async with up(tmp_path, "--no-demo", "--no-shop") as running:
        assert running.told["page"] is None
        assert tomllib.loads((tmp_path / "gateway.toml").read_text())["listen"]["origins"] == []
        process = psutil.Process(running.process.pid)
        assert [each for each in process.net_connections(kind="tcp") if each.status == psutil.CONN_LISTEN] == []

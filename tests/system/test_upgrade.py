"""The upgrade of a real socket: subprotocols, tokens in the query, Origin, compression; and the operators' routes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Origin, Subprotocol

from mesh.embedded import EmbeddedServer
from mesh.topology import Topology
from tests.gateways import Gateway, running_gateway
from tests.servers import running_server
from tests.system.publishing import publish
from tests.system.server_logs import server_logs
from tests.system.starting import starting_gateway
from tests.until import until
from tests.wire_client import JSON, MSGPACK

SHOP = "https://shop.example"


@pytest_asyncio.fixture(scope="module")
async def gateway(nats_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    origins = {"origins": [SHOP, "http://localhost:5173"]}
    async with running_gateway(nats_server, tmp_path_factory.mktemp("upgrade"), listen=origins) as started:
        yield started


async def upgrade(
    gateway: Gateway, *protocols: str, query: str = "", origin: str | None = None, compression: str | None = None
) -> ClientConnection:
    return await connect(
        gateway.url + query,
        ssl=gateway.tls,
        subprotocols=[Subprotocol(name) for name in protocols] or None,
        origin=Origin(origin) if origin is not None else None,
        compression=compression,
        proxy=None,
        close_timeout=2,
    )


async def status_of(gateway: Gateway, *protocols: str, query: str = "") -> int:
    with pytest.raises(InvalidStatus) as refused:
        await upgrade(gateway, *protocols, query=query)
    return refused.value.response.status_code


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ((JSON,), JSON),
        ((MSGPACK,), MSGPACK),
        ((JSON, MSGPACK), JSON),
        ((MSGPACK, JSON), MSGPACK),
        (("tidewire.v2.json", "chat", MSGPACK, JSON), MSGPACK),
    ],
)
async def test_the_first_subprotocol_that_the_client_offers_and_we_have_is_taken(
    gateway: Gateway, offered: tuple[str, ...], taken: str
) -> None:  # P1.2
    async with await upgrade(gateway, *offered) as socket:
        assert socket.subprotocol == taken


@pytest.mark.parametrize("offered", [(), ("tidewire.v2.json",), ("TIDEWIRE.V1.JSON",), ("tidewire.v1",)])
async def test_without_a_subprotocol_in_common_the_upgrade_is_refused(
    gateway: Gateway, offered: tuple[str, ...]
) -> None:  # P1.2
    assert await status_of(gateway, *offered) == 400


@pytest.mark.parametrize(
    "query",
    [
        "?token={}",
        "?access_token={}",
        "?jwt={}",
        "?Token={}",
        "?a=b&TOKEN={}",
        "?token=",
        "?t={}",
        "?x=1&whatever={}",
        "?{}",
        "?{}=1",
        "?t=%20{}",
        "?t=Bearer%20{}",
        "?t=x;jwt={}",
    ],
)
async def test_a_token_in_the_query_is_refused_and_in_no_log(gateway: Gateway, query: str) -> None:  # P1.6, A5
    token = gateway.token()
    with server_logs() as logs:
        assert await status_of(gateway, JSON, query=query.format(token)) == 400
        status, body = await gateway.get("/metrics")
    assert status == 200
    for part in token.split("."):
        assert part not in logs.text
        assert part not in body


async def test_a_query_without_a_token_is_no_obstacle(gateway: Gateway) -> None:
    async with await upgrade(gateway, JSON, query="?v=1.2.3&from=https%3A%2F%2Fshop.example.com") as socket:
        assert socket.subprotocol == JSON


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        (None, True),
        (SHOP, True),
        ("http://localhost:5173", True),
        ("null", False),
        ("https://shop.example.evil.test", False),
        ("https://evil.test/https://shop.example", False),
        ("https://shop.example:8443", False),
        ("http://shop.example", False),
        ("https://www.shop.example", False),
        ("https://SHOP.example", False),
        ("https://shop.example/", False),
        ("http://localhost:5174", False),
        ("", False),
    ],
)
async def test_an_origin_is_let_in_only_when_it_is_exactly_on_the_list(
    gateway: Gateway,
    origin: str | None,
    is_let_in: bool,  # noqa: FBT001
) -> None:  # P1.7, A6
    async with await upgrade(gateway, JSON, origin=origin) as socket:
        if is_let_in:
            await (await socket.ping())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await socket.recv()
            return
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(5):
                await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4503, "forbidden")


async def test_nothing_is_read_from_a_page_of_another_origin(gateway: Gateway) -> None:  # A6
    sessions = len(gateway.house.exchange.by_key)
    async with await upgrade(gateway, JSON, origin="https://evil.test") as socket:
        with contextlib.suppress(ConnectionClosed):
            await socket.send(f'{{"type":"connect","token":"{gateway.token()}","session":"evil"}}')
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4503
        assert len(gateway.house.exchange.by_key) == sessions


async def test_plain_http_on_the_session_path_is_refused(gateway: Gateway) -> None:
    assert (await gateway.get("/v1/session"))[0] == 400
    assert (await gateway.get("/v1/session?token=x"))[0] == 400
    assert (await gateway.get("/v1/other"))[0] == 404


async def test_compression_is_never_negotiated(gateway: Gateway) -> None:  # P1.5, D6
    async with await upgrade(gateway, JSON, compression="deflate") as socket:
        assert socket.protocol.extensions == []
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_operators_see_health_readiness_and_metrics(gateway: Gateway) -> None:
    assert await gateway.get("/health") == (200, '{"status": "alive"}')
    status, text = await gateway.get("/ready")
    assert (status, '"ready": true' in text) == (200, True)
    status, text = await gateway.get("/metrics")
    assert status == 200
    assert "tidewire_ready 1.0" in text
    assert "tidewire_feed_position" in text


async def test_a_client_that_is_gone_before_the_answer_is_no_error(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = asyncio.Event()
    prepare = web.WebSocketResponse.prepare

    async def after_a_reset(self: web.WebSocketResponse, request: web.Request) -> Any:
        assert request.transport is not None
        request.transport.abort()
        prepared.set()
        return await prepare(self, request)

    monkeypatch.setattr(web.WebSocketResponse, "prepare", after_a_reset)
    with server_logs() as logs:
        with pytest.raises((OSError, WebSocketException)):
            await upgrade(gateway, JSON)
        await prepared.wait()
        monkeypatch.undo()
        async with await upgrade(gateway, JSON) as socket:
            assert socket.subprotocol == JSON
    assert "'levelname': 'ERROR'" not in logs.text


async def test_a_gateway_is_alive_but_not_ready_while_nats_is_away_and_serves_when_it_comes(tmp_path: Path) -> None:
    async with running_server(tmp_path / "nats", topology=Topology()) as server:
        await server.stop()
        async with starting_gateway(server, tmp_path / "gateway") as gateway:
            assert (await gateway.get("/health"))[0] == 200
            status, text = await gateway.get("/ready")
            assert (status, '"ready": false' in text, '"nats": false' in text) == (503, True, True)
            status, text = await gateway.get("/metrics")
            assert (status, "tidewire_ready 0.0" in text) == (200, True)
            async with gateway.client("c42", ["orders.c42.>"]) as early:  # P3.5
                assert await early.closed() == 4006
            await server.start()

            async def is_ready() -> bool:
                return (await gateway.get("/ready"))[0] == 200

            await until(is_ready, 20)
            async with gateway.client("c42", ["orders.c42.>"]) as client:
                await client.until("live")
                await publish(server, "orders.c42.o1", 1)
                await client.until("event")

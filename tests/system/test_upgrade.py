"""The upgrade of a real socket: subprotocols, tokens in the query, Origin, compression; and the operators' routes."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Origin, Subprotocol

from gateway.listener import Handler
from gateway.upgrade import Offer
from mesh.embedded import EmbeddedServer
from mesh.topology import Topology
from tests.gateways import Gateway, running_gateway
from tests.servers import running_server
from tests.system.publishing import publish
from tests.system.raw_socket import PING, PONG, RawSocket, frame
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
    assert gateway.house.tls is not None
    ends = re.search(r"^tidewire_certificate_expires_seconds (\S+)$", text, re.MULTILINE)
    assert ends is not None
    assert float(ends[1]) == gateway.house.tls.expires_at
    named = set(re.findall(r"^\w+", text, re.MULTILINE))
    assert {"process_resident_memory_bytes", "process_open_fds", "process_max_fds"} <= named


UPGRADE = (
    b"GET /v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: tidewire.v1.json\r\n\r\n"
)
ACCEPTED = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the example of RFC 6455 1.3


@contextlib.asynccontextmanager
async def connection(gateway: Gateway) -> AsyncIterator[RawSocket]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=gateway.tls)
    try:
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()


async def is_upgraded(socket: RawSocket) -> bool:
    """Whether the next answer is a good one, and a ping behind it is answered."""
    head = await socket.reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 ") or ACCEPTED not in head:
        return False
    await socket.send(frame(b"there?", PING))
    return await socket.read() == (PONG, b"there?")


@pytest.mark.parametrize("cut", [1, 30, len(UPGRADE) - 2, len(UPGRADE) - 1])
async def test_an_upgrade_that_comes_in_pieces_is_taken(gateway: Gateway, cut: int) -> None:
    async with connection(gateway) as socket:
        await socket.send(UPGRADE[:cut])
        await gateway.get("/health")  # the first piece has come by then
        await socket.send(UPGRADE[cut:])
        assert await is_upgraded(socket)


async def test_an_upgrade_behind_another_request_is_taken(gateway: Gateway) -> None:
    async with connection(gateway) as socket:
        await socket.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await socket.reader.readuntil(b'alive"}')
        await socket.send(UPGRADE)
        assert await is_upgraded(socket)


async def test_frames_that_come_with_the_upgrade_are_taken(gateway: Gateway) -> None:
    async with connection(gateway) as socket:
        await socket.send(UPGRADE + frame(b"early", PING))
        assert (await socket.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await socket.read() == (PONG, b"early")


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        (b"Sec-WebSocket-Version: 13\r\n", b"Sec-WebSocket-Version: 12\r\n"),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"Sec-WebSocket-Key: c2hvcnQ=\r\n"),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
        (b"Upgrade: WebSocket\r\n", b"Upgrade: h2c\r\n"),
        (b"Connection: keep-alive, Upgrade\r\n", b"Connection: keep-alive\r\n"),
        (b"GET ", b"POST "),
        (b"Host: 127.0.0.1\r\n", b"Host: 127.0.0.1\r\n folded\r\n"),
        (b"Host: 127.0.0.1\r\n", b"Host : 127.0.0.1\r\n"),
    ],
)
async def test_what_is_no_good_upgrade_is_refused(gateway: Gateway, line: bytes, instead: bytes) -> None:
    async with connection(gateway) as socket:
        assert line in UPGRADE
        await socket.send(UPGRADE.replace(line, instead))
        assert (await socket.reader.readuntil(b"\r\n")).split()[1] in (b"400", b"405")


async def test_a_client_that_is_gone_before_the_answer_is_no_error(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = asyncio.Event()
    answer = Handler.upgrade

    def after_a_reset(self: Handler, offer: Offer) -> bool:
        assert self.transport is not None
        self.transport.abort()
        answered.set()
        return answer(self, offer)

    monkeypatch.setattr(Handler, "upgrade", after_a_reset)
    with server_logs() as logs:
        with pytest.raises((OSError, WebSocketException)):
            await upgrade(gateway, JSON, query="?by=aiohttp")
        await answered.wait()
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

"""The first seconds of a connection: upgrades that fail, redirects, and messages as large as they may be."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tidewire_client import Backoff, ClientError
from tidewire_client.effects import Open

from tests.client.core_bench import Bench
from tests.client.scripted_server import live, scripted_gateway, welcome
from tests.client.test_client import client_of
from tests.until import until

SOON = Backoff(least_s=0.01, max_s=0.01, quick_s=0.01)


@asynccontextmanager
async def answering(head: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers each upgrade with this head; yields its URL and what it was sent."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/session", heads
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
async def test_no_redirect_is_followed_so_no_other_host_gets_the_token(status: str) -> None:
    """P6.7."""
    errors: list[ClientError] = []
    async with scripted_gateway() as elsewhere, answering(f"{status}\r\nLocation: {elsewhere.url}") as (url, heads):
        elsewhere.url = url
        async with client_of(elsewhere, on_error=errors.append, backoff=SOON) as client:
            _ = client.subscribe("orders.>")
            await until(lambda: len(heads) >= 2)
        assert elsewhere.waiting == 0
    assert errors


@pytest.mark.parametrize("status", [500, 502, 503, None])
def test_an_upgrade_that_fails_with_5xx_or_without_an_answer_is_like_4006(status: int | None) -> None:
    """P3.5, P6.6."""
    refused, failed = Bench(), Bench()
    refused.get_token().open()
    refused.cut(4006)
    failed.get_token()
    failed.do(failed.core.broken(failed.core.connection, failed.now, status=status))
    assert (failed.core.state, failed.core.due - failed.now) == ("waiting", refused.core.due - refused.now)
    assert failed.wait_for(Open).all(Open) == [Open(2)]


def test_an_upgrade_that_fails_with_400_is_like_4400() -> None:
    """P3.5."""
    refused, failed = Bench(), Bench()
    refused.get_token()
    failed.get_token()
    for _ in range(2):
        refused.open()
        refused.cut(4400)
        failed.do(failed.core.broken(failed.core.connection, failed.now, status=400))
        assert [type(effect) for effect in failed.out] == [type(effect) for effect in refused.out]
        assert failed.core.state == refused.core.state
        if refused.core.state == "waiting":
            refused.wait_for(Open)
            failed.wait_for(Open)
    assert failed.core.state == "closed"


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_an_event_of_a_mebibyte_of_bytes_is_read(encoding: str) -> None:
    """P1.8: in JSON a frame of 1.4 MiB."""
    payload = bytes(range(256)) * 4_096
    carried = {"data_b64": base64.b64encode(payload).decode()} if encoding == "json" else {"data": payload}
    async with scripted_gateway() as gateway, client_of(gateway, encoding=encoding) as client:
        events = client.subscribe("orders.>")
        peer = await gateway.accept()
        await peer.expect("connect")
        event = {"type": "event", "seq": 11, "subject": "orders.c42.o1", "time": "2026-11-23T08:00:01Z"}
        await peer.send(welcome(10, "fresh"), event | carried, live(11))
        assert (await anext(events)).data == payload

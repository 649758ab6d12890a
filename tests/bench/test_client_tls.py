"""TLS of the load client: whole bytes however they are cut, and a server that is not trusted is refused."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.client_tls import ClientTls
from security.development import DevelopmentState

SIZES = (1, 300, 16_384, 100_000)
"""Bytes of one write: below, at and above a record."""


class Reader:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.connection: ClientTls | None = None
        self.got = b""
        self.why: Exception | None = None
        self.ended = asyncio.get_running_loop().create_future()

    def connected(self, connection: ClientTls) -> None:
        self.connection = connection
        connection.write(b"hello")

    def received(self, data: bytes) -> None:
        self.got += data

    def lost(self, connection: ClientTls, why: Exception | None) -> None:
        self.why = why
        self.ended.set_result(None)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[int, DevelopmentState]]:
    """A server that answers what it reads with writes of ``SIZES`` and closes."""
    keys = DevelopmentState(tmp_path)
    keys.prepare(time.time())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.certificate)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.writelines([await reader.readexactly(5), *(b"x" * size for size in SIZES)])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], keys


async def connect(port: int, context: ssl.SSLContext) -> Reader:
    reader = Reader()
    await asyncio.get_running_loop().create_connection(
        lambda: ClientTls(reader, context, "127.0.0.1"), "127.0.0.1", port
    )
    async with asyncio.timeout(10):
        await reader.ended
    return reader


async def test_all_bytes_come_in_order_until_the_server_closes(served: tuple[int, DevelopmentState]) -> None:
    port, keys = served
    reader = await connect(port, ssl.create_default_context(cafile=str(keys.ca)))
    assert reader.got == b"hello" + b"x" * sum(SIZES)


async def test_a_server_that_is_not_trusted_is_refused(served: tuple[int, DevelopmentState]) -> None:
    port, _ = served
    reader = await connect(port, ssl.create_default_context())
    assert reader.connection is None
    assert isinstance(reader.why, ssl.SSLCertVerificationError)

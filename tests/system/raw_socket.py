"""A WebSocket by hand, for tests that send what no library would."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

from tests.gateway_process import GatewayProcess
from tests.gateways import Gateway

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class RawSocket:
    """An upgraded TLS socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def read(self) -> tuple[int, bytes]:
        """Opcode and payload of the gateway's next WebSocket frame; they are whole and unmasked."""
        first, size = await self.reader.readexactly(2)
        assert size < 128, "what a server sends is not masked"
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2))
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8))
        return first & 15, await self.reader.readexactly(size)

    async def closed(self, within_s: float = 5.0) -> int | None:
        """Read to the end: the code of the gateway's close, None when it just cut."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(within_s):
                while True:
                    opcode, payload = await self.read()
                    if opcode == CLOSE:
                        return int.from_bytes(payload[:2])
        return None

    async def ended(self, within_s: float = 5.0) -> list[tuple[int, bytes]]:
        """Read until the gateway ends the socket: every frame that came."""
        frames: list[tuple[int, bytes]] = []
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(within_s):
                while True:
                    frames.append(await self.read())
        return frames


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """A client's WebSocket frame (RFC 6455 5.2), right or, on demand, wrong."""
    size = len(payload)
    head = bytes((fin << 7 | rsv << 4 | opcode,))
    flag = masked << 7
    if size < 126:
        head += bytes((flag | size,))
    elif size < 65_536:
        head += bytes((flag | 126,)) + size.to_bytes(2)
    else:
        head += bytes((flag | 127,)) + size.to_bytes(8)
    if not masked:
        return head + payload
    mask = b"\x4b\xeb\x38\xbc"  # any will do; a fixed one gives a test the same name each time
    stretched = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(payload) ^ int.from_bytes(stretched)).to_bytes(size)


@contextlib.asynccontextmanager
async def raw_socket(
    gateway: Gateway | GatewayProcess,
    encoding: str = "tidewire.v1.json",
    *,
    limit: int = 65_536,
    sock: socket.socket | None = None,
) -> AsyncIterator[RawSocket]:
    """A socket behind a good upgrade; cut at the end.

    ``limit``: bytes that are read ahead. ``sock``: a TCP connection to begin with.
    """
    where: dict[str, Any] = {"sock": sock} if sock is not None else {"host": "127.0.0.1", "port": gateway.port}
    reader, writer = await asyncio.open_connection(**where, ssl=gateway.tls, server_hostname="127.0.0.1", limit=limit)
    try:
        writer.write(
            b"GET /v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: " + encoding.encode() + b"\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError, OSError):
            await writer.wait_closed()

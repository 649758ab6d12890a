"""Both ends of a TLS connection: ours on a socket, and a peer in memory that does what a test says."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway import tls_transport
from gateway.tls_transport import TlsTransport
from gateway.turns import Turns
from security.development import DevelopmentState
from security.tls import ServerTls

PIECE_BYTES = 65_536


class Above(asyncio.Protocol):
    """Answers whatever comes, if it has an answer; notes what it is told."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer
        self.heard = b""
        self.told: list[str] = []
        self.error: Exception | None = None
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if self.answer:
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.write(self.answer)

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def eof_received(self) -> None:
        self.told.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.error = exc


class Peer:
    """The other end: TLS in memory, so that each byte on the socket is sent and taken when the test says so."""

    def __init__(self, ca: Path, narrow: socket.socket, version: ssl.TLSVersion, alpn: tuple[str, ...] = ()) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(ca)
        context.set_alpn_protocols(list(alpn))
        context.minimum_version = context.maximum_version = version
        self.socket = narrow
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")

    async def take(self) -> bool:
        """Take bytes from the socket; False at its end."""
        piece = await asyncio.get_running_loop().sock_recv(self.socket, PIECE_BYTES)
        self._incoming.write(piece)
        return bool(piece)

    async def give(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, self._outgoing.read())

    async def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.give()
                assert await self.take()
            else:
                await self.give()
                return

    async def say(self, data: bytes) -> None:
        self.tls.write(data)
        await self.give()

    async def hear(self, size: int) -> bytes:
        """So many bytes, decrypted; fewer if the other end says that nothing follows."""
        heard = bytearray()
        while len(heard) < size:
            try:
                record = self.tls.read(size - len(heard))
            except ssl.SSLWantReadError:
                assert await self.take(), "the socket ended, and TLS did not"
            except ssl.SSLZeroReturnError:
                break
            else:
                if not record:
                    break
                heard += record
        return bytes(heard)


class Pair:
    """Both ends, connected."""

    def __init__(
        self,
        keys: DevelopmentState,
        above: Above,
        version: ssl.TLSVersion,
        buffer_bytes: int,
        turns: Turns | None,
        alpn: tuple[str, ...],
    ) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)  # noqa: FBT003  # positional only
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        self.above = above
        self.server = TlsTransport(ours, above, ServerTls(keys.certificate, keys.key, time.time()).context, turns)
        self.peer = Peer(keys.ca, theirs, version, alpn)

    async def meet(self) -> None:
        await asyncio.gather(self.server.established(5.0), self.peer.shake_hands())


@asynccontextmanager
async def pair(
    keys: DevelopmentState,
    answer: bytes = b"",
    *,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    meets: bool = True,
    buffer_bytes: int = 65_536,
    turns: Turns | None = None,
    alpn: tuple[str, ...] = (),
) -> AsyncIterator[Pair]:
    both = Pair(keys, Above(answer), version, buffer_bytes, turns, alpn)
    try:
        if meets:
            await both.meet()
        yield both
    finally:
        both.server.abort()
        both.peer.socket.close()
        await asyncio.sleep(0)  # what the loop was told
        assert tls_transport._said.pending == 0, "what OpenSSL said to one is never left for another"

"""Shell: accepting sockets: limits before TLS, a deadline for the handshake, then aiohttp's HTTP.

aiohttp's own sites start TLS before anyone could look at the peer, and pass no handshake deadline.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.house import House
from gateway.rates import TokenBucket
from gateway.tls_transport import TlsTransport
from gateway.websocket import WebSocket

log = logging.getLogger(__name__)

BACKLOG = 4_096
ADDRESSES_MOST = 10_000
"""Addresses whose rates are remembered; the memory is emptied when it is full."""


class Handler(RequestHandler):
    """aiohttp's connection while it speaks HTTP; it lets go of its transport when that has become a WebSocket."""

    __slots__ = ("_listener", "_peer")

    def __init__(self, listener: "Listener", peer: str, server: web.Server, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._listener = listener
        self._peer = peer

    def set_parser(self, parser: object, data_received_cb: Callable[[], None] | None = None) -> None:
        """aiohttp: what comes now are frames. Its own reader gets none of them: ``upgraded`` hands them on."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: the socket is gone, before it was a WebSocket."""
        super().connection_lost(exc)
        self._listener.gone(self._peer, was_welcomed=False)

    def upgraded(self) -> tuple[WebSocket, asyncio.Transport, Callable[[], None]] | None:
        """The connection as a WebSocket, its transport, and what to call when its peer has shown a good token.

        None when it is gone. Nothing of aiohttp's is left behind it.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return None
        listener, peer, early = self._listener, self._peer, self._message_tail
        socket = listener.websocket(peer, transport)
        transport.set_protocol(socket)
        if self._buffer_paused:
            transport.resume_reading()
        self.transport = None  # else the next line closes it
        super().connection_lost(None)
        if early:
            socket.data_received(early)
        return socket, transport, partial(listener.welcomed, socket)


class Listener:
    """One listening socket."""

    def __init__(self, house: House, runner: web.AppRunner, tls: ssl.SSLContext | None) -> None:
        self._house = house
        self._limits = house.config.limits
        self._runner = runner
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._gate = asyncio.Semaphore(self._limits.handshakes)
        self._open: Counter[str] = Counter()
        self._strange: Counter[str] = Counter()
        """Connections that have not been welcomed, by address."""
        self._rates: dict[str, TokenBucket] = {}
        self._sockets: dict[WebSocket, tuple[str, bool]] = {}
        """Open WebSockets, with their address and whether they were welcomed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[Any] | None = None

    def bind(self, host: str, port: int, *, shared: bool) -> tuple[str, int]:
        """Listen; ``shared`` lets other processes listen on the same port.

        Returns the address taken. Raises ``OSError``.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((host, port))
        self._socket.listen(BACKLOG)
        self._socket.setblocking(False)  # noqa: FBT003
        address = self._socket.getsockname()
        return address[0], address[1]

    async def run(self) -> None:
        """Accept for ever."""
        assert self._socket is not None, "bind comes first"
        self._accepting = asyncio.current_task()
        while True:
            try:
                accepted, address = await self._loop.sock_accept(self._socket)
            except OSError as error:  # out of file descriptors: others may free some
                log.warning("a socket could not be accepted", extra={"error": str(error)})
                await asyncio.sleep(0.1)
                continue
            peer = address[0]
            limit = self._refuses(peer)
            if limit:
                self._house.counters.refused_sockets[limit] += 1
                accepted.close()
                continue
            self._open[peer] += 1
            self._strange[peer] += 1
            task = asyncio.create_task(self._greet(accepted, peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Take no more sockets; those that are open stay. Safe to repeat."""
        if self._accepting is not None:
            self._accepting.cancel()  # before its descriptor is free for another socket to take
            await asyncio.wait([self._accepting])
        if self._socket is not None:
            self._socket.close()

    def websocket(self, peer: str, transport: asyncio.Transport) -> WebSocket:
        """A connection of this address that has become a WebSocket."""
        limits = self._limits
        socket = WebSocket(
            transport,
            message_most_bytes=limits.frame_bytes,
            control_frames=(limits.frames_per_s, limits.frames_burst),
            lost=self._lost,
        )
        self._sockets[socket] = peer, False
        return socket

    def welcomed(self, socket: WebSocket) -> None:
        """Who is on this socket has shown a good token."""
        known = self._sockets.get(socket)
        if known is not None and not known[1]:
            self._sockets[socket] = known[0], True
            self._subtract(self._strange, known[0])

    def _lost(self, socket: WebSocket) -> None:
        peer, was_welcomed = self._sockets.pop(socket)
        self.gone(peer, was_welcomed=was_welcomed)

    def abort(self) -> None:
        """Cut the WebSockets that are still there: the end of the process."""
        for websocket in list(self._sockets):
            websocket.abort()

    def gone(self, peer: str, *, was_welcomed: bool) -> None:
        """A connection of this address has ended."""
        self._subtract(self._open, peer)
        if not was_welcomed:
            self._subtract(self._strange, peer)

    def _refuses(self, peer: str) -> str:
        """The limit that keeps this address out, or empty."""
        limits = self._limits
        if len(self._rates) >= ADDRESSES_MOST:
            self._rates.clear()
        now_s = self._loop.time()
        rate = self._rates.get(peer)
        if rate is None:
            rate = self._rates[peer] = TokenBucket(limits.address_connects_per_s, limits.address_connects_per_s, now_s)
        if not rate.take(1, now_s):
            return "address_connects_per_s"
        if self._open[peer] >= limits.connections_per_address:
            return "connections_per_address"
        if self._strange[peer] >= limits.unauthenticated_per_address:
            return "unauthenticated_per_address"
        if self._strange.total() >= limits.unauthenticated:
            return "unauthenticated"
        return ""

    async def _greet(self, accepted: socket.socket, peer: str) -> None:
        """TLS, then HTTP. A slow or broken handshake ends the socket."""
        server = self._runner.server
        assert server is not None, "the runner is set up first"
        handler = Handler(self, peer, server, loop=self._loop, **server._kwargs)
        is_connected = False
        try:
            accepted.setblocking(False)  # noqa: FBT003
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                await self._loop.connect_accepted_socket(lambda: handler, accepted)
            else:
                async with self._gate:
                    transport = TlsTransport(handler, self._tls)
                    await self._loop.connect_accepted_socket(lambda: transport, accepted)  # type: ignore[type-var]
                    await transport.established(self._limits.handshake_s)
            is_connected = True
        except (OSError, TimeoutError) as error:
            self._house.counters.refused_sockets["handshake"] += 1
            log.debug("a handshake failed", extra={"error": type(error).__name__})
        finally:
            if not is_connected:
                with contextlib.suppress(OSError):
                    accepted.close()
                self.gone(peer, was_welcomed=False)

    @staticmethod
    def _subtract(counts: Counter[str], peer: str) -> None:
        counts[peer] -= 1
        if counts[peer] <= 0:
            del counts[peer]

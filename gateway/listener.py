"""Shell: accepting sockets: limits before TLS, a deadline for the handshake, then an upgrade, or aiohttp's HTTP.

aiohttp's own sites start TLS before anyone could look at the peer, and pass no handshake deadline.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.web_protocol import RequestHandler

from gateway.house import House
from gateway.http_limits import RUNNER_SETTINGS
from gateway.peer_network import peer_network
from gateway.rates import TokenBucket
from gateway.tls_transport import TlsTransport
from gateway.turns import Turns
from gateway.upgrade import SESSION_PATH, Offer, read_offer
from gateway.websocket import WebSocket

log = logging.getLogger(__name__)

BACKLOG = 4_096
ACCEPTS = 16
"""Sockets accepted in one turn of the loop: a crowd's queue is long."""
HEAD_BYTES = 65_536
"""Most bytes that aiohttp's parser holds of what it has not handed on."""
ADDRESSES_MOST = 10_000
"""Addresses whose rates are remembered; the memory is emptied when it is full."""


Opened = Callable[[Offer, WebSocket, asyncio.Transport, Callable[[], None]], None]
"""Takes over an open WebSocket: its offer, itself, its transport, what to call when its peer has shown a good token."""

_UPGRADE = b"GET %s HTTP/1.1\r\n" % SESSION_PATH.encode()
_HEAD_LIMITS = {name: RUNNER_SETTINGS[name] for name in ("max_line_size", "max_field_size", "max_headers")}


class Greeting(asyncio.Protocol):
    """A connection until its first bytes. Nearly always they ask for a session, and are answered in the same step.

    All else, also an upgrade that comes in pieces or behind another request, is aiohttp's: it makes a task, a request,
    an answer and timers, ten times as dear as the handshake itself (docs/decisions/0013).
    """

    __slots__ = ("_handler", "_head_s", "_listener", "_peer", "_timer", "_transport")

    def __init__(self, listener: "Listener", peer: str, head_s: float) -> None:
        """``head_s``: seconds for the head of the first request."""
        self._listener = listener
        self._peer = peer
        self._head_s = head_s
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._handler: Handler | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection is up, TLS and all."""
        self._transport = transport  # type: ignore[assignment]  # a stream
        self._timer = asyncio.get_running_loop().call_later(self._head_s, self._late)

    def data_received(self, data: bytes) -> None:
        """asyncio: the first bytes."""
        transport = self._transport
        assert transport is not None, "connected"
        offer = self._listener.read_upgrade(data)
        if offer is not None:
            self._end_timer()
            transport.write(offer.answer)
            self._listener.open(offer, self._peer, transport)
            return
        handler = self._handler = self._listener.handler(self._peer)
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: the socket is gone, and has said nothing."""
        del exc
        self._end_timer()
        self._listener.gone(self._peer, was_welcomed=False)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _late(self) -> None:
        """The time for a whole head is over, also for one that has begun."""
        if self._handler is not None:
            self._handler.end_if_silent()
        elif self._transport is not None:
            self._transport.close()


class Handler(RequestHandler):
    """aiohttp's connection while it speaks HTTP; it lets go of its transport when that has become a WebSocket."""

    __slots__ = ("_listener", "_peer")

    def __init__(self, listener: "Listener", peer: str, server: web.Server, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._listener = listener
        self._peer = peer

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: the socket is gone, before it was a WebSocket."""
        super().connection_lost(exc)
        self._listener.gone(self._peer, was_welcomed=False)

    def end_if_silent(self) -> None:
        """Close a connection on which no whole request has come yet."""
        if not self._request_count:
            self.force_close()

    def upgrade(self, offer: Offer) -> bool:
        """Answer, and go on as a WebSocket; nothing of aiohttp's is left behind it.

        False: the client is gone, or aiohttp read its request as one that has no frames after it.
        """
        transport = self.transport
        if transport is None or transport.is_closing() or not self._upgraded:
            return False
        early = self._message_tail
        transport.write(offer.answer)
        if self._buffer_paused:
            transport.resume_reading()
        self.transport = None  # else the next line closes it
        super().connection_lost(None)
        socket = self._listener.open(offer, self._peer, transport)
        if early:
            socket.data_received(early)
        return True


class Listener:
    """One listening socket."""

    def __init__(self, house: House, runner: web.AppRunner, tls: ssl.SSLContext | None, opened: Opened) -> None:
        self._house = house
        self._opened = opened
        self._limits = house.config.limits
        self._runner = runner
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._unread = BaseProtocol(self._loop)
        """For a parser, which would pause it for a body."""
        self._socket: socket.socket | None = None
        self._turns = Turns(self._limits.handshakes)
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
        for number in itertools.count():
            if number % ACCEPTS == 0:
                await asyncio.sleep(0)
            try:
                accepted, address = await self._loop.sock_accept(self._socket)
            except OSError as error:  # out of file descriptors: others may free some
                log.warning("a socket could not be accepted", extra={"error": str(error)})
                await asyncio.sleep(0.1)
                continue
            peer = peer_network(address[0])
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

    def read_upgrade(self, data: bytes) -> Offer | None:
        """What the first bytes of a connection offer, if they are an upgrade, the whole of it, and nothing else."""
        if not data.startswith(_UPGRADE) or not data.endswith(b"\r\n\r\n"):
            return None
        parser = HttpRequestParser(self._unread, self._loop, HEAD_BYTES, **_HEAD_LIMITS)
        try:
            requests, is_upgrade, after = parser.feed_data(data)
        except HttpProcessingError:
            return None  # aiohttp meets it again, and says what it is
        if not is_upgrade or after or len(requests) != 1:
            return None
        head = requests[0][0]
        offer = read_offer(head.method, head.headers)
        return offer if isinstance(offer, Offer) else None

    def handler(self, peer: str) -> Handler:
        """A connection of this address, as aiohttp serves it."""
        server = self._runner.server
        assert server is not None, "the runner is set up first"
        return Handler(self, peer, server, loop=self._loop, **server._kwargs)

    def open(self, offer: Offer, peer: str, transport: asyncio.Transport) -> WebSocket:
        """Go on as a WebSocket with a connection of this address whose upgrade was answered."""
        limits = self._limits
        socket = WebSocket(
            transport,
            message_most_bytes=limits.frame_bytes,
            control_frames=(limits.frames_per_s, limits.frames_burst),
            lost=self._lost,
        )
        self._sockets[socket] = peer, False
        transport.set_protocol(socket)
        self._opened(offer, socket, transport, partial(self.welcomed, socket))
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
        greeting = Greeting(self, peer, self._limits.head_s)
        is_connected = False
        try:
            accepted.setblocking(False)  # noqa: FBT003
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                await self._loop.connect_accepted_socket(lambda: greeting, accepted)
            else:
                transport = TlsTransport(accepted, greeting, self._tls, self._turns)
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

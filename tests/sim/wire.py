"""The way between a device and a gateway: ordered, slow, stalled, cut, or silent; and the two ends that use it.

``Socket`` and ``Transport`` are what ``gateway.reception`` sees of a WebSocket, ``DeviceSocket`` what the Python client
sees of websockets.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random

from tidewire_client.connection import CLOSE_WITHIN_S
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from gateway.client_framing import BINARY, TEXT, Received

CLOSE_WAIT_S = 2.0
"""How long the gateway's end of a socket waits for the device's answer to its close."""

TICK_S = 1e-6


class Way:
    """One direction: what is sent arrives in order, after a while, or never."""

    def __init__(self, random: Random, latency_s: float, after: Callable[[], None] = lambda: None) -> None:
        self._after = after
        self._random = random
        self._latency_s = latency_s
        self._free_s = 0.0
        self._loop = asyncio.get_running_loop()
        self.is_lost = False
        """Nothing that is sent, and nothing under way, arrives any more."""
        self.under_way_bytes = 0
        self.arrived = asyncio.Event()

    def stall(self, for_s: float) -> None:
        """Nothing arrives for so long; order holds."""
        self._free_s = max(self._free_s, self._loop.time() + for_s)

    def send(self, size_bytes: int, arrive: Callable[[], None], slowness_s: float = 0.0) -> None:
        """Let ``arrive`` happen at the other end."""
        soonest_s = self._loop.time() + self._latency_s * self._random.uniform(0.5, 1.5)
        at = max(self._free_s + TICK_S, soonest_s) + slowness_s  # at one moment the loop keeps no order
        self._free_s = at
        self.under_way_bytes += size_bytes
        self._loop.call_at(at, self._arrive, size_bytes, arrive)

    def _arrive(self, size_bytes: int, arrive: Callable[[], None]) -> None:
        if self.is_lost:
            return
        self.under_way_bytes -= size_bytes
        self.arrived.set()
        arrive()
        self._after()


class Wire:
    """A connection between a device and a gateway."""

    def __init__(self, random: Random, latency_s: float, slowness_s: float) -> None:
        self.down = Way(random, latency_s, self._has_arrived)
        self.up = Way(random, latency_s)
        self.slowness_s = slowness_s
        """Seconds that each message to the device takes of the line."""
        self.transport = Transport(self)
        self.socket = Socket(self)
        self.hear: Callable[[bytes], None] = lambda _message: None
        """The device's ear."""
        self.end: Callable[[int | None], None] = lambda _code: None
        """Tells the device that it is over, with the close code if there was one."""
        self.sent: Callable[[bytes], None] = lambda _message: None
        """Sees each message that the gateway writes, as it is written."""
        self.taken: Callable[[bytes], None] = lambda _message: None
        """Sees each message that the gateway reads, as it is read."""
        self._is_over = False

    def _has_arrived(self) -> None:
        self.transport.judge()

    def cut(self) -> None:
        """The network lets go of the connection; both ends notice."""
        self.lose()
        self.socket.lose()
        self.over(None)

    def fall_silent(self) -> None:
        """Half open: neither end is told, nothing arrives."""
        self.lose()

    def lose(self) -> None:
        """What is under way is lost."""
        self.down.is_lost = self.up.is_lost = True
        self.down.arrived.set()

    def over(self, code: int | None) -> None:
        """Tell the device once."""
        if not self._is_over:
            self._is_over = True
            self.end(code)


class Transport:
    """The gateway's way of writing (``asyncio.Transport`` as far as it is used)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._high, self._low = 65_536, 16_384
        self._is_closing = False
        self.is_paused = False
        """Whether the gateway was told that it takes no more."""

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self._high, self._low = high, low

    def judge(self) -> None:
        """Tell the gateway when what is under way has passed a limit (``asyncio.Protocol.pause_writing``)."""
        size = self.get_write_buffer_size()
        if size > self._high and not self.is_paused:
            self.is_paused = True
            self._wire.socket.tell_blocked()
        elif size <= self._low and self.is_paused:
            self.is_paused = False
            self._wire.socket.tell_blocked()

    def get_write_buffer_size(self) -> int:
        """What the way holds stands for the kernel's and the loop's buffers."""
        return self._wire.down.under_way_bytes

    def is_closing(self) -> bool:
        return self._is_closing

    def write(self, data: bytes) -> None:
        if self._is_closing:
            return
        for _, payload in messages_of(data):
            self._wire.sent(payload)
            self._wire.down.send(len(payload), partial(self._wire.hear, payload), self._wire.slowness_s)
        self.judge()

    def abort(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._wire.socket.lose()
        if self._wire.down.is_lost:
            return
        self._wire.down.send(0, lambda: self._wire.over(None))  # what was written before arrives first

    async def drained(self) -> None:
        """Return when the socket takes some again."""
        while self.get_write_buffer_size() > self._low and not self._wire.socket.is_lost:
            self._wire.down.arrived.clear()
            await self._wire.down.arrived.wait()


class Socket:
    """The gateway's way of reading and closing (``gateway.websocket.WebSocket`` as far as it is used)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._inbox: deque[Received] = deque()
        self._is_hurried = False
        self._news = asyncio.Event()
        self._listener: Callable[[int, bytes], None] | None = None
        self._blocked: Callable[[bool], None] | None = None
        self._ended: Callable[[], None] | None = None
        self._context = contextvars.copy_context()
        self.closed = False
        self.is_lost = False
        self._answered = asyncio.Event()

    def put(self, data: str | bytes) -> None:
        """A message of the device has arrived."""
        if self.closed:
            return
        message = (TEXT, data.encode()) if isinstance(data, str) else (BINARY, data)
        if self._listener is None:
            self._inbox.append(message)
            self._news.set()
        else:
            self._hand_over(message)

    def lose(self) -> None:
        """The connection is gone."""
        self.is_lost = True
        self._over()

    def answer_close(self) -> None:
        """The device has closed, or has answered our close."""
        self._over()

    async def first(self, within_s: float) -> Received | None:
        async with asyncio.timeout(within_s):
            while not self._inbox:
                if self.closed:
                    return None
                if self._is_hurried:
                    raise TimeoutError
                self._news.clear()
                await self._news.wait()
        message = self._inbox.popleft()
        self._wire.taken(message[1])
        return message

    def hurry(self) -> None:
        self._is_hurried = True
        self._news.set()

    def listen(
        self, listener: Callable[[int, bytes], None], blocked: Callable[[bool], None], ended: Callable[[], None]
    ) -> None:
        self._listener, self._blocked, self._ended = listener, blocked, ended
        self._context = contextvars.copy_context()  # what a message brings about is the gateway's doing
        if self._wire.transport.is_paused:
            self.tell_blocked()
        while self._inbox:
            self._hand_over(self._inbox.popleft())
        if self.closed:
            self._end()

    async def close(self, code: int, reason: bytes) -> None:
        del reason
        if self.closed:
            return
        self.closed = True
        self._inbox.clear()
        self._news.set()
        self._wire.down.send(4, lambda: self._closed_by_gateway(code))
        self._end()
        try:
            async with asyncio.timeout(CLOSE_WAIT_S):
                await self._answered.wait()
        except TimeoutError:
            pass
        self._wire.transport.abort()

    def tell_blocked(self) -> None:
        """The transport takes no more, or some again."""
        if self._blocked is not None:
            self._context.copy().run(self._blocked, self._wire.transport.is_paused)

    async def drained(self) -> None:
        """Return when the socket takes some again, or is gone."""
        await self._wire.transport.drained()

    def _hand_over(self, message: Received) -> None:
        if self._listener is None:
            return
        self._wire.taken(message[1])
        self._context.copy().run(self._listener, *message)

    def _over(self) -> None:
        self.closed = True
        self._answered.set()
        self._news.set()
        self._end()

    def _end(self) -> None:
        ended, self._ended, self._listener, self._blocked = self._ended, None, None, None
        if ended is not None:
            self._context.copy().run(ended)

    def _closed_by_gateway(self, code: int) -> None:
        self._wire.over(code)
        self._wire.up.send(4, self.answer_close)


def messages_of(data: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of unmasked whole WebSocket messages (RFC 6455 5.2)."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        opcode, size = data[at] & 0x0F, data[at + 1]
        at += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[at : at + width]), at + width
        found.append((opcode, data[at : at + size]))
        at += size
    return found


class DeviceSocket:
    """The device's end: what ``tidewire_client.connection`` sees of the library ``websockets``."""

    def __init__(self, wire: Wire, subprotocol: str) -> None:
        self.subprotocol = subprotocol
        self.transport = self
        self._wire = wire
        self._inbox: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._closed: ConnectionClosedError | None = None
        self._pongs: list[asyncio.Future[None]] = []
        wire.hear, wire.end = self._hear, self._over

    async def recv(self, *, decode: bool) -> bytes:
        assert not decode, "the client reads bytes"
        while not self._inbox:
            self._require_open()
            self._news.clear()
            await self._news.wait()
        return self._inbox.popleft()

    async def send(self, message: str | bytes) -> None:
        self._require_open()
        self._wire.up.send(len(message), lambda: self._wire.socket.put(message))

    async def ping(self) -> "asyncio.Future[None]":
        self._require_open()
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self._wire.up.send(6, lambda: self._answer(pong))
        return pong

    async def close(self) -> None:
        if self._closed is None:
            self._wire.up.send(4, self._wire.socket.answer_close)
            self._wire.up.send(0, lambda: self._wire.down.send(4, lambda: self._over(1000)))
            try:
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    while self._closed is None:
                        self._news.clear()
                        await self._news.wait()
            except TimeoutError:
                self._over(None)

    def abort(self) -> None:
        """As ``asyncio.Transport``."""
        self._over(None)
        if not self._wire.up.is_lost:
            self._wire.up.send(0, self._wire.socket.lose)

    def _answer(self, pong: "asyncio.Future[None]") -> None:
        """The gateway's end answers pings by itself, while it is there."""
        if not self._wire.socket.closed:
            self._wire.down.send(6, lambda: None if pong.done() else pong.set_result(None))

    def _hear(self, message: bytes) -> None:
        if self._closed is None:
            self._inbox.append(message)
            self._news.set()

    def _over(self, code: int | None) -> None:
        if self._closed is None:
            self._closed = ConnectionClosedError(Close(code, "") if code is not None else None, None)
            self._news.set()
            for pong in self._pongs:
                if not pong.done():
                    pong.set_exception(self._closed)
                    pong.exception()

    def _require_open(self) -> None:
        if self._closed is not None:
            raise self._closed

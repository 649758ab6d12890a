"""Shell: one WebSocket after its upgrade: bytes of the transport in, whole messages to whoever listens.

aiohttp has spoken HTTP until here and lets go of the connection (docs/decisions/0011): an open socket has no task, no
request and no queue, and a message reaches its session within the callback that brought it.
"""

import asyncio
from collections.abc import Callable

from gateway import close_codes
from gateway.client_framing import BREACH, CLOSE, PING, PONG, TOO_LARGE, ClientFraming, Received
from gateway.rates import TokenBucket

CLOSE_S = 2.0
"""Seconds that the peer has to answer a close; then the socket is cut."""
DONE = 1000
"""The code that answers a peer's close (RFC 6455 7.4.1)."""

Listener = Callable[[int, bytes], None]
"""Takes an opcode (text or binary) and a message."""


class WebSocket(asyncio.Protocol):
    """Messages are kept for ``first`` and until ``listen`` is called; more than one at that time pauses reading."""

    __slots__ = (
        "_blocked",
        "_closing",
        "_control_frames",
        "_controls",
        "_ended",
        "_framing",
        "_inbox",
        "_is_closed_by_peer",
        "_is_hurried",
        "_listener",
        "_lost",
        "_transport",
        "_waiting",
        "_writing_paused",
        "is_lost",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        message_most_bytes: int,
        control_frames: tuple[float, float],
        lost: Callable[["WebSocket"], None],
    ) -> None:
        """``control_frames``: how many pings and pongs are taken a second, and at once; more close it.

        ``lost`` is called once when the socket is gone.
        """
        self.is_lost = False
        """Whether the transport is gone."""
        self._transport = transport
        self._framing = ClientFraming(message_most_bytes)
        self._control_frames = control_frames
        self._controls: TokenBucket | None = None
        self._lost = lost
        self._inbox: list[Received] = []
        self._listener: Listener | None = None
        self._blocked: Callable[[bool], None] | None = None
        self._ended: Callable[[], None] | None = None
        self._waiting: list[asyncio.Future[None]] | None = None
        self._is_hurried = False
        self._closing = False
        self._is_closed_by_peer = False
        self._writing_paused = False

    @property
    def closed(self) -> bool:
        """Whether nothing that comes is listened to any more: it is closing, or gone."""
        return self._closing or self.is_lost

    async def first(self, within_s: float) -> Received | None:
        """The first message; None when the socket ends before.

        Raises ``TimeoutError`` when there is none after ``within_s`` seconds, or after ``hurry``.
        """
        timer = asyncio.get_running_loop().call_later(within_s, self.hurry)  # cheaper than asyncio.timeout
        try:
            while not self._inbox:
                if self.closed:
                    return None
                if self._is_hurried:
                    raise TimeoutError
                await self._changed()
        finally:
            timer.cancel()
        return self._inbox.pop(0)

    def hurry(self) -> None:
        """Wait no longer for the first message."""
        self._is_hurried = True
        self._tell()

    def listen(self, listener: Listener, blocked: Callable[[bool], None], ended: Callable[[], None]) -> None:
        """Hand every further message to ``listener``, those that wait at once, and call ``ended`` once at the end.

        ``blocked`` hears when the transport takes no more (True) and takes some again (False).
        """
        self._listener, self._blocked, self._ended = listener, blocked, ended
        if self._writing_paused:
            blocked(True)  # noqa: FBT003
        waiting, self._inbox = self._inbox, []
        for opcode, message in waiting:
            listener(opcode, message)
        if self.closed:
            self._end()
        elif waiting:
            self._transport.resume_reading()

    async def close(self, code: int, reason: bytes) -> None:
        """Say that we close, wait for the peer's answer, close; safe to repeat."""
        if not self._say_close(code, reason):
            return
        self._end()
        try:
            async with asyncio.timeout(CLOSE_S):
                while not (self._is_closed_by_peer or self.is_lost):
                    await self._changed()
        except TimeoutError:
            self._transport.abort()
        else:
            self._transport.close()

    async def drained(self) -> None:
        """Return when the transport takes bytes again, or is gone."""
        while self._writing_paused and not self.is_lost:
            await self._changed()

    def abort(self) -> None:
        """Cut the socket."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes have come."""
        for opcode, payload in self._framing.feed(data):
            if opcode < CLOSE and opcode != BREACH:
                if self._closing:
                    continue
                if self._listener is not None:
                    self._listener(opcode, payload)
                else:
                    self._inbox.append((opcode, payload))
                    if len(self._inbox) > 1:
                        self._transport.pause_reading()
                    self._tell()
            elif opcode == CLOSE:
                self._is_closed_by_peer = True
                self._fail(DONE)
            elif opcode == BREACH:
                code = int.from_bytes(payload)
                self._fail(close_codes.FRAME_TOO_LARGE if code == TOO_LARGE else code)
            elif not self._takes_control_frame():
                self._fail(close_codes.RATE_LIMITED)
                return
            elif opcode == PING and not self._closing:
                self._transport.write(_control(PONG, payload))

    def eof_received(self) -> bool:
        """asyncio: the peer sends no more: the transport closes itself."""
        return False

    def pause_writing(self) -> None:
        """asyncio: the transport's high-water mark is passed."""
        self._writing_paused = True
        if self._blocked is not None:
            self._blocked(True)  # noqa: FBT003

    def resume_writing(self) -> None:
        """asyncio: the transport has drained to its low-water mark."""
        self._writing_paused = False
        self._tell()
        if self._blocked is not None:
            self._blocked(False)  # noqa: FBT003

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: the socket is gone."""
        del exc
        self.is_lost = True
        self._tell()
        self._end()
        self._lost(self)

    def _takes_control_frame(self) -> bool:
        now_s = asyncio.get_running_loop().time()
        if self._controls is None:
            self._controls = TokenBucket(*self._control_frames, now_s)
        return self._controls.take(1, now_s)

    def _fail(self, code: int) -> None:
        """The peer has closed, or has broken a rule: say so, and close as soon as it is written."""
        if not self.is_lost:
            self._say_close(code, close_codes.REASONS.get(code, "").encode())
            self._transport.close()
        self._tell()
        self._end()

    def _say_close(self, code: int, reason: bytes) -> bool:
        if self.closed:
            return False
        self._closing = True
        if self._inbox:
            self._inbox.clear()
            self._transport.resume_reading()  # the peer's answer is to be read
        self._transport.write(_control(CLOSE, code.to_bytes(2) + reason))
        return True

    def _end(self) -> None:
        """Tell the listener once; nothing is held for it after that."""
        ended, self._ended, self._listener, self._blocked = self._ended, None, None, None
        if ended is not None:
            ended()

    async def _changed(self) -> None:
        change = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(change)
        await change

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, None
        for change in waiting or ():
            if not change.done():  # who waited may have been cancelled
                change.set_result(None)


def _control(opcode: int, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, len(payload))) + payload

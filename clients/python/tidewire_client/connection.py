"""Shell: one WebSocket, from dialling to its end. It has a number, says what happens, and decides nothing."""

import asyncio
import logging
from collections.abc import Awaitable
from ssl import SSLContext
from typing import Any, Protocol

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from tidewire_client.frames import SUBPROTOCOLS, BadFrame, Codec, Incoming, Outgoing

_log = logging.getLogger("tidewire_client")

OPEN_WITHIN_S = 15.0
"""The longest for TCP, TLS and the upgrade."""
CLOSE_WITHIN_S = 1.0
"""The longest for the closing handshake; after it the socket is cut."""


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """What is dialled, and how."""

    url: str
    tls: Any  # SSLContext, or None for ws:// (msgspec knows no foreign types)
    codec: Any  # Codec
    max_message_bytes: int
    proxy: str | None


class Listener(Protocol):
    """Who is told what happens on a connection."""

    def on_opened(self, number: int) -> None:
        """The WebSocket is open."""

    def on_frames(self, number: int, frames: list[Incoming]) -> None:
        """A message came."""

    def on_misread(self, number: int) -> None:
        """Something came that is not a frame."""

    def on_pong(self, number: int) -> None:
        """The answer to ``probe`` came."""

    def on_broken(self, number: int, code: int | None, status: int | None, cause: Exception) -> None:
        """The connection ended, or never was: close code, or HTTP status, or neither."""


class Connection:
    """One WebSocket. Its ``task`` ends with it; ``end`` closes, after all that was given to ``send`` has gone."""

    def __init__(self, number: int, dial: Dial, listener: Listener) -> None:
        self.number = number
        self._dial = dial
        self._codec: Codec = dial.codec
        self._listener = listener
        self._outbox: asyncio.Queue[tuple[Outgoing, Awaitable[None] | None] | None] = asyncio.Queue()
        self._socket: ClientConnection | None = None
        self.task = asyncio.ensure_future(self._run())

    def send(self, frame: Outgoing, after: Awaitable[None] | None) -> None:
        """Send a frame, in order, once ``after`` is done."""
        self._outbox.put_nowait((frame, after))

    def probe(self) -> None:
        """Send a ping; its pong is told to the listener."""
        if self._socket is not None:
            probing = asyncio.ensure_future(self._probe(self._socket))
            probing.add_done_callback(_ignore)

    async def end(self) -> None:
        """Send what waits, close, and return when the socket is gone; never longer than a few seconds."""
        if self._socket is None:
            self.task.cancel()
        else:
            self._outbox.put_nowait(None)
        done, _ = await asyncio.wait((self.task,), timeout=3 * CLOSE_WITHIN_S)
        if not done:
            self.task.cancel()
            await asyncio.wait((self.task,), timeout=CLOSE_WITHIN_S)
        if self._socket is not None:
            self._socket.transport.abort()  # after a clean close this does nothing

    async def _run(self) -> None:
        number, listener = self.number, self._listener
        tls: SSLContext | None = self._dial.tls
        try:
            self._socket = socket = await _Direct(
                self._dial.url,
                ssl=tls,
                subprotocols=[Subprotocol(SUBPROTOCOLS[self._codec.encoding])],
                compression=None,  # P1.5
                max_size=self._dial.max_message_bytes,
                open_timeout=OPEN_WITHIN_S,
                ping_interval=None,  # the core watches the link
                close_timeout=CLOSE_WITHIN_S,
                proxy=self._dial.proxy,
                user_agent_header="tidewire-client-python",
            )
        except InvalidStatus as error:
            listener.on_broken(number, None, error.response.status_code, error)
            return
        except (OSError, WebSocketException, EOFError) as error:
            listener.on_broken(number, None, None, error)
            return
        writing = asyncio.ensure_future(self._write(socket))
        try:
            listener.on_opened(number)
            await self._read(socket)
        finally:
            writing.cancel()
            await asyncio.wait((writing,))
            _ignore(writing)
            socket.transport.abort()

    async def _read(self, socket: ClientConnection) -> None:
        number, listener, codec = self.number, self._listener, self._codec
        if socket.subprotocol is None:
            listener.on_misread(number)
            return
        while True:
            try:
                message = await socket.recv(decode=False)
                frames = codec.decode(message)
            except BadFrame:
                listener.on_misread(number)
                continue
            except ConnectionClosed as error:
                listener.on_broken(number, None if error.rcvd is None else error.rcvd.code, None, error)
                return
            listener.on_frames(number, frames)

    async def _write(self, socket: ClientConnection) -> None:
        try:
            while (item := await self._outbox.get()) is not None:
                frame, after = item
                if after is not None:
                    await asyncio.shield(after)  # it is the store's: our end must not cancel it
                await socket.send(self._codec.encode(frame))
            await socket.close()
        except ConnectionClosed:
            pass  # the reader tells

    async def _probe(self, socket: ClientConnection) -> None:
        try:
            await (await socket.ping())
        except ConnectionClosed:
            return  # the reader tells
        self._listener.on_pong(self.number)


def _ignore(task: "asyncio.Task[None]") -> None:
    """Take a task's exception out, so that it is not reported as never retrieved; a real one is logged by its type."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("a connection's task failed: %s", type(error).__name__)


class _Direct(connect):
    """A connect that follows no redirect: the token is for the configured host alone (P6.7)."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Give every failure back as it is."""
        return exc

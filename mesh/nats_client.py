"""Shell: nats-py's client, which connects, authenticates and subscribes; its socket is read and written at once.

nats-py reads through a stream, a future and a task, and writes through a queue and another task: each event would pay
for all of them. Here the socket's own callback takes the messages out and gives them to taps; every other line goes on
to nats-py's stream, as do the socket's end and its errors, so that its life cycle is nats-py's own. Messages of one
round of the event loop are written together: each write is a call of the system, and uvloop makes it at once. Three
private methods of nats-py are overridden, ``_process_connect_init``, ``_send_command`` and ``_flush_pending``;
``tests/mesh/test_link.py`` pins them.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import BadHeaderError, BadSubjectError, ConnectionClosedError, MaxPayloadError

from mesh.protocol_reader import Malformed, ProtocolReader

log = logging.getLogger(__name__)

READ_BYTES = 64 * 1024
"""Most bytes read at a time; after as many, what else waits in the event loop has its turn."""
WRITE_MOST_BYTES = 1024 * 1024
"""Bytes that wait for the socket from which on whoever sends waits, too."""
TOGETHER_BYTES = 64 * 1024
"""Messages of one round that are as long are written before it ends: what is full shows in time."""

_UNFIT: Final = re.compile(r"[ \t\r\n]")
"""In a subject it would end the subject, or begin a command of its own."""
_NO_NEW_LINE: Final = str.maketrans("\r\n", "  ")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

TapCallback = Callable[[bytes, bytes, bytes, bytes], None]
"""What a tap calls: subject, reply, payload and header block (both may be empty), as they came."""


class TappedClient(Client):
    """nats-py's client, whose messages go to taps and nowhere else, as soon as they are there.

    ``after_read`` are called when what came together has gone to the taps.
    """

    def __init__(self, taps: Mapping[str, TapCallback], after_read: list[Callable[[], None]]) -> None:
        super().__init__()
        self._taps = taps
        self._after_read = after_read
        self._writer: asyncio.StreamWriter
        self._socket: asyncio.Transport
        self._reading: _Reading | None = None
        self._loop: asyncio.AbstractEventLoop
        self._unwritten: list[bytes] = []
        self._unwritten_bytes = 0

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        transport: Any = self._transport
        writer: asyncio.StreamWriter = transport._io_writer
        socket: Any = writer.transport
        socket.set_write_buffer_limits(high=WRITE_MOST_BYTES)
        socket.pause_reading()  # else uvloop goes on reading for the protocol before
        self._reading = _Reading(self, socket)
        socket.set_protocol(self._reading)
        socket.resume_reading()
        self._writer, self._socket, self._loop = writer, socket, asyncio.get_running_loop()

    def send(self, subject: str, payload: bytes, reply: str = "", headers: Mapping[str, str] | None = None) -> None:
        """What ``publish`` does, with the same checks and errors; ``drained`` is what it may wait for."""
        if not self.is_connected or self._socket.is_closing():
            raise ConnectionClosedError
        if not subject or _UNFIT.search(subject) or _UNFIT.search(reply):
            raise BadSubjectError
        size = len(payload)
        if size > self._max_payload:
            raise MaxPayloadError
        if headers:
            block = _header_block(headers)
            line = f"HPUB {subject} {reply} {len(block)} {len(block) + size}\r\n".encode()
            message = b"".join((line, block, payload, b"\r\n"))
        else:
            message = b"".join((f"PUB {subject} {reply} {size}\r\n".encode(), payload, b"\r\n"))
        if not self._unwritten:
            self._loop.call_soon(self._write_out)
        self._unwritten.append(message)
        self._unwritten_bytes += len(message)
        if self._unwritten_bytes >= TOGETHER_BYTES:
            self._write_out()

    async def drained(self) -> None:
        """Return when the socket takes more."""
        await self._writer.drain()

    def _write_out(self) -> None:
        messages, self._unwritten, self._unwritten_bytes = self._unwritten, [], 0
        if messages and not self._socket.is_closing():
            self._socket.write(b"".join(messages))

    async def _send_command(self, cmd: bytes, priority: bool = False) -> None:  # noqa: FBT001, FBT002  # theirs
        del priority  # nothing waits here that it could come before
        assert self._reading is not None, "nothing is sent before it is connected"
        self._write_out()
        self._writer.write(cmd)
        if self._reading.is_full:
            await self._writer.drain()

    async def _flush_pending(self, force_flush: bool = False) -> None:  # noqa: FBT001, FBT002  # theirs
        """Each command is written when it is made: nothing waits, not even the PING that was just counted."""
        self._pending_data_size = 0
        self._write_out()  # what else was sent: this may be the end

    @property
    def is_full(self) -> bool:
        """Whether more bytes wait for the socket than may: who sends now waits."""
        return self._reading is not None and self._reading.is_full

    def heard(self, sid: bytes, subject: bytes, reply: bytes, payload: bytes, headers: bytes) -> None:
        """A message came for a subscription."""
        sub = self._subs.get(int(sid))
        if sub is None:
            return
        tap = self._taps.get(sub.subject)
        if tap is None:
            return
        try:
            tap(subject, reply, payload, headers)
        except Exception:  # the socket calls this: a bug in one tap must not deafen the others
            log.exception("tap failed", extra={"tap": sub.subject})

    def has_read(self) -> None:
        """What came together from the socket has been read."""
        for callback in self._after_read:
            callback()


def _header_block(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent. A value cannot end its line."""
    lines = ["NATS/1.0"]
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise BadHeaderError(name)
        lines.append(f"{name}: {value.strip().translate(_NO_NEW_LINE)}")
    return "\r\n".join((*lines, "\r\n")).encode()


class _Reading(asyncio.BufferedProtocol):
    """Between the socket and nats-py's stream: takes the messages out."""

    def __init__(self, client: TappedClient, socket: asyncio.Transport) -> None:
        self._client = client
        self._socket = socket
        self._stream: Any = socket.get_protocol()
        self._reader = ProtocolReader(client.heard)
        self._piece = memoryview(bytearray(READ_BYTES))
        self._loop = asyncio.get_running_loop()
        self.is_full = False
        """Whether more bytes wait for the socket than may."""

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._piece

    def buffer_updated(self, nbytes: int) -> None:
        try:
            others = self._reader.feed(bytes(self._piece[:nbytes]))
        except Malformed as error:
            log.error("NATS sent what cannot be read", extra={"error": str(error)})  # noqa: TRY400  # where says it all
            self._socket.abort()
            return
        if others:
            self._stream.data_received(others)
        self._client.has_read()
        if nbytes == READ_BYTES:
            self._socket.pause_reading()
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._socket.is_closing():
            self._socket.resume_reading()

    def eof_received(self) -> bool | None:
        ended: bool | None = self._stream.eof_received()
        return ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream.connection_lost(exc)

    def pause_writing(self) -> None:
        self.is_full = True
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        self.is_full = False
        self._stream.resume_writing()

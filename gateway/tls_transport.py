"""Shell: the server's end of TLS: OpenSSL in memory, fed record by record, and a socket beside it.

asyncio's and uvloop's own TLS transports keep buffers of 256 KiB a connection, ask OpenSSL for as much at each read,
and copy every write twice (docs/decisions/0012). OpenSSL on the socket itself goes on reading as long as a peer sends
records without data, and nobody else is served meanwhile (docs/decisions/0017). Here a read is a few kilobytes, a
record that holds no data is counted, and what OpenSSL has to say leaves in the call that made it.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from gateway.turns import Turns

RECORD_BYTES = 16_384
"""Most plain bytes in a TLS record (RFC 8446 5.1): a read of so many leaves none behind in OpenSSL."""
READ_BYTES = 8_192
"""Most bytes taken from the socket at a time: then others have their turn."""
USELESS_RECORDS = 16
"""Records in a row that hold no data, as key updates do; one more is no honest peer. Go's TLS has the same bound."""
SHUTDOWN_S = 5.0
"""Seconds that a peer has to take what is still to be written and to close; then the socket is cut."""
UNREAD_BYTES = 65_536
"""Bytes behind a record that breaks TLS which are taken from the socket before it is closed."""
HIGH_BYTES = 65_536
"""Unsent bytes above which the protocol is told to pause, until ``set_write_buffer_limits`` says otherwise."""

_HEAD_BYTES: Final = 5
"""Of a record: its kind, a version, its length in two bytes."""
_RECORD_MOST: Final = _HEAD_BYTES + RECORD_BYTES + 2_048
"""Longest record of any version, as it comes; OpenSSL refuses a longer one."""
_said: Final = ssl.MemoryBIO()
"""What OpenSSL says, of whichever connection: it is taken out at once, in the same step, so that it is always empty."""


class Flooded(ConnectionError):
    """The peer sends records without data, one after the other."""


class TlsTransport(asyncio.Transport):
    """TLS with a peer that has connected; await ``established`` first: ``protocol`` hears of nothing before."""

    __slots__ = (
        *("_done", "_heard", "_high_bytes", "_is_closing", "_is_lost", "_is_paused", "_is_queued", "_is_reading"),
        *("_is_waiting", "_loop", "_low_bytes", "_protocol", "_rest", "_send", "_socket", "_timer", "_tls", "_turns"),
        *("_unsent", "_useless", "_write"),
    )

    def __init__(
        self, plain: socket.socket, protocol: asyncio.Protocol, context: ssl.SSLContext, turns: Turns | None = None
    ) -> None:
        """``plain`` does not block, and is ours from here on. ``turns``: where steps of the handshake wait."""
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._turns = turns
        self._socket = plain
        self._heard = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._heard, _said, server_side=True)
        self._send: Callable[[bytes | bytearray], int] = plain.send
        # past Python's class around it: every event would pay for another object that is in no cache
        self._write: Callable[[Any], int] = self._tls._sslobj.write  # type: ignore[attr-defined]
        self._unsent: bytearray | None = None
        """What is encrypted and the socket has not taken."""
        self._rest = b""
        """A record that has not come whole."""
        self._useless = 0
        """Records in a row that held no data."""
        self._high_bytes, self._low_bytes = HIGH_BYTES, HIGH_BYTES // 4
        self._is_closing = self._is_lost = False
        self._is_paused = False
        """Whether the protocol was told that too much is unsent."""
        self._is_waiting = False
        """Whether we wait for the socket to take bytes."""
        self._is_reading = True
        self._is_queued = False
        """Whether a step of the handshake waits for its turn."""
        self._timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[None] | None = self._loop.create_future()
        """The handshake; None once it is over."""
        self._loop.add_reader(plain, self._hear)

    async def established(self, within_s: float) -> None:
        """Return when TLS is up. Raises ``TimeoutError``, ``ssl.SSLError`` and ``ConnectionError``; it is cut then."""
        done = self._done
        if done is None:
            return
        timer = self._loop.call_later(within_s, self._late)  # cheaper than asyncio.timeout
        try:
            await done
        except BaseException:
            self.abort()
            raise
        finally:
            timer.cancel()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and write; after a close nothing is written."""
        if self._is_closing or not data:
            return
        try:
            self._write(data)
        except ssl.SSLError as error:  # its peer has left a message of the handshake half said, or is broken
            _said.read()
            self._lose(error)
            return
        if self._unsent:
            self._tell()
            return
        sealed = _said.read()  # from here as in ``_tell``, without its call: every event comes this way
        try:
            sent = self._send(sealed)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        if sent != len(sealed):
            self._keep(sealed[sent:])

    def close(self) -> None:
        """Write what is to be written, say that nothing follows, and wait ``SHUTDOWN_S`` for the peer to close."""
        if self._is_closing:
            return
        self._is_closing = True
        self._timer = self._loop.call_later(SHUTDOWN_S, self.abort)
        self._loop.add_reader(self._socket, self._drop)
        with contextlib.suppress(ssl.SSLError):  # the peer has not said so yet
            self._tls.unwrap()
        self._tell()
        if not self._unsent:
            self._end_sending()

    def abort(self) -> None:
        """Cut the socket."""
        self._lose(None)

    def is_closing(self) -> bool:
        """Whether it is closing, or gone."""
        return self._is_closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand over to another protocol."""
        self._protocol = protocol  # type: ignore[assignment]  # a streaming one: ours and aiohttp's
        if self._is_paused:  # what the one before was told holds for it, too
            self._protocol.pause_writing()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who hears of bytes now."""
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        if name == "ssl_object":
            return self._tls
        if name == "socket":
            return self._socket
        if name == "sslcontext":
            return self._tls.context
        with contextlib.suppress(OSError):  # it is gone
            if name == "peername":
                return self._socket.getpeername()
            if name == "sockname":
                return self._socket.getsockname()
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When ``pause_writing`` and ``resume_writing`` are called, in bytes not sent."""
        self._high_bytes = high if high is not None else HIGH_BYTES
        self._low_bytes = low if low is not None else self._high_bytes // 4

    def get_write_buffer_size(self) -> int:
        """Bytes not sent."""
        return len(self._unsent) if self._unsent else 0

    def can_write_eof(self) -> bool:
        """TLS has no half-closed connections here."""
        return False

    def is_reading(self) -> bool:
        """Whether bytes are read."""
        return self._is_reading

    def pause_reading(self) -> None:
        """Take no more bytes."""
        if self._is_reading and not self._is_closing:
            self._is_reading = False
            self._loop.remove_reader(self._socket)

    def resume_reading(self) -> None:
        """Take bytes again."""
        if not self._is_reading and not self._is_closing:
            self._is_reading = True
            self._loop.add_reader(self._socket, self._read)

    # --- inside ---

    def _late(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(TimeoutError("the handshake took too long"))

    def _hear(self) -> None:
        """Bytes of the handshake have come.

        They are taken at once: a socket with unread bytes would be told of in each turn of the loop until its own.
        """
        data = self._received()
        if data:
            self._heard.write(data)
            if self._heard.pending >= READ_BYTES:  # enough until they were looked at
                self._is_reading = False
                self._loop.remove_reader(self._socket)
            if self._turns is None:
                self._shake_hands()
            elif not self._is_queued:
                self._is_queued = True
                self._turns.take(self._shake_hands)
        elif data is not None:
            self._lose(ConnectionResetError("the peer has gone in the middle of the handshake"))

    def _shake_hands(self) -> None:
        """Go on with the handshake. Who is silent waits in no line, and holds no place in one."""
        self._is_queued = False
        done = self._done
        if done is None or self._is_lost:
            return
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            if self._tell() and not self._is_reading:
                self._is_reading = True
                self._loop.add_reader(self._socket, self._hear)
            return
        except OSError as error:
            self._tell()
            self._refuse(error)
            return
        if not self._tell():
            return
        self._done = None
        self._is_reading = True
        self._loop.add_reader(self._socket, self._read)
        self._protocol.connection_made(self)
        if not done.done():
            done.set_result(None)
        if self._heard.pending:
            self._take(self._heard.read())

    def _read(self) -> None:
        """The socket has bytes. If there are more, the loop calls again when others had their turn."""
        data = self._received()
        if data:
            self._take(data)
        elif data is not None and not self._is_lost:
            self._end()

    def _received(self) -> bytes | None:
        """What the socket has; empty at its end; None when there is nothing, or no socket any more."""
        try:
            return self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            self._lose(error)
            return None

    def _take(self, data: bytes) -> None:
        """Give the whole records to OpenSSL, one by one, and what was in them to the protocol."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        plain, at, size = b"", 0, len(data)
        has_ended = False
        while size - at >= _HEAD_BYTES and not has_ended:
            record_bytes = _HEAD_BYTES + (data[at + 3] << 8 | data[at + 4])
            if record_bytes > size - at and record_bytes <= _RECORD_MOST:
                break  # it has not come whole
            self._heard.write(data[at : at + record_bytes])
            at += record_bytes
            try:
                piece = self._tls.read(RECORD_BYTES)
            except ssl.SSLWantReadError:
                self._useless += 1
                if self._useless > USELESS_RECORDS:
                    self._tell()
                    self._refuse(Flooded("records without data"))
                    return
                continue
            except OSError as error:
                self._tell()
                self._refuse(error)
                return
            self._useless = 0
            has_ended = not piece
            plain = plain + piece if plain else piece
        self._rest = data[at:]
        if _said.pending:
            self._tell()  # the answer to a key update
        if plain and not self._is_closing:
            self._protocol.data_received(plain)
        if has_ended and not self._is_lost:
            self._end()

    def _refuse(self, error: OSError) -> None:
        """What came is no TLS, or not from our peer, or there is none: OpenSSL has said its alert."""
        with contextlib.suppress(OSError):  # what is left unread makes the kernel reset, and the alert is not read
            self._socket.recv(UNREAD_BYTES)
        self._lose(error)

    def _end(self) -> None:
        """The peer says that nothing follows."""
        self._loop.remove_reader(self._socket)
        self._is_reading = False
        if not self._is_closing:
            self._protocol.eof_received()
            self.close()

    def _tell(self) -> bool:
        """Send what OpenSSL has said, if anything. False: the socket is gone."""
        sealed = _said.read()
        if self._is_lost or not sealed:
            return not self._is_lost
        if self._unsent:
            self._unsent += sealed
            self._look_at_unsent()
            return True
        try:
            sent = self._send(sealed)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(error)
            return False
        if sent < len(sealed):
            self._keep(sealed[sent:])
        return True

    def _keep(self, sealed: bytes) -> None:
        """The socket takes no more for now."""
        self._unsent = bytearray(sealed)
        self._wait(is_waiting=True)
        self._look_at_unsent()

    def _send_on(self) -> None:
        """The socket may take some of what is unsent."""
        unsent = self._unsent
        assert unsent is not None, "there is something to send"
        try:
            del unsent[: self._send(unsent)]
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if not unsent:
            self._unsent = None
            self._wait(is_waiting=False)
            if self._is_closing:
                self._end_sending()
        self._look_at_unsent()  # last: the protocol may write, or close

    def _wait(self, *, is_waiting: bool) -> None:
        """Be called when the socket takes bytes again, or not."""
        if is_waiting == self._is_waiting:
            return
        self._is_waiting = is_waiting
        if is_waiting:
            self._loop.add_writer(self._socket, self._send_on)
        else:
            self._loop.remove_writer(self._socket)

    def _look_at_unsent(self) -> None:
        """Tell the protocol to pause, or to go on."""
        size = self.get_write_buffer_size()
        if not self._is_paused and size > self._high_bytes:
            self._is_paused = True
            self._protocol.pause_writing()
        elif self._is_paused and size <= self._low_bytes:
            self._is_paused = False
            self._protocol.resume_writing()

    def _end_sending(self) -> None:
        """All is written, also that nothing follows; what the peer still sends is not looked at."""
        with contextlib.suppress(OSError):  # the peer is gone
            self._socket.shutdown(socket.SHUT_WR)

    def _drop(self) -> None:
        """We are closing: what comes is thrown away, until it ends."""
        data = self._received()
        if data is not None and not data:
            self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        """The socket is gone, or shall be."""
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self._loop.remove_reader(self._socket)
        self._wait(is_waiting=False)
        self._unsent = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop.call_soon(self._tell_lost, error)

    def _tell_lost(self, error: Exception | None) -> None:
        self._socket.close()
        done, self._done = self._done, None
        if done is None:
            self._protocol.connection_lost(error)
        elif not done.done():
            done.set_exception(error or ConnectionResetError("the peer has gone in the middle of the handshake"))

"""Shell: the server's end of TLS on a plain transport: Python's ``ssl`` and nothing between it and the socket.

asyncio's and uvloop's own TLS transports keep buffers of 256 KiB a connection, ask OpenSSL for as much at each read and
copy every write twice (docs/decisions/0012). Here a read takes a record and a write makes one.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

RECORD_BYTES = 16_384
"""Most plain bytes in a TLS record (RFC 8446 5.1): a read of so many leaves none behind."""
SHUTDOWN_S = 5.0
"""Seconds that a peer has to take what is still to be written and to close; then the socket is cut."""


class TlsTransport(asyncio.Transport):
    """A transport for ``protocol``, and the protocol of the transport below it.

    Give it to ``connect_accepted_socket`` and await ``established``; ``protocol`` hears of nothing before.
    """

    __slots__ = ("_below", "_done", "_incoming", "_is_closing", "_outgoing", "_protocol", "_timer", "_tls")

    def __init__(self, protocol: asyncio.Protocol, context: ssl.SSLContext) -> None:
        super().__init__()
        self._protocol = protocol
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._below: asyncio.Transport | None = None
        self._done: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        """The handshake; None once it is over."""
        self._is_closing = False
        self._timer: asyncio.TimerHandle | None = None

    async def established(self, within_s: float) -> None:
        """Return when TLS is up. Raises ``TimeoutError``, ``ssl.SSLError`` and ``ConnectionError``; it is cut then."""
        done = self._done
        if done is None:
            return
        timer = asyncio.get_running_loop().call_later(within_s, self._late)  # cheaper than asyncio.timeout
        try:
            await done
        except BaseException:
            self.abort()
            raise
        finally:
            timer.cancel()

    # --- as the protocol of the transport below ---

    def connection_made(self, below: asyncio.Transport) -> None:
        """asyncio: TCP is up."""
        self._below = below

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes have come."""
        self._incoming.write(data)
        if self._done is None or self._shake_hands():
            self._read()

    def eof_received(self) -> bool:
        """asyncio: the peer sends no more: the transport below closes itself."""
        return False

    def pause_writing(self) -> None:
        """asyncio: the high-water mark is passed."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """asyncio: the low-water mark is reached."""
        self._protocol.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the socket is gone."""
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        done, self._done = self._done, None
        if done is None:
            self._protocol.connection_lost(error)
        elif not done.done():
            done.set_exception(error or ConnectionResetError("the peer has gone in the middle of the handshake"))

    # --- as the transport of the protocol above ---

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and write; after a close nothing is written."""
        if self._is_closing or not data or self._below is None:
            return
        tls, size = self._tls, len(data)
        written = tls.write(data)
        while written < size:  # OpenSSL takes a record at a time
            written += tls.write(memoryview(data)[written:])
        self._below.write(self._outgoing.read())

    def close(self) -> None:
        """Write what is to be written, say that nothing follows, and wait ``SHUTDOWN_S`` for the peer to close."""
        if self._is_closing or self._below is None:
            return
        self._is_closing = True
        with contextlib.suppress(ssl.SSLError):  # the peer has not said so yet: what it still sends is dropped
            self._tls.unwrap()
        self._send()
        if self._below.is_closing():
            return
        self._timer = asyncio.get_running_loop().call_later(SHUTDOWN_S, self.abort)
        self._below.write_eof()
        self._below.resume_reading()  # its last word is to be read

    def abort(self) -> None:
        """Cut the socket."""
        self._is_closing = True
        if self._below is not None:
            self._below.abort()

    def is_closing(self) -> bool:
        """Whether it is closing, or gone."""
        return self._is_closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand over to another protocol."""
        self._protocol = protocol  # type: ignore[assignment]  # a streaming one: ours and aiohttp's

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who hears of bytes now."""
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection: TLS here, the rest below."""
        if name == "ssl_object":
            return self._tls
        if name == "sslcontext":
            return self._tls.context
        return self._below.get_extra_info(name, default) if self._below is not None else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When ``pause_writing`` and ``resume_writing`` are called, in bytes not sent."""
        self._require().set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes not sent."""
        return self._require().get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """TLS has no half-closed connections here."""
        return False

    def is_reading(self) -> bool:
        """Whether bytes are read."""
        return self._require().is_reading()

    def pause_reading(self) -> None:
        """Take no more bytes."""
        if not self._is_closing:
            self._require().pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if not self._is_closing:
            self._require().resume_reading()

    # --- inside ---

    def _require(self) -> asyncio.Transport:
        assert self._below is not None, "connected"
        return self._below

    def _send(self) -> None:
        if self._outgoing.pending:
            self._require().write(self._outgoing.read())

    def _late(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(TimeoutError("the handshake took too long"))

    def _shake_hands(self) -> bool:
        """Go on with the handshake; whether TLS is up."""
        done = self._done
        assert done is not None, "the handshake goes on"
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return False
        except ssl.SSLError as error:
            self._break(error, done.set_exception if not done.done() else None)
            return False
        self._done = None
        self._protocol.connection_made(self)  # session tickets go with its first answer, or when all is read
        if not done.done():
            done.set_result(None)
        return True

    def _read(self) -> None:
        records: list[bytes] = []
        has_ended = False
        try:
            while self._incoming.pending:
                record = self._tls.read(RECORD_BYTES)
                if not record:
                    has_ended = True  # the peer says that nothing follows
                    break
                records.append(record)
        except ssl.SSLWantReadError:
            pass  # a record has not come whole
        except ssl.SSLError as error:
            self._break(error)
            return
        if records and not self._is_closing:
            self._protocol.data_received(records[0] if len(records) == 1 else b"".join(records))
        self._send()  # what TLS itself has to say and no write has taken along
        if has_ended:
            self._end()

    def _end(self) -> None:
        """Both sides have nothing more to say, or the peer has not."""
        if not self._is_closing:
            self._protocol.eof_received()
            self.close()
        self._require().close()

    def _break(self, error: ssl.SSLError, tell: Callable[[ssl.SSLError], None] | None = None) -> None:
        """What came is no TLS, or not from our peer: send the alert, close."""
        self._is_closing = True
        self._send()
        self._require().close()
        if tell is not None:
            tell(error)

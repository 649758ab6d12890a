"""Shell: the server's end of TLS: Python's ``ssl`` on the socket itself, and nothing between.

asyncio's and uvloop's own TLS transports keep buffers of 256 KiB a connection, ask OpenSSL for as much at each read,
and copy every write twice (docs/decisions/0012). Here a read takes a record, and a write is a record in the kernel.
One private attribute of ``ssl.SSLSocket`` is used, ``_sslobj``: each of its methods goes through two or three calls to
get there, which every event and every acknowledgement would pay for.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

RECORD_BYTES = 16_384
"""Most plain bytes in a TLS record (RFC 8446 5.1): a read of so many leaves none behind in OpenSSL."""
SHUTDOWN_S = 5.0
"""Seconds that a peer has to take what is still to be written and to close; then the socket is cut."""
UNREAD_BYTES = 65_536
"""Bytes behind a record that breaks TLS which are taken from the socket before it is closed."""
HIGH_BYTES = 65_536
"""Unsent bytes above which the protocol is told to pause, until ``set_write_buffer_limits`` says otherwise."""

_NOT_NOW = ssl.SSLWantReadError, ssl.SSLWantWriteError


class TlsTransport(asyncio.Transport):
    """TLS with a peer that has connected; await ``established`` first: ``protocol`` hears of nothing before."""

    __slots__ = (
        *("_done", "_high_bytes", "_is_closing", "_is_lost", "_is_paused", "_is_reading", "_is_waiting", "_loop"),
        *("_low_bytes", "_protocol", "_timer", "_tls", "_tls_read", "_tls_write", "_unsent"),
    )

    def __init__(self, plain: socket.socket, protocol: asyncio.Protocol, context: ssl.SSLContext) -> None:
        """``plain`` does not block, and is ours from here on. Raises ``OSError``."""
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._tls = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        inner: Any = self._tls._sslobj  # type: ignore[attr-defined]
        if inner is None:
            self._tls.close()
            raise ConnectionResetError("the peer has gone before the handshake")
        self._tls_write: Callable[[bytes | bytearray | memoryview], int] = inner.write
        self._tls_read: Callable[[int], bytes] = inner.read
        self._unsent: bytearray | None = None
        """What the socket has not taken. OpenSSL wants to see the same bytes again, and more behind them at most."""
        self._high_bytes, self._low_bytes = HIGH_BYTES, HIGH_BYTES // 4
        self._is_closing = self._is_lost = False
        self._is_paused = False
        """Whether the protocol was told that too much is unsent."""
        self._is_waiting = False
        """Whether we wait for the socket to take bytes."""
        self._is_reading = True
        self._timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[None] | None = self._loop.create_future()
        """The handshake; None once it is over."""
        self._loop.add_reader(self._tls, self._shake_hands)

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
        if self._unsent:
            self._unsent += data
            self._look_at_unsent()
            return
        if len(data) <= RECORD_BYTES:
            try:
                self._tls_write(data)
            except _NOT_NOW:
                pass
            except OSError as error:
                self._lose(error)
                return
            else:
                return
        self._unsent = bytearray(data)
        self._send()

    def close(self) -> None:
        """Write what is to be written, say that nothing follows, and wait ``SHUTDOWN_S`` for the peer to close."""
        if self._is_closing:
            return
        self._is_closing = True
        self._timer = self._loop.call_later(SHUTDOWN_S, self.abort)
        if not self._unsent:
            self._say_goodbye()

    def abort(self) -> None:
        """Cut the socket."""
        self._lose(None)

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
        """What is known of the connection."""
        if name in ("ssl_object", "socket"):
            return self._tls
        if name == "sslcontext":
            return self._tls.context
        with contextlib.suppress(OSError):  # it is gone
            if name == "peername":
                return self._tls.getpeername()
            if name == "sockname":
                return self._tls.getsockname()
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
            self._loop.remove_reader(self._tls)

    def resume_reading(self) -> None:
        """Take bytes again."""
        if not self._is_reading and not self._is_closing:
            self._is_reading = True
            self._loop.add_reader(self._tls, self._read)

    # --- inside ---

    def _late(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(TimeoutError("the handshake took too long"))

    def _shake_hands(self) -> None:
        """Go on with the handshake: the socket has bytes, or takes some again."""
        done = self._done
        assert done is not None, "the handshake goes on"
        self._wait(is_waiting=False)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._wait(is_waiting=True)
            return
        except OSError as error:
            self._refuse(error)
            return
        self._done = None
        self._loop.add_reader(self._tls, self._read)
        self._protocol.connection_made(self)
        if not done.done():
            done.set_result(None)

    def _read(self) -> None:
        """The socket has bytes: take a record. If there are more, the loop calls again when others had their turn."""
        try:
            data = self._tls_read(RECORD_BYTES)
        except _NOT_NOW:
            return  # it has not come whole, or is TLS's own
        except ssl.SSLEOFError:
            data = b""  # the peer has gone without saying so
        except OSError as error:
            self._refuse(error)
            return
        if not data:
            self._end()
        elif not self._is_closing:
            self._protocol.data_received(data)

    def _refuse(self, error: OSError) -> None:
        """What came is no TLS, or not from our peer, or there is none: OpenSSL has sent its alert."""
        with contextlib.suppress(OSError):  # what is left unread makes the kernel reset, and the alert is not read
            socket.socket.recv(self._tls, UNREAD_BYTES)
        self._lose(error)

    def _end(self) -> None:
        """The peer says that nothing follows."""
        self._loop.remove_reader(self._tls)
        self._is_reading = False
        if not self._is_closing:
            self._protocol.eof_received()
            self.close()

    def _send(self) -> None:
        """The socket may take some of what is unsent."""
        unsent = self._unsent
        assert unsent is not None, "there is something to send"
        try:
            while unsent:
                del unsent[: self._tls_write(unsent[:RECORD_BYTES])]
        except _NOT_NOW:
            pass
        except OSError as error:
            self._lose(error)
            return
        self._wait(is_waiting=bool(unsent))
        if self._is_closing and not unsent:
            self._say_goodbye()
        self._look_at_unsent()  # last: the protocol may write, or close

    def _wait(self, *, is_waiting: bool) -> None:
        """Be called when the socket takes bytes again, or not."""
        if is_waiting == self._is_waiting:
            return
        self._is_waiting = is_waiting
        if is_waiting:
            self._loop.add_writer(self._tls, self._send if self._done is None else self._shake_hands)
        else:
            self._loop.remove_writer(self._tls)

    def _look_at_unsent(self) -> None:
        """Tell the protocol to pause, or to go on."""
        size = self.get_write_buffer_size()
        if not self._is_paused and size > self._high_bytes:
            self._is_paused = True
            self._protocol.pause_writing()
        elif self._is_paused and size <= self._low_bytes:
            self._is_paused = False
            self._protocol.resume_writing()

    def _say_goodbye(self) -> None:
        """All is written: say that nothing follows; what the peer still sends is not looked at."""
        with contextlib.suppress(OSError):  # the peer has not said so yet, or is gone
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self._tls.shutdown(socket.SHUT_WR)
        self._loop.add_reader(self._tls, self._drop)

    def _drop(self) -> None:
        try:
            data = self._tls.recv(RECORD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        """The socket is gone, or shall be."""
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self._loop.remove_reader(self._tls)
        self._wait(is_waiting=False)
        self._unsent = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop.call_soon(self._tell_lost, error)

    def _tell_lost(self, error: Exception | None) -> None:
        self._tls.close()
        done, self._done = self._done, None
        if done is None:
            self._protocol.connection_lost(error)
        elif not done.done():
            done.set_exception(error or ConnectionResetError("the peer has gone in the middle of the handshake"))

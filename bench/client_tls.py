"""Shell: TLS on a plain transport, as cheap for a load client as Python's `ssl` gets.

uvloop's own TLS asks OpenSSL for 256 KiB at a time, and again until it raises that there is no more: for one event a
read that costs more than the event. Here one read takes one record, and the next one only when bytes are left.
"""

import asyncio
import ssl
from typing import Protocol

_RECORD_BYTES = 16_384
"""Most plain bytes in a TLS record (RFC 8446, 5.1): a read of so many leaves none behind."""


class Plain(Protocol):
    """What reads and writes plain bytes."""

    def connected(self, connection: "ClientTls") -> None:
        """TLS is up: ``connection.write`` takes bytes."""
        ...

    def received(self, data: bytes) -> None:
        """Bytes came."""
        ...

    def lost(self, connection: "ClientTls", why: Exception | None) -> None:
        """The connection is gone, perhaps before TLS was up."""
        ...


class ClientTls(asyncio.Protocol):
    """One connection."""

    def __init__(self, plain: Plain, context: ssl.SSLContext, host: str) -> None:
        self.transport: asyncio.Transport | None = None
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._is_up = False
        self._why: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: TCP is up."""
        self.transport = transport  # type: ignore[assignment]  # uvloop's own class
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        incoming, read = self._incoming, self._tls.read
        incoming.write(data)
        if not self._is_up and not self._shake_hands():
            return
        records = []
        try:
            while incoming.pending:
                if not (record := read(_RECORD_BYTES)):
                    self.abort()  # the server said that it closes, and would wait for an answer
                    break
                records.append(record)
        except ssl.SSLWantReadError:
            pass  # a record is not whole yet, or it was none of ours: a session ticket
        except ssl.SSLError as error:
            self._fail(error)
        if records:
            self._plain.received(records[0] if len(records) == 1 else b"".join(records))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the socket is gone."""
        self._plain.lost(self, self._why or exc)

    def write(self, data: bytes) -> None:
        """Encrypt and write."""
        assert self.transport is not None, "connected"
        self._tls.write(data)
        self.transport.write(self._outgoing.read())

    def abort(self) -> None:
        """Drop it without a word."""
        if self.transport is not None:
            self.transport.abort()

    def _shake_hands(self) -> bool:
        """Go on with the handshake; says whether TLS is up."""
        assert self.transport is not None, "connected"
        try:
            self._tls.do_handshake()
            self._is_up = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._fail(error)
        if said := self._outgoing.read():
            self.transport.write(said)
        if self._is_up:
            self._plain.connected(self)
        return self._is_up

    def _fail(self, error: Exception) -> None:
        self._why = error
        self.abort()

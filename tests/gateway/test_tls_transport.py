"""TLS on a plain transport, both ends in memory: how many writes it takes, and what a client has after them."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.tls_transport import TlsTransport
from security.development import DevelopmentState
from security.tls import ServerTls


class Below(asyncio.Transport):
    """The plain transport: keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return False


class Answering(asyncio.Protocol):
    """Answers whatever comes, if it has an answer."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heard = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if self.answer:
            assert self._transport is not None
            self._transport.write(self.answer)


class Client:
    """The other end."""

    def __init__(self, ca: Path, version: ssl.TLSVersion) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(ca)
        context.minimum_version = context.maximum_version = version
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")

    def step(self, server: TlsTransport, below: Below) -> bool:
        """Go on with the handshake, and send; whether it is over for us."""
        self._incoming.write(b"".join(below.writes))
        below.writes.clear()
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            server.data_received(self._outgoing.read())
            return False
        return True

    def said(self) -> bytes:
        return self._outgoing.read()

    def hear(self, below: Below) -> bytes:
        """All that came, decrypted."""
        self._incoming.write(b"".join(below.writes))
        below.writes.clear()
        heard = b""
        try:
            while record := self.tls.read(65_536):
                heard += record
        except ssl.SSLWantReadError:
            pass
        return heard


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentState:
    state = DevelopmentState(tmp_path_factory.mktemp("keys"))
    state.prepare(time.time())
    return state


def shaken(
    keys: DevelopmentState, answer: bytes, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> tuple[TlsTransport, Below, Answering, Client]:
    """Both ends, the client having said its last word of the handshake, which was not delivered yet."""
    above, below = Answering(answer), Below()
    server = TlsTransport(above, ServerTls(keys.certificate, keys.key, time.time()).context)
    server.connection_made(below)
    client = Client(keys.ca, version)
    while not client.step(server, below):
        pass
    return server, below, above, client


async def test_the_ticket_goes_with_the_first_answer(keys: DevelopmentState) -> None:
    server, below, above, client = shaken(keys, b"welcome")
    client.tls.write(b"hello")
    server.data_received(client.said())
    assert above.heard == b"hello"
    assert len(below.writes) == 1
    assert client.hear(below) == b"welcome"
    assert client.tls.session is not None
    assert client.tls.session.has_ticket


async def test_who_says_nothing_has_its_ticket_at_once(keys: DevelopmentState) -> None:
    server, below, _, client = shaken(keys, b"")
    server.data_received(client.said())
    assert len(below.writes) == 1
    assert client.hear(below) == b""
    assert client.tls.session is not None
    assert client.tls.session.has_ticket


async def test_the_last_word_of_an_older_handshake_is_said(keys: DevelopmentState) -> None:
    server, below, above, client = shaken(keys, b"welcome", ssl.TLSVersion.TLSv1_2)
    assert client.tls.version() == "TLSv1.2"
    client.tls.write(b"hello")
    server.data_received(client.said())
    assert (above.heard, client.hear(below)) == (b"hello", b"welcome")


async def test_a_handshake_that_stops_is_over_in_time(keys: DevelopmentState) -> None:
    above, below = Answering(b""), Below()
    below.abort = lambda: below.writes.append(b"cut")  # type: ignore[method-assign]
    server = TlsTransport(above, ServerTls(keys.certificate, keys.key, time.time()).context)
    server.connection_made(below)
    with pytest.raises(TimeoutError):
        await server.established(0.01)
    assert below.writes == [b"cut"]

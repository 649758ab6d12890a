"""TLS: reload under open sockets, faults that keep the old certificate, and what is too old to speak (E5, E6, E7)."""

import asyncio
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from security.errors import ConfigurationError
from security.tls import ServerTls, nats_client_context

NOW = time.time()
SOCKETS = 20

CA = trustme.CA()
OTHER_CA = trustme.CA()


def write(folder: Path, *names: str, leaf: trustme.LeafCert | None = None) -> tuple[Path, Path]:
    """Write a certificate and its key as cert.pem and key.pem."""
    leaf = leaf or CA.issue_cert(*(names or ("localhost",)))
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    key.chmod(0o600)
    return cert, key


def served(folder: Path, *names: str) -> ServerTls:
    return ServerTls(*write(folder, *names), NOW)


def client_context(ca: trustme.CA = CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


class Peer:
    """One open client socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def tls(self) -> ssl.SSLObject:
        """The TLS side of the socket."""
        tls = self.writer.get_extra_info("ssl_object")
        assert tls is not None
        return tls  # type: ignore[no-any-return]

    def serial(self) -> int:
        """The serial number of the certificate that the server showed."""
        certificate = self.tls.getpeercert(binary_form=True)
        assert certificate is not None
        return x509.load_der_x509_certificate(certificate).serial_number

    async def echo(self, line: bytes) -> bytes:
        """Send a line and await its echo."""
        self.writer.write(line + b"\n")
        return (await self.reader.readline()).strip()


class Server:
    """An echo server on ``tls``, and the peers that called it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.peers: list[Peer] = []

    async def call(self, context: ssl.SSLContext | None = None, name: str = "localhost") -> Peer:
        """Open one more socket."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context or client_context(), server_hostname=name
        )
        self.peers.append(Peer(reader, writer))
        return self.peers[-1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()


@asynccontextmanager
async def listening(tls: ServerTls) -> AsyncIterator[Server]:
    listener = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.context)
    server = Server(listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        for peer in server.peers:
            peer.writer.close()
            await peer.writer.wait_closed()
        listener.close()
        await listener.wait_closed()


def on_both_loops(body: Callable[[], Awaitable[None]]) -> None:
    """Run on the stdlib's loop and on uvloop: their TLS is not the same code."""

    async def run() -> None:
        await body()

    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_open_sockets_live_through_a_reload_and_new_ones_get_the_new_certificate(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    async def body() -> None:
        tls = served(tmp_path)
        context = client_context()
        context.minimum_version = context.maximum_version = version
        async with listening(tls) as server:
            before = [await server.call(context) for _ in range(SOCKETS)]
            old = tls.serial
            write(tmp_path)
            assert tls.has_changed()
            assert tls.reload(NOW).problem is None
            assert not tls.has_changed()
            after = [await server.call(context) for _ in range(SOCKETS)]
            assert old != tls.serial
            assert {peer.serial() for peer in before} == {old}
            assert {peer.serial() for peer in after} == {tls.serial}
            answers = [await peer.echo(b"%d" % number) for number, peer in enumerate([*before, *after])]
            assert answers == [b"%d" % number for number in range(2 * SOCKETS)]
            assert {peer.tls.version() for peer in after} == {{0x303: "TLSv1.2", 0x304: "TLSv1.3"}[int(version)]}

    on_both_loops(body)


def test_a_client_that_names_no_host_gets_the_new_certificate_too(tmp_path: Path) -> None:
    async def body() -> None:
        tls = served(tmp_path, "127.0.0.1")
        async with listening(tls) as server:
            write(tmp_path, "127.0.0.1")
            assert tls.reload(NOW).problem is None
            peer = await server.call(name="127.0.0.1")  # an address is never sent as SNI
            assert peer.serial() == tls.serial

    on_both_loops(body)


def break_pair(folder: Path) -> None:
    key = (folder / "key.pem").read_bytes()
    write(folder)
    (folder / "key.pem").write_bytes(key)


def halve(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return damage


def dated(start: float, end: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        start_at, end_at = (datetime.fromtimestamp(NOW, UTC) + timedelta(days) for days in (start, end))
        write(folder, leaf=CA.issue_cert("localhost", not_before=start_at, not_after=end_at))

    return damage


def empty(folder: Path) -> None:
    (folder / "cert.pem").write_bytes(b"")


def move(folder: Path) -> None:
    write(folder, "other.example")


def lock(folder: Path) -> None:
    key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (folder / "key.pem").write_bytes(locked)


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "mismatched pair": (break_pair, "KEY_VALUES_MISMATCH"),
    "half a certificate": (halve("cert.pem"), "cert.pem"),
    "half a key": (halve("key.pem"), "no certificate with its key"),
    "missing key": (lambda folder: (folder / "key.pem").unlink(), "key.pem"),
    "missing certificate": (lambda folder: (folder / "cert.pem").unlink(), "cert.pem"),
    "empty certificate": (empty, "cert.pem"),
    "open key": (lambda folder: (folder / "key.pem").chmod(0o644), "readable by others"),
    "ended": (dated(-2, -1), "has ended"),
    "not yet valid": (dated(1, 2), "not valid yet"),
    "another host": (move, "is not for localhost"),
    "key with a password": (lock, "no certificate with its key"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_keeps_the_old_certificate_and_is_told(tmp_path: Path, fault: str) -> None:
    damage, problem = FAULTS[fault]
    cert, key = write(tmp_path)
    tls = ServerTls(cert, key, NOW, names=("localhost",))
    before, context = tls.serial, tls.context
    damage(tmp_path)
    answer = tls.reload(NOW)
    assert answer.problem is not None
    assert problem in answer.problem
    assert not tls.has_changed()
    with pytest.raises(ConfigurationError):
        ServerTls(cert, key, NOW, names=("localhost",))

    async def body() -> None:
        async with listening(tls) as server:
            assert (await server.call()).serial() == before

    uvloop.run(body())
    write(tmp_path)
    assert tls.reload(NOW).problem is None
    assert tls.serial != before
    assert tls.context is context


def test_names_are_compared_as_clients_do(tmp_path: Path) -> None:
    cert, key = write(tmp_path, "*.shop.example", "gate.example", "127.0.0.1")
    ServerTls(cert, key, NOW, names=("a.shop.example", "GATE.example", "127.0.0.1"))
    for name in ("shop.example", "a.b.shop.example", "x.gate.example", "127.0.0.2", ""):
        with pytest.raises(ConfigurationError, match="is not for"):
            ServerTls(cert, key, NOW, names=(name,))


def test_the_end_of_the_certificate_is_told(tmp_path: Path) -> None:
    dated(-1, 30)(tmp_path)
    tls = ServerTls(tmp_path / "cert.pem", tmp_path / "key.pem", NOW)
    assert abs(tls.expires_at - (NOW + 30 * 86_400)) < 2


def test_only_http_1_1_is_negotiated_and_nothing_is_compressed(tmp_path: Path) -> None:
    async def body() -> None:
        async with listening(served(tmp_path)) as server:
            context = client_context()
            context.set_alpn_protocols(["h2", "http/1.1"])
            peer = await server.call(context)
            assert peer.tls.selected_alpn_protocol() == "http/1.1"
            assert peer.tls.compression() is None
            assert peer.tls.version() == "TLSv1.3"

    on_both_loops(body)


def test_the_context_has_the_options_of_the_rule(tmp_path: Path) -> None:
    context = served(tmp_path).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.options & ssl.OP_NO_TICKET
    older = {str(suite["name"]) for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.2"}
    assert older == {
        f"ECDHE-{kind}-{suite}"
        for kind in ("ECDSA", "RSA")
        for suite in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    }


@pytest.mark.parametrize(
    ("version", "suites"),
    [
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+AES+SHA256:@SECLEVEL=0"),  # CBC
        (ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256:@SECLEVEL=0"),  # static RSA
    ],
)
def test_old_versions_and_suites_are_refused(tmp_path: Path, version: ssl.TLSVersion, suites: str) -> None:
    """P1.1."""
    # An RSA certificate, so that nothing but the version and suite stands in the way.
    cert, key = write(tmp_path, leaf=CA.issue_cert("localhost", key_type=trustme.KeyType.RSA))
    tls = ServerTls(cert, key, NOW)
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lax.load_cert_chain(cert, key)
    old_client = client_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old_client.minimum_version = old_client.maximum_version = version
        lax.minimum_version = version
    for context in (old_client, lax):
        context.set_ciphers(suites)

    async def body() -> None:
        listener = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=lax)
        control = Server(listener.sockets[0].getsockname()[1])
        await (await control.call(old_client)).echo(b"a server that is not ours takes it")
        control.peers[0].writer.close()
        await control.peers[0].writer.wait_closed()
        listener.close()
        await listener.wait_closed()
        async with listening(tls) as server:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await server.call(old_client)

    uvloop.run(body())


def test_the_link_to_nats_verifies_server_and_name(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(ca)
    other = tmp_path / "other.pem"
    OTHER_CA.cert_pem.write_to_path(other)
    cert, key = write(tmp_path)

    async def body() -> None:
        async with listening(ServerTls(cert, key, NOW)) as server:
            await (await server.call(nats_client_context(ca, cert, key))).echo(b"x")
            with pytest.raises(ssl.SSLCertVerificationError):
                await server.call(nats_client_context(other))
            with pytest.raises(ssl.SSLCertVerificationError):
                await server.call(nats_client_context(ca), name="nats.example")

    uvloop.run(body())


def test_a_nats_context_that_cannot_be_made_names_the_file(tmp_path: Path) -> None:
    cert, key = write(tmp_path)
    empty = tmp_path / "empty.pem"
    empty.touch()
    for ca in (tmp_path / "missing.pem", empty):
        with pytest.raises(ConfigurationError, match=ca.name):
            nats_client_context(ca)
    with pytest.raises(ConfigurationError, match="both"):
        nats_client_context(None, cert, None)
    key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        nats_client_context(None, cert, key)
    assert nats_client_context(None).check_hostname

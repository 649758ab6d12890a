"""Shell: TLS contexts: the server's, replaced while sockets are open, and the one for links to NATS.

A context cannot change its certificate safely once sockets use it. So a reload builds a **new** context from the files,
and the first one's SNI callback hands it to each new connection; the callback runs without SNI too, open sockets keep
what they began with. Version, cipher suites and ALPN stay the first context's: they are the same in all of ours.
"""

import contextlib
import ssl
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from security.errors import ConfigurationError
from security.private_file import check_private_file

TLS12_SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # six suites; those of TLS 1.3 are OpenSSL's own
ALPN: Final = ("http/1.1",)


class Reloaded(msgspec.Struct, frozen=True):
    """What a reload did. ``problem`` is None when new connections get the files' certificate, else what is wrong."""

    problem: str | None = None


class _Loaded(msgspec.Struct, frozen=True):
    context: ssl.SSLContext
    expires_at: float
    serial: int


class ServerTls:
    """The server's certificate, from two PEM files (or one that holds both)."""

    def __init__(self, cert: Path, key: Path, unix_s: float, *, names: tuple[str, ...] = ()) -> None:
        """Load at ``unix_s`` (Unix seconds). ``names``: host names and addresses that the certificate must hold.

        Raises ConfigurationError, naming the file and the remedy, where ``reload`` would report a problem.
        """
        self._cert = cert
        self._key = key
        self._names = names
        self._seen = self._stamps()
        self._current = self._load(unix_s)
        self.context = self._current.context
        """The context to serve with, for as long as the process lives."""
        self.context.sni_callback = self._hand_over

    @property
    def expires_at(self) -> float:
        """When the certificate in use ends, in Unix seconds."""
        return self._current.expires_at

    @property
    def serial(self) -> int:
        """The serial number of the certificate in use."""
        return self._current.serial

    def has_changed(self) -> bool:
        """Say whether the files differ from those last loaded or tried, by inode, size and time."""
        return self._stamps() != self._seen

    def reload(self, unix_s: float) -> Reloaded:
        """Read the files again. On any fault the old certificate stays in use, and the answer says why."""
        self._seen = self._stamps()
        try:
            self._current = self._load(unix_s)
        except ConfigurationError as error:
            return Reloaded(str(error))
        return Reloaded()

    def _hand_over(self, sock: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        sock.context = self._current.context

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        stamps: list[tuple[int, int, int] | None] = []
        for path in (self._cert, self._key):
            stamp = None
            with contextlib.suppress(OSError):
                status = path.stat()
                stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
            stamps.append(stamp)
        return tuple(stamps)

    def _load(self, unix_s: float) -> _Loaded:
        certificate = _read_certificate(self._cert)
        _check_dates(certificate, self._cert, unix_s)
        _check_names(certificate, self._cert, self._names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _load_pair(context, self._cert, self._key)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(TLS12_SUITES)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(list(ALPN))
        context.num_tickets = 1  # a device has one connection: it would pay for OpenSSL's second, 40 us, and not use it
        return _Loaded(context, certificate.not_valid_after_utc.timestamp(), certificate.serial_number)


def nats_client_context(ca: Path | None, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Give the context for links to NATS: server and host name are verified, and there is no way to skip that.

    ``ca``: the authority to trust, and no other; None: the system's. ``cert`` and ``key``: our client certificate,
    together or not at all. Raises ConfigurationError naming the file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, and checks host names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{ca}: no authority can be read from it") from error
    if (cert is None) != (key is None):
        raise ConfigurationError("a client certificate needs both its certificate and its key file")
    if cert is not None and key is not None:
        _load_pair(context, cert, key)
    return context


def _load_pair(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    check_private_file(key)
    try:
        # The empty password: OpenSSL would else ask for one on the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{cert} and {key}: no certificate with its key ({error.reason or 'bad PEM'})"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{cert} or {key}: cannot be read ({error.strerror})") from error


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, IndexError) as error:
        raise ConfigurationError(f"{path}: no certificate can be read from it") from error


def _check_dates(certificate: x509.Certificate, path: Path, unix_s: float) -> None:
    if unix_s < certificate.not_valid_before_utc.timestamp():
        raise ConfigurationError(f"{path}: the certificate is not valid yet; check the clock")
    if unix_s >= certificate.not_valid_after_utc.timestamp():
        raise ConfigurationError(f"{path}: the certificate has ended; renew it")


def _check_names(certificate: x509.Certificate, path: Path, names: tuple[str, ...]) -> None:
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        raise ConfigurationError(f"{path}: the certificate names no host (subjectAltName)") from None
    hosts = [host.lower() for host in held.get_values_for_type(x509.DNSName)]
    addresses = [str(address) for address in held.get_values_for_type(x509.IPAddress)]
    for name in names:
        if name not in addresses and not any(_is_host(name.lower(), host) for host in hosts):
            raise ConfigurationError(f"{path}: the certificate is not for {name}")


def _is_host(name: str, host: str) -> bool:
    """Compare as RFC 9525 6.3: a wildcard is the whole first label and stands for exactly one."""
    if host.startswith("*."):
        return name.partition(".")[2] == host[2:]
    return name == host

"""Shell: keys for one's own machine: an issuer that mints tokens, an authority, a server certificate.

All in one folder of ours, made when missing and kept. Whoever can read the folder can be anybody, so a gateway in
profile ``production`` refuses what comes from it: it is recognised by names that nothing else bears.

  issuer.json    the issuer's private key (JWK), 0600     jwks.json   its public key set, what a gateway is given
  authority.pem  the authority's key and certificate      ca.pem      its certificate, what a client is given
  server.pem     the server's key and certificate, 0600; renewed when it has less than seven days left
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from security.certificates import (
    RENEW_DAYS,
    SERVER_DAYS,
    days_left,
    is_development,
    is_signed_by,
    make_authority,
    make_server,
)
from security.development_names import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, KID_PREFIX
from security.errors import ConfigurationError, LimitReached
from security.private_file import check_private_file, create_once, make_private_folder, replace

TTL_LIMIT_S: Final = 86_400  # as long as the guard takes, security/tokens.py
_PUBLIC_FILE: Final = 0o644
_OWN_CLAIMS: Final = frozenset({"iss", "aud", "sub", "iat", "exp"})


class DevelopmentState:
    """The development keys in one folder. Call ``prepare`` before anything else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jwks = folder / "jwks.json"
        """The public key set of the issuer."""
        self.ca = folder / "ca.pem"
        """The certificate that clients are to trust."""
        self.certificate = folder / "server.pem"
        """The server's certificate; the same file as ``key``, so that a renewal changes both in one step."""
        self.key = self.certificate
        self._issuer = folder / "issuer.json"
        self._authority = folder / "authority.pem"

    def prepare(self, unix_s: float) -> bool:
        """Make what is missing, renew what ends soon; say whether the server certificate is a new one.

        Safe to repeat, also from two processes at once. Raises ConfigurationError, naming the file, when one
        cannot be read or is open to others.
        """
        make_private_folder(self.folder)
        self._prepare_issuer()
        authority, authority_key = self._prepare_authority(unix_s)
        if self.certificate.exists():
            _, certificate = _read_pem(self.certificate)
            if days_left(certificate, unix_s) >= RENEW_DAYS and is_signed_by(certificate, authority):
                return False
        key = ec.generate_private_key(ec.SECP256R1())
        serial = x509.random_serial_number()
        replace(self.certificate, _pem(key, make_server(key.public_key(), authority, authority_key, serial, unix_s)))
        return True

    def mint(self, subject: str, ttl_s: int, unix_s: float, claims: Mapping[str, object] | None = None) -> str:
        """Give a token for ``subject`` that ends ``ttl_s`` seconds after ``unix_s``, at most a day.

        ``claims`` are further members of the payload, as ``{"tidewire": {"read": ["orders.c42.>"]}}``; they may name
        ``jti`` (else random), but not ``iss``, ``aud``, ``sub``, ``iat`` or ``exp``.
        """
        further = dict(claims or {})
        clash = sorted(_OWN_CLAIMS & further.keys())
        if clash:
            raise ConfigurationError(f"claim {clash[0]!r} is set by the issuer; leave it out")
        if not 0 < ttl_s <= TTL_LIMIT_S:
            raise LimitReached(f"ttl: {ttl_s} s is not within 1 s and 24 h, the longest life of a token")
        key = self._load_issuer()
        issued_at = int(unix_s)
        payload = {
            "iss": DEVELOPMENT_ISSUER,
            "aud": DEVELOPMENT_AUDIENCE,
            "sub": subject,
            "jti": secrets.token_hex(16),
            "iat": issued_at,
            "exp": issued_at + ttl_s,
            **further,
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": key.kid}
        return jws.serialize_compact(header, json.dumps(payload).encode(), key, algorithms=["ES256"])

    def _prepare_issuer(self) -> None:
        if not self._issuer.exists():
            key = ECKey.generate_key("P-256")
            document = key.as_dict(private=True, kid=KID_PREFIX + secrets.token_hex(8), alg="ES256", use="sig")
            create_once(self._issuer, json.dumps(document).encode())
        public = self._load_issuer().as_dict(private=False)
        _keep(self.jwks, json.dumps({"keys": [public]}, indent=2).encode() + b"\n")

    def _load_issuer(self) -> ECKey:
        check_private_file(self._issuer)
        try:
            return ECKey.import_key(json.loads(self._issuer.read_bytes()))
        except (OSError, ValueError, TypeError, KeyError, JoseError) as error:
            raise _damaged(self._issuer) from error

    def _prepare_authority(self, unix_s: float) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        if not self._authority.exists() or days_left(_read_pem(self._authority)[1], unix_s) < SERVER_DAYS:
            key = ec.generate_private_key(ec.SECP256R1())
            data = _pem(key, make_authority(key, x509.random_serial_number(), unix_s))
            (replace if self._authority.exists() else create_once)(self._authority, data)
        key, certificate = _read_pem(self._authority)
        _keep(self.ca, certificate.public_bytes(Encoding.PEM))
        return certificate, key


def is_development_certificate(path: Path) -> bool:
    """Say whether a PEM file holds the development authority or a certificate of one."""
    try:
        return any(map(is_development, x509.load_pem_x509_certificates(path.read_bytes())))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: no certificate can be read from it") from error


def _pem(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def _read_pem(path: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    check_private_file(path)
    try:
        data = path.read_bytes()
        key = load_pem_private_key(data, None)
        certificate = x509.load_pem_x509_certificate(data)
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _damaged(path)
    return key, certificate


def _keep(path: Path, data: bytes) -> None:
    """Write a public file, unless it says so already: clients may be reading it."""
    if not path.exists() or path.read_bytes() != data:
        replace(path, data, _PUBLIC_FILE)


def _damaged(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{path}: is damaged; remove it, and a new one is made at the next start")

"""Pure: the development authority and the server certificates that it signs.

Made so that the strictest verifier takes them (Python 3.13 sets ``VERIFY_X509_STRICT``): critical basic constraints and
key usage, subject and authority key identifiers. The authority may sign for this machine's own names and nothing else
(name constraints, RFC 5280 4.2.1.10): somebody who trusts it for a try-out trusts it for nothing beyond.
"""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_NAME: Final = "Tidewire development CA"
AUTHORITY_DAYS: Final = 3_650
SERVER_DAYS: Final = 90
RENEW_DAYS: Final = 7  # a server certificate with less left is replaced
_BACKDATED: Final = timedelta(hours=1)  # for clients whose clock is behind
_LOOPBACK: Final = ("127.0.0.1", "::1")


def make_authority(key: EllipticCurvePrivateKey, serial: int, unix_s: float) -> x509.Certificate:
    """Give a self-signed authority, good for ``localhost``, ``127.0.0.1`` and ``::1`` only, for ten years."""
    permitted = [x509.DNSName("localhost"), *(x509.IPAddress(ip_network(address)) for address in _LOOPBACK)]
    name = _name(AUTHORITY_NAME)
    builder = _begin(name, name, key.public_key(), serial, unix_s, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(for_authority=True), critical=True)
    builder = builder.add_extension(x509.NameConstraints(permitted, None), critical=True)
    builder = builder.add_extension(_authority_key(key.public_key()), critical=False)
    return builder.sign(key, hashes.SHA256())


def make_server(
    public_key: EllipticCurvePublicKey,
    authority: x509.Certificate,
    authority_key: EllipticCurvePrivateKey,
    serial: int,
    unix_s: float,
) -> x509.Certificate:
    """Give a server certificate for this machine's own names, for 90 days."""
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(address)) for address in _LOOPBACK)]
    builder = _begin(_name("localhost"), authority.subject, public_key, serial, unix_s, SERVER_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(for_authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(_authority_key(authority_key.public_key()), critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def days_left(certificate: x509.Certificate, unix_s: float) -> float:
    """Give the days until a certificate ends; negative when it has ended."""
    return (certificate.not_valid_after_utc.timestamp() - unix_s) / 86_400


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Say whether ``authority`` signed ``certificate``."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def is_development(certificate: x509.Certificate) -> bool:
    """Say whether this is the development authority, or something that one has signed."""
    names = [*certificate.issuer, *certificate.subject]
    return any(name.oid == NameOID.COMMON_NAME and name.value == AUTHORITY_NAME for name in names)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _begin(
    subject: x509.Name, issuer: x509.Name, public_key: EllipticCurvePublicKey, serial: int, unix_s: float, days: int
) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(int(unix_s), UTC)
    builder = x509.CertificateBuilder(issuer, subject, public_key, serial, start - _BACKDATED, start + timedelta(days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)


def _authority_key(public_key: EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)


def _key_usage(*, for_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not for_authority,
        key_cert_sign=for_authority,
        crl_sign=for_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )

"""The token attack list: 56 numbered changes to a good token, and the check that must catch each.

``attacks(forge)`` gives tokens as text, so that a test can hand them to the guard or send them over a socket. Each is a
valid token with one change, signed again with the good key unless the signature is the point.
"""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jwe
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from security.issuers import Issuer, Issuers
from security.keys import KeySet, parse_jwks

ISSUER = "https://id.shop.example"
AUDIENCE = "tidewire"
MODELS = JWSRegistry.algorithms


class Attack(NamedTuple):
    """One bad token: its number in the list, what was changed, the token, and the check that refuses it."""

    number: int
    name: str
    token: str
    check: str


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Forge:
    """An issuer with three keys (ec-1, rsa-1, ed-1), which signs anything as of ``unix_s``."""

    def __init__(self, unix_s: int, issuer: str = ISSUER, audience: str = AUDIENCE) -> None:
        self.unix_s = unix_s
        self.name = issuer
        self.audience = audience
        self.ec = ECKey.generate_key("P-256")
        self.rsa = RSAKey.generate_key(2048)
        self.ed = OKPKey.generate_key("Ed25519")

    def jwks(self) -> bytes:
        """The public key set, as an issuer would serve it."""
        keys = [
            {**self.ec.as_dict(private=False), "kid": "ec-1", "alg": "ES256", "use": "sig"},
            {**self.rsa.as_dict(private=False), "kid": "rsa-1", "alg": "RS256"},
            {**self.ed.as_dict(private=False), "kid": "ed-1"},
        ]
        return json.dumps({"keys": keys}).encode()

    def issuers(self, **settings: Any) -> Issuers:
        """The guard's side: this issuer as configured, with its keys."""
        issuer = Issuer(name=self.name, audience=self.audience, **settings)
        keys = parse_jwks(self.jwks(), algorithms=issuer.algorithms, from_file=True)
        assert isinstance(keys, KeySet), keys
        return Issuers([issuer]).with_keys(self.name, keys)

    def header(self, **changes: Any) -> dict[str, Any]:
        """The good header with members changed; None takes one away."""
        return changed({"alg": "ES256", "typ": "at+jwt", "kid": "ec-1"}, changes)

    def payload(self, **changes: Any) -> dict[str, Any]:
        """The good payload with members changed; None takes one away."""
        good = {
            "iss": self.name,
            "aud": self.audience,
            "sub": "c42",
            "jti": "t-1",
            "iat": self.unix_s - 60,
            "exp": self.unix_s + 3_540,
        }
        return changed(good, changes)

    def sign(self, header: bytes, payload: bytes, alg: str = "ES256", key: Any = None) -> str:
        """Sign any bytes as header and payload."""
        signed = f"{b64(header)}.{b64(payload)}"
        return f"{signed}.{b64(MODELS[alg].sign(signed.encode(), key or self.ec))}"

    def token(self, header: dict[str, Any] | None = None, payload: dict[str, Any] | None = None) -> str:
        """A good token with members of header and payload changed; None takes a member away."""
        return self.sign(dump(self.header(**(header or {}))), dump(self.payload(**(payload or {}))))

    def hmac(self, header: dict[str, Any], secret: bytes) -> str:
        """Sign with HS256 and any bytes as secret: joserfc itself refuses public keys as secrets."""
        signed = f"{b64(dump(self.header(**header)))}.{b64(dump(self.payload()))}"
        return f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def changed(good: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def attacks(forge: Forge) -> list[Attack]:
    """Build the list. A number may have more than one token; every number from 1 to 56 has one."""
    return [
        *_alg(forge),
        *_none(forge),
        *_embedded_key(forge),
        *_kid(forge),
        *_json(forge),
        *_base64(forge),
        *_claims(forge),
        *_signature(forge),
        *_other(forge),
    ]


def further_attacks(forge: Forge) -> list[Attack]:
    """Build what is beside the numbered list."""
    now = forge.unix_s
    return [
        Attack(0, "nbf in an hour", forge.token(payload={"nbf": now + 3_600}), "J13"),
        Attack(0, "a life of 25 hours", forge.token(payload={"exp": now - 60 + 90_000}), "J13"),
        Attack(0, "empty crit", forge.token({"crit": []}), "J5"),
        Attack(0, "an id token", forge.token({"typ": "JWT"}), "J6"),
        Attack(0, "bound by cnf", forge.token(payload={"cnf": {"jkt": "x"}}), "J17"),
        Attack(0, "33 patterns", forge.token(payload={"tidewire": {"read": ["a"] * 33}}), "J16"),
    ]


def _alg(forge: Forge) -> list[Attack]:
    payload = dump(forge.payload())

    def rsa(alg: str, kid: str) -> str:
        return forge.sign(dump(forge.header(alg=alg, kid=kid)), payload, alg, forge.rsa)

    jwk_text = dump(forge.rsa.as_dict(private=False))
    es384 = ECKey.generate_key("P-384")
    return [
        Attack(1, "HS256 with the RSA PEM", forge.hmac({"alg": "HS256", "kid": "rsa-1"}, forge.rsa.as_pem()), "J4"),
        Attack(2, "HS256 with the EC PEM", forge.hmac({"alg": "HS256"}, forge.ec.as_pem()), "J4"),
        Attack(3, "HS256 with the JWK text", forge.hmac({"alg": "HS256", "kid": "rsa-1"}, jwk_text), "J4"),
        Attack(4, "RS256 naming an EC key", rsa("RS256", "ec-1"), "J4"),
        Attack(5, "PS256 on a key set to RS256", rsa("PS256", "rsa-1"), "J4"),
        Attack(6, "ES384 on P-256", forge.sign(dump(forge.header(alg="ES384")), payload, "ES384", es384), "J4"),
        Attack(7, "alg a list", forge.token({"alg": ["ES256"]}), "J4"),
        Attack(8, "alg missing", forge.token({"alg": None}), "J4"),
    ]


def _none(forge: Forge) -> list[Attack]:
    def unsigned(alg: str, signature: str) -> str:
        return f"{b64(dump(forge.header(alg=alg)))}.{b64(dump(forge.payload()))}.{signature}"

    old = forge.token().rsplit(".", 1)[1]
    return [
        Attack(9, "none, no signature", unsigned("none", ""), "J2"),
        Attack(10, "none, old signature", unsigned("none", old), "J4"),
        Attack(11, "None", unsigned("None", old), "J4"),
        Attack(12, "NONE", unsigned("NONE", old), "J4"),
        Attack(13, "nOnE", unsigned("nOnE", old), "J4"),
    ]


def _embedded_key(forge: Forge) -> list[Attack]:
    own = ECKey.generate_key("P-256")
    payload = dump(forge.payload())

    def signed_by_own(**header: Any) -> str:
        return forge.sign(dump(forge.header(**header)), payload, key=own)

    return [
        Attack(14, "jwk, signed by it", signed_by_own(jwk=own.as_dict(private=False)), "J5"),
        Attack(15, "jku", signed_by_own(jku="https://evil.test/jwks"), "J5"),
        Attack(16, "x5u", signed_by_own(x5u="https://evil.test/cert"), "J5"),
        Attack(17, "self-signed x5c", signed_by_own(x5c=[_self_signed(own)]), "J5"),
    ]


def _self_signed(key: ECKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "evil")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key, 1, start, start + timedelta(days=36_500))
    assert key.private_key is not None
    certificate = builder.sign(key.private_key, hashes.SHA256())
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def _kid(forge: Forge) -> list[Attack]:
    return [
        Attack(18, "a path", forge.token({"kid": "../../dev/null"}), "J7"),
        Attack(19, "SQL", forge.token({"kid": "' OR 1=1--"}), "J7"),
        Attack(20, "4,000 characters", forge.token({"kid": "k" * 4_000}), "J3"),
        Attack(21, "a number", forge.token({"kid": 7}), "J7"),
        Attack(22, "missing", forge.token({"kid": None}), "J7"),
        Attack(23, "unknown", forge.token({"kid": "ec-2"}), "J7"),
    ]


def _json(forge: Forge) -> list[Attack]:
    header = dump(forge.header())
    payload = dump(forge.payload())

    def with_exp(text: str) -> str:
        return forge.sign(header, dump(forge.payload(exp=None))[:-1] + b',"exp":' + text.encode() + b"}")

    deep = payload[:-1] + b',"x":' + b"[" * 1_000 + b"]" * 1_000 + b"}"
    return [
        Attack(24, "duplicate alg", forge.sign(b'{"alg":"none",' + header[1:], payload), "J3"),
        Attack(25, "duplicate sub", forge.sign(header, b'{"sub":"c1",' + payload[1:]), "J9"),
        Attack(26, "exp NaN", with_exp("NaN"), "J9"),
        Attack(27, "exp of 4,400 digits", with_exp("9" * 4_400), "J9"),
        Attack(28, "exp 1e300", with_exp("1e300"), "J12"),
        Attack(29, "exp a string", with_exp(f'"{forge.unix_s + 60}"'), "J12"),
        Attack(30, "exp true", with_exp("true"), "J12"),
        Attack(31, "exp -1", with_exp("-1"), "J12"),
        Attack(32, "1,000 levels", forge.sign(header, deep), "J9"),
        Attack(33, "byte order mark", forge.sign(header, b"\xef\xbb\xbf" + payload), "J9"),
        Attack(34, "trailing x", forge.sign(header, payload + b"x"), "J9"),
        Attack(35, "UTF-16 header", forge.sign(header.decode().encode("utf-16"), payload), "J3"),
        Attack(36, "payload an array", forge.sign(header, b"[" + payload + b"]"), "J9"),
    ]


def _base64(forge: Forge) -> list[Attack]:
    token = forge.token()
    body, signature = token.rsplit(".", 1)
    while "-" not in signature or "_" not in signature:
        body, signature = forge.token().rsplit(".", 1)
    other_alphabet = signature.replace("-", "+").replace("_", "/")
    # 64 bytes are 86 characters, the last of which has four bits to spare: Q and R stand for the same bits.
    spare = signature[:-1] + chr(ord(signature[-1]) + 1)
    return [
        Attack(37, "padding", f"{token}==", "J2"),
        Attack(38, "+ and /", f"{body}.{other_alphabet}", "J2"),
        Attack(39, "trailing bits", f"{body}.{spare}", "J2"),
        Attack(40, "newline inside", f"{token[:20]}\n{token[20:]}", "J2"),
    ]


def _claims(forge: Forge) -> list[Attack]:
    return [
        Attack(41, "aud of another service", forge.token(payload={"aud": "billing"}), "J11"),
        Attack(42, "aud list without us", forge.token(payload={"aud": ["billing", "mail"]}), "J11"),
        Attack(43, "iss with trailing slash", forge.token(payload={"iss": forge.name + "/"}), "J10"),
        Attack(44, "sub with a dot", forge.token(payload={"sub": "c42.o7"}), "J14"),
        Attack(45, "sub a wildcard", forge.token(payload={"sub": "*"}), "J14"),
        Attack(46, "sub empty", forge.token(payload={"sub": ""}), "J14"),
        Attack(47, "sub with a Cyrillic look-alike", forge.token(payload={"sub": "\u044142"}), "J14"),
        Attack(48, "sub of 10,000 characters", forge.token(payload={"sub": "c" * 10_000}), "J1"),
    ]


def _signature(forge: Forge) -> list[Attack]:
    token = forge.token()
    body, text = token.rsplit(".", 1)
    raw = base64.urlsafe_b64decode(text + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    other = forge.sign(dump(forge.header()), dump(forge.payload()), key=ECKey.generate_key("P-256"))
    return [
        Attack(49, "a byte short", f"{body}.{b64(raw[:-1])}", "J8"),
        Attack(50, "r = s = 0", f"{body}.{b64(bytes(64))}", "J8"),
        Attack(51, "DER", f"{body}.{b64(der)}", "J8"),
        Attack(52, "another key under our kid", other, "J8"),
    ]


def _other(forge: Forge) -> list[Attack]:
    now = forge.unix_s
    bomb = jwe.encrypt_compact(
        {"alg": "ECDH-ES", "enc": "A128CBC-HS256", "zip": "DEF"},
        bytes(250_000),
        forge.ec,
        ["ECDH-ES", "A128CBC-HS256", "DEF"],
    )
    header, payload, signature = forge.token().split(".")
    flattened = json.dumps({"protected": header, "payload": payload, "signature": signature})
    nested = forge.sign(dump(forge.header(cty="JWT")), forge.token().encode())
    return [
        Attack(53, "replay after exp and leeway", forge.token(payload={"exp": now - 30, "iat": now - 900}), "J12"),
        Attack(54, "JWE with a zip bomb", bomb, "J2"),
        Attack(55, "nested JWS", nested, "J5"),
        Attack(55, "JSON serialization", flattened, "J2"),
        Attack(56, "b64 false", forge.token({"b64": False}), "J5"),
        Attack(56, "b64 false with crit", forge.token({"b64": False, "crit": ["b64"]}), "J5"),
    ]

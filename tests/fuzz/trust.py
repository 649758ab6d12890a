"""Decoders that decide about trust: tokens, key sets, sealed fields."""

import base64
import hashlib
import hmac
import json
from typing import get_args

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey
from tidewire_client.keys import DeviceKeys
from tidewire_client.sealed import Reason, open_sealed

from security.issuers import Issuer, Issuers
from security.keys import JWKS_BYTES, JwksRefused, KeySet, parse_jwks
from security.tokens import TOKEN_CHARS, Claims, Refused, verify
from tests.client import sealed_vectors as made
from tests.fuzz.target import Target
from tests.fuzz.wire import JSON_WORDS

NOW_S = 1_800_000_000
SECRET = b"a secret of thirty-two bytes, ok"
GOOD_HEADER = b'{"alg":"HS256","typ":"at+jwt","kid":"k-1"}'
GOOD_PAYLOAD = (
    b'{"iss":"https://id.example","aud":["tidewire"],"sub":"c42","jti":"t-1","iat":1799999990,"exp":1800003600,'
    b'"sid":"s-1","department":"nord","tidewire":{"read":["orders.c42.>"],"publish":[],"tenant":"acme","device":"d1"}}'
)
CHECKS = frozenset(f"J{number}" for number in range(1, 18))
CLOSES = frozenset((4501, 4004))
SECRET_LEAST = 8
"""Shorter parts may stand in a text by chance."""


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _sign(header: bytes, payload: bytes) -> str:
    signed = f"{_b64(header)}.{_b64(payload)}"
    return f"{signed}.{_b64(hmac.digest(SECRET, signed.encode(), hashlib.sha256))}"


def _public_key() -> ECKey:
    """The same one each time, so that a stored input means the same tomorrow."""
    public = ec.derive_private_key(0x7A11, ec.SECP256R1()).public_key()
    return ECKey.import_key(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


GOOD_KEYS = json.dumps(
    {
        "keys": [
            {**_public_key().as_dict(private=False), "kid": "ec-1", "alg": "ES256", "use": "sig"},
            {"kty": "RSA", "kid": "rsa-1", "alg": "RS256", "n": _b64(b"\xc7" + b"\x5a" * 255), "e": "AQAB"},
            {"kty": "OKP", "kid": "ed-1", "crv": "Ed25519", "x": _b64(b"\x11" * 32), "key_ops": ["verify"]},
        ]
    }
).encode()
SHARED_KEYS = json.dumps({"keys": [{"kty": "oct", "kid": "k-1", "alg": "HS256", "k": _b64(SECRET)}]}).encode()


def _issuers() -> Issuers:
    shared = Issuer(name="https://id.example", audience="tidewire", algorithms=("HS256",))
    public = Issuer(name="https://other.example", audience="tidewire")
    keys = [parse_jwks(SHARED_KEYS, algorithms=("HS256",), from_file=True)]
    keys += [parse_jwks(GOOD_KEYS, algorithms=public.algorithms, from_file=True)]
    assert isinstance(keys[0], KeySet)
    assert isinstance(keys[1], KeySet), keys[1]
    return Issuers([shared, public]).with_keys(shared.name, keys[0]).with_keys(public.name, keys[1])


ISSUERS = _issuers()
HEADER_SEEDS = (
    GOOD_HEADER,
    b'{"alg":"ES256","typ":"at+jwt","kid":"ec-1"}',
    b'{"alg":"none","typ":"JWT","kid":"k-1","crit":[],"jwk":{"kty":"oct"}}',
)


def token(data: bytes) -> None:
    """A token as a client sent it (``0``), or a header (``1``) or payload (``2``) with a signature that holds."""
    mode, rest = data[:1], data[1:]
    if mode == b"1":
        text = _sign(rest, GOOD_PAYLOAD)
    elif mode == b"2":
        text = _sign(GOOD_HEADER, rest)
    else:
        text = rest.decode("utf-8", "surrogateescape")
    answer = verify(text, NOW_S, ISSUERS)
    if isinstance(answer, Refused):
        assert answer.check in CHECKS
        assert answer.close in CLOSES
        assert answer.close == 4501 or answer.check == "J12"
    else:
        assert isinstance(answer, Claims)
        assert answer.expires_at > NOW_S
        assert answer.issuer in {"https://id.example", "https://other.example"}
        hash(answer.principal)
    assert all(part not in repr(answer) for part in text.split(".") if len(part) >= SECRET_LEAST), "it shows the token"


def jwks(data: bytes) -> None:
    """A key set, from a URL and from a file."""
    for from_file, algorithms in (
        (False, ("RS256", "PS256", "ES256", "EdDSA")),
        (True, ("HS256",)),
        (True, ("ES512",)),
    ):
        answer = parse_jwks(data, algorithms=algorithms, from_file=from_file)
        if isinstance(answer, KeySet):
            assert 0 < len(answer) <= 32
            for key in answer.by_kid.values():
                assert not key.verifies(b"signed", b"\0" * 64)
        else:
            assert isinstance(answer, JwksRefused)
            assert len(answer.message) < 300
        shown = repr(answer)
        for name in (b'"k":"', b'"d":"', b'"n":"', b'"x":"'):
            for part in data.split(name)[1:]:
                secret = part.partition(b'"')[0].decode("utf-8", "replace")
                assert len(secret) < SECRET_LEAST or secret not in shown, "it shows a key"


KEYS = DeviceKeys.from_jwks(json.dumps({"keys": made.KEYS}))
_CONTACT = made.jwk("contact")
REASONS = frozenset(get_args(Reason))


def sealed(data: bytes) -> None:
    """An event's data (``0``), or the plaintext (``1``) or header (``2``) of a class sealed with a good key."""
    mode, rest = data[:1], data[1:]
    try:
        if mode == b"1":
            value: object = _with(made.jwe(made.header("contact"), rest, _CONTACT))
        elif mode == b"2":
            value = _with(made.jwe(rest, made.CONTACT, _CONTACT))
        else:
            value = json.loads(rest)
        before = repr(value)
    except (ValueError, RecursionError):
        return
    for expected in (None, {"contact": ["/contact/mail"], "other": ["/a/b", "no pointer"]}):
        opened = open_sealed(
            value, subject=made.SUBJECT, message_id=made.MESSAGE_ID, keys=KEYS, tenant="acme", expected=expected
        )
        assert repr(value) == before, "the event's own data does not change"
        assert set(opened.shut.values()) <= REASONS
        assert not set(opened.opened) & opened.shut.keys(), "a class is open or shut"
        assert not isinstance(opened.data, dict) or "$sealed" not in opened.data
        json.dumps(opened.data)


def _with(compact: str) -> dict[str, object]:
    return made.CLEAR | {"$sealed": {"contact": compact, "health": made.GOOD_HEALTH}}


def _seeds(mode: bytes, *texts: bytes) -> tuple[bytes, ...]:
    return tuple(mode + text for text in texts)


def _sealed_seeds() -> tuple[bytes, ...]:
    vectors = json.loads(made.PATH.read_text("utf-8"))["vectors"]
    datas = [json.dumps(vector["data"]).encode() for vector in vectors]
    fields: tuple[object, ...] = (made.CONTACT, made.HEALTH, {"/a": 1, "/a/b": 2}, {"": 1}, [])
    plaintexts = [made.compact_json(each) for each in fields]
    headers = [made.compact_json(made.header(name)) for name in ("contact", "health")]
    small = [data for data in datas if len(data) < 3_000]
    return (*_seeds(b"0", *small), *_seeds(b"1", *plaintexts), *_seeds(b"2", *headers))


_TOKENS = (
    *_seeds(b"0", *(_sign(header, GOOD_PAYLOAD).encode() for header in HEADER_SEEDS)),
    *_seeds(b"1", *HEADER_SEEDS),
    *_seeds(b"2", GOOD_PAYLOAD, b"[]", b'{"exp":1e300}', GOOD_PAYLOAD.replace(b"1800003600", b"1799999998")),
)
_CLAIMS = (b'"iss":', b'"aud":', b'"exp":', b'"nbf":', b'"cnf":', b'"sub":', b'"tidewire":{', b'"read":["', b'"kid":')
_MEMBERS = (b'"kty":"', b'"crv":"', b'"x":"', b'"n":"', b'"k":"', b'"kid":"', b'"alg":"', b'"use":"', b"P-256", b"oct")
_POINTERS = (
    b'"$sealed":',
    b'"/contact/mail":',
    b"~0",
    b"~1",
    b"/-",
    b"..",
    b'"cls":"',
    b'"kid":"',
    b"eyJ",
    b"/$sealed",
)

_OF_KEYS = (b'{"keys":[',)

TARGETS = (
    Target("token", token, _TOKENS, TOKEN_CHARS + 100, (*JSON_WORDS, *_CLAIMS, b".", b"=", b"-_"), (b"0", b"1", b"2")),
    Target(
        "jwks", jwks, (GOOD_KEYS, SHARED_KEYS, b'{"keys":[]}'), JWKS_BYTES, (*JSON_WORDS, *_MEMBERS), (b'{"keys":[',)
    ),
    Target("sealed", sealed, _sealed_seeds(), 1_048_576, (*JSON_WORDS, *_POINTERS), (b"0", b"1", b"2")),
)

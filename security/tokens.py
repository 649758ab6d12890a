"""Pure: a token becomes claims, or a refusal that names the check it failed.

J1 to J17, in this order; the first failure ends it. A guard of our own stands before the library, because JOSE
libraries differ in what they let pass (any ``typ``, ignored ``jku`` and ``jwk``, the last of duplicate keys, UTF-16,
NaN, an empty ``crit``), and because cost comes before proof: nothing is decoded before its size is known, nothing is
looked up by what the token says except a key id, in a dictionary, and no claim is read before the signature holds.

  J1 size      J2 form   J3 header  J4 alg   J5 param   J6 typ   J7 kid   J8 signature   J9 payload
  J10 iss      J11 aud   J12 exp    J13 time J14 sub    J15 id   J16 claims              J17 cnf

A client learns the close code alone, never the check (no oracle). The ``reason`` is for a metric's label.
docs/security.md S6 says what each is against. RFC 7515, RFC 7519, RFC 8725 (best practices), RFC 9068 (access tokens).
"""

import base64
import re
from collections.abc import Mapping
from typing import Final, TypeGuard

import msgspec

from security.issuers import Issuer, Issuers, plain_typ
from security.keys import Key, canonical_algorithm, is_kid
from security.strict_json import NotStrict, decode
from security.subjects import is_pattern
from security.templates import is_name

TOKEN_CHARS: Final = 8_192  # J1
HEADER_BYTES: Final = 1_024  # J3, decoded
HEADER_DEPTH: Final = 4
PAYLOAD_BYTES: Final = 6_144  # J9, decoded; more would not fit in J1's 8 KiB of text either
PAYLOAD_DEPTH: Final = 8
AUDIENCES: Final = 16  # J11
LIFETIME_S: Final = 86_400  # J13: from iat to exp
LEEWAY_S: Final = 5.0  # J12, J13: how far clocks may differ
LEEWAY_LIMIT_S: Final = 30.0
PATTERNS: Final = 32  # J16: in each list

UNAUTHORIZED: Final = 4501
EXPIRED: Final = 4004

_SEGMENTS: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_REFUSED_PARAMETERS: Final = frozenset({"crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc", "cty"})
_OUR_LISTS: Final = ("read", "publish", "request")
_OUR_NAMES: Final = ("tenant", "device")
_CHECKED: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "cnf", "tidewire"})
_NO_TEMPLATE: Final = _CHECKED.union(_OUR_NAMES)  # a claim beside `tidewire` never stands in for its members


class Refused(msgspec.Struct, frozen=True):
    """A token is not taken."""

    reason: str
    """The label of the metric: a fixed word."""
    check: str
    """``J1`` to ``J17``."""
    close: int = UNAUTHORIZED
    """4501, or 4004 when the token was good until a moment ago: the client refreshes and comes back."""
    unknown_kid: bool = False
    """The token names a well-formed key id that no issuer has: a fetch of the key sets may find it."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified token says. Two issuers' equal subjects are two principals."""

    issuer: str
    subject: str
    token_id: str
    issued_at: int
    """Unix seconds."""
    expires_at: int
    """Unix seconds; nothing is delivered after it."""
    sid: str | None = None
    tenant: str | None = None
    device: str | None = None
    read: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    request: tuple[str, ...] = ()
    names: Mapping[str, str] = {}
    """Other claims of the token whose values fit the grammar of names, for templates."""

    @property
    def principal(self) -> tuple[str, str]:
        """(issuer, subject): who this is."""
        return self.issuer, self.subject

    def __repr__(self) -> str:
        return f"Claims(issuer={self.issuer!r}, expires_at={self.expires_at})"


class _Form(msgspec.Struct, frozen=True):
    """A token taken apart, nothing in it believed."""

    header: str
    """As it stands in the token."""
    payload: bytes
    signature: bytes
    signed: bytes

    def __repr__(self) -> str:
        return "_Form(***)"


def verify(token: object, unix_s: float, issuers: Issuers, *, leeway_s: float | None = None) -> Claims | Refused:
    """Check a token as a client sent it, at ``unix_s`` (Unix seconds); ``leeway_s`` instead of its issuer's.

    Never raises, whatever ``token`` is. Whether its subject, device or tenant is revoked is asked afterwards by the
    caller, in the same step of the loop in which the session becomes revocable; such a refusal closes with 4510.
    """
    assert leeway_s is None or 0 <= leeway_s <= LEEWAY_LIMIT_S, "leeway_s is 0 to 30"
    form = _take_apart(token)
    if isinstance(form, Refused):
        return form
    found = issuers.recall(form.header) or _find_key(form.header, issuers)
    if isinstance(found, Refused):
        return found
    issuer, key = found
    leeway_s = issuer.leeway_s if leeway_s is None else leeway_s
    if not key.verifies(form.signed, form.signature):
        return Refused("signature", "J8")
    issuers.remember(form.header, found)  # only now: no stranger fills the memory
    try:
        payload = decode(form.payload, max_bytes=PAYLOAD_BYTES, max_depth=PAYLOAD_DEPTH)
    except NotStrict:
        return Refused("payload", "J9")
    if not isinstance(payload, dict):
        return Refused("payload", "J9")
    return _refuse_payload(payload, unix_s, issuer, leeway_s) or _claims(payload)


def _take_apart(token: object) -> _Form | Refused:
    """J1 and J2: small, three segments, each in the one spelling that base64url has for its bytes."""
    if not isinstance(token, str) or len(token) > TOKEN_CHARS or not token.isascii():
        return Refused("size", "J1")
    segments = _SEGMENTS.fullmatch(token)
    if segments is None:
        return Refused("form", "J2")
    header, payload, signature = segments[1], _decode_segment(segments[2]), _decode_segment(segments[3])
    if payload is None or signature is None:
        return Refused("form", "J2")
    return _Form(header, payload, signature, token[: segments.end(2)].encode("ascii"))


def _decode_segment(segment: str) -> bytes | None:
    if len(segment) % 4 == 1:
        return None
    data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    spelled = base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
    return data if spelled == segment else None  # trailing bits that are not zero make a second spelling


def _read_header(segment: str) -> dict[str, object] | Refused:
    """J2 and J3."""
    data = _decode_segment(segment)
    if data is None:
        return Refused("form", "J2")
    try:
        header = decode(data, max_bytes=HEADER_BYTES, max_depth=HEADER_DEPTH)
    except NotStrict:
        return Refused("header", "J3")
    return header if isinstance(header, dict) else Refused("header", "J3")


def _find_key(segment: str, issuers: Issuers) -> tuple[Issuer, Key] | Refused:
    """J2 to J7: the header is strict, asks for nothing that we do not do, and names one key that we hold."""
    header = _read_header(segment)
    if isinstance(header, Refused):
        return header
    alg = header.get("alg")
    if not isinstance(alg, str) or canonical_algorithm(alg) not in issuers.algorithms:
        return Refused("alg", "J4")
    if _REFUSED_PARAMETERS & header.keys():
        return Refused("param", "J5")
    typ = header.get("typ")
    if not isinstance(typ, str) or plain_typ(typ) not in issuers.typs:
        return Refused("typ", "J6")
    kid: object = header.get("kid")
    if not is_kid(kid):
        return Refused("kid", "J7")
    found = issuers.find(kid)
    if found is None:
        return Refused("kid", "J7", unknown_kid=True)
    issuer, key = found
    if canonical_algorithm(alg) != key.alg:  # J4 again: now against the key's own
        return Refused("alg", "J4")
    if plain_typ(typ) != plain_typ(issuer.typ):
        return Refused("typ", "J6")
    return found


def _refuse_payload(payload: dict[str, object], unix_s: float, issuer: Issuer, leeway_s: float) -> Refused | None:
    """J10 to J17, over the payload of a token whose signature holds."""
    if payload.get("iss") != issuer.name:
        return Refused("iss", "J10")
    if not _is_for_us(payload.get("aud"), issuer.audience):
        return Refused("aud", "J11")
    return (
        _refuse_times(payload, unix_s, leeway_s)
        or _refuse_identity(payload)
        or _refuse_permissions(payload.get("tidewire", {}))
        or (Refused("cnf", "J17") if "cnf" in payload else None)
    )


def _is_for_us(aud: object, audience: str) -> bool:
    if isinstance(aud, list):
        return 0 < len(aud) <= AUDIENCES and all(isinstance(name, str) for name in aud) and audience in aud
    return isinstance(aud, str) and aud == audience


def _refuse_times(payload: dict[str, object], unix_s: float, leeway_s: float) -> Refused | None:
    """J12 and J13. Integers only: a bool is an int to Python, and a float or string is somebody's mistake."""
    exp = payload.get("exp")
    if not _is_int(exp):
        return Refused("exp", "J12")
    if exp <= unix_s:
        return Refused("exp", "J12", EXPIRED if unix_s - exp <= leeway_s else UNAUTHORIZED)
    iat = payload.get("iat")
    if not _is_int(iat) or iat > unix_s + leeway_s or exp - iat > LIFETIME_S:
        return Refused("time", "J13")
    nbf = payload.get("nbf", 0)
    if not _is_int(nbf) or nbf > unix_s + leeway_s:
        return Refused("time", "J13")
    return None


def _is_int(value: object) -> TypeGuard[int]:
    return type(value) is int


def _refuse_identity(payload: dict[str, object]) -> Refused | None:
    """J14 and the grammar of J15. What is named here becomes subject tokens, names of consumers and keys."""
    if not is_name(payload.get("sub")):
        return Refused("sub", "J14")
    if not is_name(payload.get("jti")) or not is_name(payload.get("sid", "-")):
        return Refused("id", "J15")
    return None


def _refuse_permissions(ours: object) -> Refused | None:
    """J16: nothing in ``tidewire`` that we do not know, for it could be meant to restrict."""
    if not isinstance(ours, dict) or not ours.keys() <= {*_OUR_LISTS, *_OUR_NAMES}:
        return Refused("claims", "J16")
    for member in _OUR_LISTS:
        patterns = ours.get(member, [])
        if not isinstance(patterns, list) or len(patterns) > PATTERNS or not all(map(is_pattern, patterns)):
            return Refused("claims", "J16")
    if not all(is_name(ours.get(member, "-")) for member in _OUR_NAMES):
        return Refused("claims", "J16")
    return None


def _claims(payload: dict[str, object]) -> Claims:
    """Give a checked payload its types. Here a failure is a bug: the checks above let something through."""
    names = {name: value for name, value in payload.items() if name not in _NO_TEMPLATE and is_name(value)}
    ours = payload.get("tidewire", {})
    assert isinstance(ours, dict)
    return msgspec.convert(
        {
            "issuer": payload["iss"],
            "subject": payload["sub"],
            "token_id": payload["jti"],
            "sid": payload.get("sid"),
            "issued_at": payload["iat"],
            "expires_at": payload["exp"],
            "names": names,
            **ours,
        },
        Claims,
    )

"""Pure: the public keys of an issuer, read from a JWK Set (RFC 7517), and signatures checked with one of them.

What is refused, and why: a set is refused whole when something in it says that its maker is careless or hostile
(private members, duplicate key ids, short keys, shared secrets where anybody could have put them). Keys that are merely
not for us (for encryption, of an unknown type, of an algorithm that the issuer's configuration does not name) are
left out, as RFC 7517 5 asks. Which algorithm a key serves is settled here, once, and never by a token.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from security.strict_json import NotStrict, decode

JWKS_BYTES: Final = 65_536  # longest JWK Set
JWKS_KEYS: Final = 32  # most keys in one, used or not
KID_CHARS: Final = 128  # longest key id, printable ASCII
RSA_BITS: Final = (2_048, 16_384)  # shortest: RFC 7518 3.3; longest: what a verification may cost

EDDSA: Final = "EdDSA"  # our one name for EdDSA with Ed25519, which RFC 9864 calls Ed25519
_SECRET_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518 3.2: as long as the hash
_CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": EDDSA}
_KINDS: Final = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    "EC": frozenset({"ES256", "ES384", "ES512"}),
    "OKP": frozenset({EDDSA}),
    "oct": frozenset(_SECRET_BYTES),
}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
_PUBLIC: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}
_PUBLIC_KEY_MARKS: Final = (b"---- BEGIN ", b"-----BEGIN ", b"ssh-", b"ecdsa-sha2-")

ALGORITHMS: Final = frozenset[str]().union(*_KINDS.values())  # every algorithm that can be configured


def canonical_algorithm(name: str) -> str:
    """Give our name for an algorithm: ``Ed25519`` (RFC 9864) and ``EdDSA`` (RFC 8037) are one."""
    return EDDSA if name == "Ed25519" else name


def is_kid(value: object) -> TypeGuard[str]:
    """Say whether ``value`` can name a key: 1 to 128 printable ASCII characters."""
    return isinstance(value, str) and 0 < len(value) <= KID_CHARS and value.isascii() and value.isprintable()


class Key(msgspec.Struct, frozen=True):
    """One key of an issuer: its id, the one algorithm it serves, and the key itself."""

    kid: str
    alg: str
    material: Any  # of joserfc; may be a shared secret, so it is never shown

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Say whether ``signature`` is this key's over ``signed``, by this key's algorithm. Never raises."""
        model = JWSRegistry.algorithms["Ed25519" if self.alg == EDDSA else self.alg]
        try:
            return model.verify(signed, signature, self.material)
        except (JoseError, ValueError, OverflowError):  # a signature of a form the library cannot take
            return False

    def __repr__(self) -> str:
        return f"Key(kid={self.kid!r}, alg={self.alg!r})"


class KeySet(msgspec.Struct, frozen=True):
    """The keys of one issuer, by id. Immutable: a refreshed set replaces the old one."""

    by_kid: Mapping[str, Key] = {}

    def __len__(self) -> int:
        return len(self.by_kid)


class JwksRefused(msgspec.Struct, frozen=True):
    """A JWK Set is not taken. ``message`` says what is wrong and where, for an operator; it quotes no key."""

    message: str


class _Problem(Exception):
    """Carries the reason out of the reading of one key."""


def parse_jwks(data: bytes, *, algorithms: tuple[str, ...], from_file: bool) -> KeySet | JwksRefused:
    """Read a JWK Set for an issuer whose tokens may be signed by ``algorithms``.

    ``from_file`` says that a person put it on our disk: only then may it hold a shared secret (``oct``),
    and then nothing else. A set without a usable key is refused too, so that an empty answer never replaces good keys.
    """
    try:
        document = decode(data, max_bytes=JWKS_BYTES, max_depth=8)
    except NotStrict as error:
        return JwksRefused(f"the key set is no strict JSON: {error}")
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list) or len(members) > JWKS_KEYS:
        return JwksRefused(f"the key set needs `keys`, a list of at most {JWKS_KEYS}")
    allowed = frozenset(map(canonical_algorithm, algorithms))
    keys: dict[str, Key] = {}
    seen: set[str] = set()
    for place, member in enumerate(members):
        try:
            key = _read_key(member, allowed, seen, from_file=from_file)
        except _Problem as problem:
            return JwksRefused(f"keys[{place}]: {problem}")
        if key is not None:
            keys[key.kid] = key
    if not keys:
        return JwksRefused("the key set holds no key for the issuer's algorithms")
    if len(members) > 1 and any(isinstance(key.material, OctKey) for key in keys.values()):
        return JwksRefused("a shared secret (oct) must be alone in its key set")
    return KeySet(keys)


def _read_key(member: object, allowed: frozenset[str], seen: set[str], *, from_file: bool) -> Key | None:
    """Read one JWK; None when it is not for us. Raises _Problem when the whole set must be refused."""
    if not isinstance(member, dict):
        raise _Problem("not an object")
    kid: object = member.get("kid")
    if not is_kid(kid):
        raise _Problem(f"`kid` must be 1 to {KID_CHARS} printable ASCII characters")
    if kid in seen:
        raise _Problem("this `kid` is there twice")
    seen.add(kid)
    private = sorted(_PRIVATE & member.keys())
    if private:
        raise _Problem(f"private member `{private[0]}`: publish the public key alone, and replace this one")
    kind = member.get("kty")
    if kind == "oct" and not from_file:
        raise _Problem("a shared secret (oct) is taken from a file only")
    if not isinstance(kind, str) or kind not in _KINDS or not _is_for_signatures(member):
        return None
    alg = _settle_algorithm(kind, member, allowed)
    if alg not in allowed:
        return None
    return Key(kid, alg, _material(kind, alg, member))


def _is_for_signatures(member: dict[str, object]) -> bool:
    operations = member.get("key_ops", ["verify"])
    return member.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _settle_algorithm(kind: str, member: dict[str, object], allowed: frozenset[str]) -> str | None:
    """Give the key's algorithm: by its curve, else by its ``alg``, else by the issuer's only one of that kind."""
    named = member.get("alg")
    if named is not None and not isinstance(named, str):
        raise _Problem("`alg` must be a string")
    settled = canonical_algorithm(named) if named is not None else None
    if kind in ("EC", "OKP"):
        curve = member.get("crv")
        by_curve = _CURVES.get(curve) if isinstance(curve, str) else None
        if by_curve is None or by_curve not in _KINDS[kind]:
            return None  # another curve: not for us
        if settled not in (None, by_curve):
            raise _Problem("`alg` does not belong to `crv`")
        return by_curve
    if settled is None:
        choices = sorted(_KINDS[kind] & allowed)
        if len(choices) > 1:
            raise _Problem(f"no `alg`, and the issuer's algorithms leave {' and '.join(choices)} open")
        return choices[0] if choices else None
    return settled if settled in _KINDS[kind] else None


def _material(kind: str, alg: str, member: dict[str, object]) -> RSAKey | ECKey | OKPKey | OctKey:
    """Import the key from those members alone that it is made of."""
    parts = {name: part for name in _PUBLIC[kind] if isinstance(part := member.get(name), str)}
    if len(parts) < len(_PUBLIC[kind]):
        raise _Problem(f"needs the strings {', '.join(_PUBLIC[kind])}")
    _check_size(kind, alg, parts)  # before the import: the library warns of weak keys, and takes them
    types: dict[str, type[RSAKey | ECKey | OKPKey | OctKey]] = {
        "RSA": RSAKey,
        "EC": ECKey,
        "OKP": OKPKey,
        "oct": OctKey,
    }
    try:
        key = types[kind].import_key({"kty": kind, **parts})
        _ = key.public_key  # fail here when the library finds fault with it, not in front of a client
    except (JoseError, ValueError, TypeError, IndexError, OverflowError):
        raise _Problem("this is no valid key") from None
    return key


def _check_size(kind: str, alg: str, parts: dict[str, str]) -> None:
    """Refuse a modulus or a shared secret of the wrong length, and a public key that poses as a secret."""
    if kind == "RSA" and not RSA_BITS[0] <= int.from_bytes(_raw(parts["n"]), "big").bit_length() <= RSA_BITS[1]:
        raise _Problem(f"RSA keys have {RSA_BITS[0]} to {RSA_BITS[1]} bits")
    if kind == "oct":
        secret = _raw(parts["k"])
        if len(secret) < _SECRET_BYTES[alg]:
            raise _Problem(f"a shared secret for {alg} has at least {_SECRET_BYTES[alg]} bytes")
        if any(mark in secret for mark in _PUBLIC_KEY_MARKS):
            raise _Problem("a public key is no shared secret")


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except ValueError:
        raise _Problem("this is no valid key") from None

"""Shell: takes declared fields out of an event's data and seals them, one compact JWE a class (RFC 7516, RFC 7518).

A shell for one reason: the random 96-bit IV is drawn here. An IV that a caller could pass in is one that it could
repeat, and a repeated IV gives a GCM key away. Nothing else here is impure: no clock, file, log or state.

AES-GCM is ``cryptography``'s. What is left of a JWE with ``dir`` is the joining of five parts (RFC 7516 7.1); the
readers of it, joserfc and WebCrypto in the clients, are what it is tested against.
"""

import base64
import re
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec

from security import pointers, strict_json
from security.errors import LimitReached
from security.keyring import SealingKey
from security.policy import CLASSES, POINTERS, CannotSeal

__all__ = ["CannotSeal", "seal"]

PLAIN_BYTES: Final = 49_152  # most plaintext of one class; its base64url is 65,536, what joserfc opens by default
PLAIN_DEPTH: Final = 32  # most nested arrays and objects in it, the outermost object counted
HEADER_BYTES: Final = 2_048  # longest protected header, in base64url
MESSAGE_ID_BYTES: Final = 256  # longest message id, in printable ASCII
PAD_BYTES: Final = 256  # step of the optional padding
IV_BYTES: Final = 12  # RFC 7518 5.3
TAG_BYTES: Final = 16  # RFC 7518 5.3

_MESSAGE_ID: Final = re.compile(r"[!-~]{1,256}")


def seal(
    data: object,
    *,
    subject: str,
    message_id: str | None,
    declared: Mapping[str, tuple[str, ...]],
    keys: Mapping[str, SealingKey],
    unix_s: float,
    pad: bool = False,
) -> object:
    """Seal the declared fields of ``data``; give the data to publish. ``data`` itself does not change.

    Args:
        data: JSON values as msgspec's ``to_builtins`` makes them.
        subject: the NATS subject it goes to; the sealed fields open nowhere else.
        message_id: its ``Nats-Msg-Id``, 1 to 256 printable ASCII characters; they open under no other.
        declared: class to pointers, from ``Policy.declared(subject)``.
        keys: class to the key that seals it, from ``KeyRing.sealing_keys``; only classes with a value need one.
        unix_s: now, in Unix seconds.
        pad: hide lengths by padding each plaintext to steps of 256 bytes.

    What is declared and absent is left out (``Policy.missing`` tells). Afterwards nothing declared is left in clear:
    raises CannotSeal where that is impossible, LimitReached for 17 classes, 65 fields or 49,153 bytes.
    """
    if not declared or not isinstance(data, Mapping):
        return data
    if pointers.SEALED in data:
        raise CannotSeal(f"{subject}: data has a {pointers.SEALED} member already")
    if len(declared) > CLASSES:
        raise LimitReached(f"{subject}: more than sealed_classes ({CLASSES}) classes")
    _refuse_blocked(data, subject, declared)
    sealed: dict[str, str] = {}
    rest: dict[str, object] = dict(data)
    for field_class, wanted in declared.items():
        taken, rest = pointers.take(rest, sorted(wanted))
        if not taken:
            continue
        if message_id is None or not _MESSAGE_ID.fullmatch(message_id):
            raise CannotSeal(f"{subject}: sealing needs a message id, 1 to {MESSAGE_ID_BYTES} of printable ASCII")
        key = keys.get(field_class)
        if key is None or key.field_class != field_class:
            raise CannotSeal(f"{subject}: no key for class {field_class}")
        header = {
            "alg": "dir",
            "enc": "A256GCM",
            "kid": key.kid,
            "sub": subject,
            "mid": message_id,
            "cls": field_class,
            "iat": int(unix_s),
        }
        plaintext = _plaintext(taken, f"{subject}: class {field_class}", pad=pad)
        sealed[field_class] = _encrypt(header, plaintext, key)
    if sealed:
        rest[pointers.SEALED] = sealed
    return rest


def _encrypt(header: Mapping[str, object], plaintext: bytes, key: SealingKey) -> str:
    """Give the compact form: header, no encrypted key, IV, ciphertext, tag; the header is authenticated (7516 5.1)."""
    protected = _base64url(msgspec.json.encode(header))
    if len(protected) > HEADER_BYTES:
        raise LimitReached(f"a sealed field's header is longer than {HEADER_BYTES} bytes")
    iv = secrets.token_bytes(IV_BYTES)
    box = key.aead.encrypt(iv, plaintext, protected)
    parts = (protected, b"", _base64url(iv), _base64url(box[:-TAG_BYTES]), _base64url(box[-TAG_BYTES:]))
    return b".".join(parts).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _refuse_blocked(data: Mapping[str, object], subject: str, declared: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse data of another shape than declared: a value may hide where no pointer reaches it."""
    for wanted in declared.values():
        for pointer in wanted:
            if pointers.blocked(data, pointers.tokens_of(pointer)):
                raise CannotSeal(f"{subject}: something above {pointer} is no object; declare it to be sealed whole")


def _plaintext(taken: Mapping[str, object], where: str, *, pad: bool) -> bytes:
    """Write a class as JSON: pointers by code point (``taken`` is sorted), no spaces but the padding at the end."""
    if len(taken) > POINTERS:
        raise LimitReached(f"{where}: more than sealed_pointers ({POINTERS}) fields")
    plaintext = msgspec.json.encode(taken)
    if pad:
        plaintext += b" " * (-len(plaintext) % PAD_BYTES)
    if len(plaintext) > PLAIN_BYTES:
        raise LimitReached(f"{where}: more than sealed_plain_bytes ({PLAIN_BYTES})")
    if strict_json.depth_exceeds(plaintext, PLAIN_DEPTH):
        raise LimitReached(f"{where}: nested deeper than {PLAIN_DEPTH}")
    return plaintext

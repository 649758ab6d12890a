"""Pure: puts sealed fields back into an event's data (P5.4 to P5.6). Nothing that a sender writes makes it raise.

A class opens as a whole or stays shut with one named reason; the other classes and the clear part are not harmed.
The reasons, in the order of the checks, so that every client names the same one:

=============  ========================================================================================
``form``       ``$sealed`` is no object; a class is no compact JWE: five segments, strict base64url, the
               second empty, an IV of 12 and a tag of 16 bytes
``limit``      17 classes, 65 fields, 48 KiB of plaintext or 32 levels are exceeded
``header``     the protected header is no strict JSON, or has not exactly the seven members and their types
``algorithm``  it is not ``dir`` and ``A256GCM``
``class``      it names another class
``subject``    it names another subject: the class was moved here from another event
``message_id`` it names another message id, or the event has none
``no_key``     this device does not hold the key
``key_scope``  the key is for another class or tenant
``no_joserfc`` the optional extra ``sealed`` is not installed
``decrypt``    the key does not open it: it was changed
``plaintext``  what was sealed is no strict JSON object with 1 or more members
``pointer``    a pointer is none to an object member, or points to the whole data or into ``$sealed``
``collision``  a pointer is another one, or its ancestor, in this or another class: all of them stay shut
``parent``     there is no object to put a value into
``exists``     a value is there in clear already
=============  ========================================================================================

And from what the program expects: ``in_clear`` (a declared field is there in clear: it is taken away) and ``missing``
(a declared class is not there). What concerns ``$sealed`` itself stands under the name ``$sealed``.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NoReturn, Protocol

import msgspec

SEALED: Final = "$sealed"
CLASSES: Final = 16  # most classes of one event
POINTERS: Final = 64  # most fields of one class
PLAIN_BYTES: Final = 49_152  # most plaintext of one class
PLAIN_DEPTH: Final = 32  # most nested arrays and objects in it, the outermost object counted
HEADER_BYTES: Final = 2_048  # longest protected header, in base64url
POINTER_TOKENS: Final = 16  # most tokens of a pointer
POINTER_BYTES: Final = 256  # longest pointer

Reason = Literal[
    "form",
    "limit",
    "header",
    "algorithm",
    "class",
    "subject",
    "message_id",
    "no_key",
    "key_scope",
    "no_joserfc",
    "decrypt",
    "plaintext",
    "pointer",
    "collision",
    "parent",
    "exists",
    "in_clear",
    "missing",
]
Tokens = tuple[str, ...]  # the decoded tokens of a pointer
Fields = dict[Tokens, Any]  # what one class holds

_MEMBERS: Final = {"alg": str, "enc": str, "kid": str, "sub": str, "mid": str, "cls": str, "iat": int}
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")
_CIPHERTEXT_LETTERS: Final = PLAIN_BYTES * 4 // 3
_IV_BYTES: Final = 12
_TAG_BYTES: Final = 16
_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)  # an unfinished one too: it never has to try again
_HEADER_DEPTH: Final = 1


class HeldKey(Protocol):
    """One key of this device, as ``keys.DeviceKey`` is."""

    field_class: str
    tenant: str

    def reveal(self) -> bytes:
        """Give its 32 bytes."""


class HeldKeys(Protocol):
    """The keys of this device, as ``keys.DeviceKeys`` are."""

    def get(self, kid: str) -> HeldKey | None:
        """Give the key named ``kid``; None when it is not held."""


class Opened(msgspec.Struct, frozen=True):
    """An event's data after opening.

    data: the clear part with the opened fields put back, without ``$sealed``.
    opened: the classes that opened, sorted.
    shut: those that did not, each with its reason.
    """

    data: Any
    opened: tuple[str, ...]
    shut: dict[str, Reason]


def open_sealed(
    data: Any,
    *,
    subject: str,
    message_id: str | None,
    keys: HeldKeys,
    tenant: str | None = None,
    expected: Mapping[str, Iterable[str]] | None = None,
) -> Opened:
    """Open every class of ``data`` that this device can, all or nothing per class. ``data`` itself does not change.

    Args:
        data: an event's data, any JSON value.
        subject: the event's subject; what was sealed for another does not open.
        message_id: the event's ``id``; the same.
        keys: what this device holds.
        tenant: when given, keys of other tenants do not count.
        expected: class to pointers that must be sealed in events of this subject. The reader says so, never the
            message: such a field in clear is taken away, and a class that is absent is reported.
    """
    if not isinstance(data, dict):
        return Opened(data, (), dict.fromkeys(sorted(expected or ()), "missing"))
    draft = _Draft({name: value for name, value in data.items() if name != SEALED})
    sealed, shut = _classes(data)
    shut.update(_broken_promises(expected or {}, sealed, draft))
    held: dict[str, Fields] = {}
    for name, compact in sealed.items():
        if name not in shut:
            fields = _open(compact, name, subject, message_id, keys, tenant)
            if isinstance(fields, str):
                shut[name] = fields
            else:
                held[name] = fields
    shut.update(_unfit(held, draft))
    opened = sorted(held.keys() - shut.keys())
    for name in opened:
        for tokens, value in held[name].items():
            draft.put(tokens, value)
    return Opened(draft.data, tuple(opened), shut)


def _classes(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Reason]]:
    """Give the sealed classes, sorted by name, or why there are none to look at."""
    if SEALED not in data:
        return {}, {}
    sealed = data[SEALED]
    if not isinstance(sealed, dict) or not all(isinstance(name, str) for name in sealed):
        return {}, {SEALED: "form"}
    if len(sealed) > CLASSES:
        return {}, {SEALED: "limit"}
    return dict(sorted(sealed.items())), {}


def _broken_promises(
    expected: Mapping[str, Iterable[str]], sealed: Mapping[str, Any], draft: "_Draft"
) -> dict[str, Reason]:
    """Take declared fields that are there in clear away, and say which declared classes are so, or are not there."""
    shut: dict[str, Reason] = {}
    for name in sorted(expected):
        for pointer in expected[name]:
            tokens = _tokens(pointer)
            if tokens is not None and draft.has(tokens):
                draft.remove(tokens)
                shut[name] = "in_clear"
        if name not in sealed:
            shut.setdefault(name, "missing")
    return shut


def _open(
    compact: object, name: str, subject: str, message_id: str | None, keys: HeldKeys, tenant: str | None
) -> Fields | Reason:
    """Open one class: its fields, or the first check that failed."""
    header = _header(compact)
    if isinstance(header, str):
        return header
    if (header["alg"], header["enc"]) != ("dir", "A256GCM"):
        return "algorithm"
    if header["cls"] != name:
        return "class"
    if header["sub"] != subject:
        return "subject"
    if message_id is None or header["mid"] != message_id:
        return "message_id"
    key = keys.get(header["kid"])  # one key, no trial of several: GCM does not commit to its key
    if key is None:
        return "no_key"
    if key.field_class != name or (tenant is not None and key.tenant != tenant):
        return "key_scope"
    try:
        from tidewire_client.jose import decrypt  # noqa: PLC0415 - an optional extra
    except ImportError:
        return "no_joserfc"
    plaintext = decrypt(str(compact), key.reveal())
    return "decrypt" if plaintext is None else _fields(plaintext)


def _header(compact: object) -> dict[str, Any] | Reason:
    """Check the form of a compact JWE and give its protected header: exactly the seven members, of their types."""
    segments = compact.split(".") if isinstance(compact, str) else []
    if len(segments) != 5 or segments[1]:
        return "form"
    protected, _, iv, ciphertext, tag = segments
    if len(ciphertext) > _CIPHERTEXT_LETTERS or len(protected) > HEADER_BYTES:
        return "limit"
    decoded = _decode(protected), _decode(iv), _decode(ciphertext), _decode(tag)
    if None in decoded or len(decoded[1] or b"") != _IV_BYTES or len(decoded[3] or b"") != _TAG_BYTES:
        return "form"
    header = _strict_json(decoded[0] or b"", _HEADER_DEPTH)
    if not isinstance(header, dict) or header.keys() != _MEMBERS.keys():
        return "header"
    if any(type(header[member]) is not kind for member, kind in _MEMBERS.items()) or header["iat"] < 0:
        return "header"
    return header


def _fields(plaintext: bytes) -> Fields | Reason:
    if len(plaintext) > PLAIN_BYTES or _depth_exceeds(plaintext, PLAIN_DEPTH):
        return "limit"
    members = _strict_json(plaintext, PLAIN_DEPTH)
    if not isinstance(members, dict) or not members:
        return "plaintext"
    if len(members) > POINTERS:
        return "limit"
    fields: Fields = {}
    for pointer, value in members.items():
        tokens = _tokens(pointer)
        if tokens is None:
            return "pointer"
        fields[tokens] = value
    return fields


def _unfit(held: Mapping[str, Fields], draft: "_Draft") -> dict[str, Reason]:
    """Say which opened classes cannot be put back. Whatever order classes come in, the answer is the same."""
    shut: dict[str, Reason] = {}
    owners: dict[Tokens, set[str]] = {}
    for name, fields in held.items():
        for tokens in fields:
            owners.setdefault(tokens, set()).add(name)
    for tokens, names in owners.items():
        if len(names) > 1:
            shut.update(dict.fromkeys(names, "collision"))
        for length in range(1, len(tokens)):
            if tokens[:length] in owners:
                shut.update(dict.fromkeys(names | owners[tokens[:length]], "collision"))
    for name in held.keys() - shut.keys():
        if not all(draft.has_parent(tokens) for tokens in held[name]):
            shut[name] = "parent"
        elif any(draft.has(tokens) for tokens in held[name]):
            shut[name] = "exists"
    return shut


class _Draft:
    """Data that is being changed: objects are copied when first touched, so that the event's own data stays."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self._ours = {id(data)}

    def has_parent(self, tokens: Tokens) -> bool:
        return isinstance(self._look(tokens[:-1]), dict)

    def has(self, tokens: Tokens) -> bool:
        parent = self._look(tokens[:-1])
        return isinstance(parent, dict) and tokens[-1] in parent

    def put(self, tokens: Tokens, value: object) -> None:
        self._own(tokens[:-1])[tokens[-1]] = value

    def remove(self, tokens: Tokens) -> None:
        del self._own(tokens[:-1])[tokens[-1]]

    def _look(self, tokens: Tokens) -> object:
        place: object = self.data
        for token in tokens:
            if not isinstance(place, dict) or token not in place:
                return None
            place = place[token]
        return place

    def _own(self, tokens: Tokens) -> dict[str, Any]:
        place = self.data
        for token in tokens:
            child = place[token]
            if id(child) not in self._ours:
                child = dict(child)
                self._ours.add(id(child))
                place[token] = child
            place = child
        return place


def _tokens(pointer: str) -> Tokens | None:
    """Take an RFC 6901 pointer to an object member apart; None for any other."""
    if not pointer.startswith("/") or _BAD_ESCAPE.search(pointer):
        return None
    tokens = tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))
    if len(tokens) > POINTER_TOKENS or len(pointer.encode()) > POINTER_BYTES or tokens[0] == SEALED or "-" in tokens:
        return None
    return tokens


def _decode(segment: str) -> bytes | None:
    """Decode base64url in its one spelling: not empty, no padding, no stray bits at the end (RFC 4648 3.5)."""
    if not _BASE64URL.fullmatch(segment):
        return None
    try:
        decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        return None
    return decoded if base64.urlsafe_b64encode(decoded).rstrip(b"=") == segment.encode() else None


def _strict_json(text: bytes, depth: int) -> object:
    """Decode JSON in UTF-8 without duplicate keys, NaN, infinity or lone surrogates; None when it is not that."""
    if _depth_exceeds(text, depth):
        return None
    try:
        value: object = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_integer,
        )
        if b"\\u" in text:  # only an escape can make a lone surrogate, which would break the program later
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except ValueError:
        return None
    return value


def _depth_exceeds(text: bytes, limit: int) -> bool:
    if text.count(b"[") + text.count(b"{") <= limit:
        return False  # nearly always
    depth = 0
    for byte in _STRING.sub(b"", text):
        if byte in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif byte in b"]}":
            depth -= 1
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _refuse(_name: str) -> NoReturn:
    raise ValueError


def _integer(digits: str) -> int:
    _finite(digits)  # what other languages read as infinite is refused here too
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError
    return value

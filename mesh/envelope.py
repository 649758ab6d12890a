"""Pure: from an event to the message that carries it: subject, headers, payload. Declared fields are sealed.

An event is a ``msgspec.Struct``, any value that has a JSON form, or bytes that are the payload already. Every message
has an id: JetStream stores one id once within the duplicate window, sealed fields are bound to it, clients may tell
repeats by it. Where nothing is declared for a subject, the payload is the event's JSON and nothing else is looked at.
"""

import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

from mesh.event import MESSAGE_ID
from security import pointers, strict_json, subjects
from security.errors import ConfigurationError, LimitReached, TidewireError
from security.keyring import KeyRing, SealingKey
from security.policy import Policy, rules_of

PAYLOAD_BYTES = 1_048_576
"""Bytes of an event, headers and payload, as nats-server's ``max_payload`` counts them."""

FRAME_BYTES = len(b"NATS/1.0\r\n\r\n")
"""Bytes of a header block without headers (NATS ADR-4); a header takes four more than its name and value."""

RANDOM_BYTES = 16
"""Randomness in a message id that is made here: 128 bits."""

SEALED_DEPTH = 32
"""How deep objects and arrays nest at most in bytes that are taken apart for sealing."""

_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,256}")  # printable ASCII without spaces, as sealing binds it
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,4096}")


class CannotPublish(TidewireError):
    """The event can never be published as it is. The message says why, and holds nothing of the event's data."""


class Seal(Protocol):
    """``security.sealing.seal``: given by the shell, because sealing draws randomness."""

    def __call__(
        self,
        data: object,
        *,
        subject: str,
        message_id: str | None,
        declared: Mapping[str, tuple[str, ...]],
        keys: Mapping[str, SealingKey],
        unix_s: float,
        pad: bool = False,
    ) -> object:
        """Give ``data`` with the declared fields sealed."""
        ...


class Message(msgspec.Struct, frozen=True):
    """What is published. Its text form shows no payload."""

    subject: str
    headers: dict[str, str]
    payload: bytes
    message_id: str
    size_bytes: int
    """Header block and payload together."""

    def __repr__(self) -> str:
        return f"Message(subject={self.subject!r}, message_id={self.message_id!r}, size_bytes={self.size_bytes})"


class Envelopes:
    """Makes messages, by one policy and one key ring.

    policy: which fields are sealed; None: none are, except that a Struct with fields marked ``Sensitive`` is refused.
    keys: the sealing keys; needed for the subjects that the policy names.
    tenant: whose keys they are.
    payload_bytes: most bytes of headers and payload together.
    pad: hide the length of sealed values in steps of 256 bytes.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        keys: KeyRing | None = None,
        *,
        tenant: str = "default",
        payload_bytes: int = PAYLOAD_BYTES,
        pad: bool = False,
    ) -> None:
        self._policy = policy or Policy()
        self._keys = keys if keys is not None else KeyRing()
        self._tenant = tenant
        self._payload_bytes = payload_bytes
        self._pad = pad
        self._marked: dict[type[msgspec.Struct], tuple[str, ...]] = {}  # pointers of sensitive fields, by type

    def message(
        self,
        subject: str,
        event: object,
        *,
        random: bytes,
        unix_s: float,
        seal: Seal,
        message_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Message:
        """Make the message of one event.

        Args:
            subject: a literal subject.
            event: a Struct, a JSON value, or bytes (the payload as it is; a JSON object where fields are declared).
            random: 16 fresh random bytes, used when there is no ``message_id``.
            unix_s: now, in Unix seconds.
            seal: ``security.sealing.seal``.
            message_id: 1 to 256 printable ASCII characters without spaces, the same for each repeat of this event.
            headers: carried along, such as ``traceparent`` (W3C Trace Context). Names that begin with ``Nats-`` are
                refused: they tell the server what to do.

        Raises CannotPublish, CannotSeal, LimitReached (``payload_bytes``, or a key's epoch), ConfigurationError (a key
        is missing). After any of them nothing was made; what is declared never stays in clear.
        """
        if not subjects.is_subject(subject):
            raise CannotPublish(f"{subject!r} is no subject: 1 to 16 tokens, 256 bytes, no spaces and no wildcards")
        assert len(random) >= RANDOM_BYTES, "an id of ours has 128 random bits"
        ident = random.hex() if message_id is None else message_id
        if not _MESSAGE_ID.fullmatch(ident):
            raise CannotPublish(f"{subject}: a message id is 1 to 256 printable ASCII characters without spaces")
        carried = _carried(subject, ident, headers)
        payload = self._payload(subject, event, ident, unix_s, seal)
        size_bytes = len(payload) + FRAME_BYTES + sum(len(name) + len(value) + 4 for name, value in carried.items())
        if size_bytes > self._payload_bytes:
            raise LimitReached(f"{subject}: {size_bytes} bytes are more than payload_bytes ({self._payload_bytes})")
        return Message(subject, carried, payload, ident, size_bytes)

    def _payload(self, subject: str, event: object, message_id: str, unix_s: float, seal: Seal) -> bytes:
        declared = self._policy.declared(subject)
        if isinstance(event, msgspec.Struct):
            self._refuse_undeclared(subject, type(event), declared)
        if not declared:
            return event if isinstance(event, bytes) else _encode(subject, event)
        data = self._data(subject, event)
        classes = [name for name, places in declared.items() if any(_exists(data, place) for place in places)]
        owner = self._policy.data_subject(subject)
        if classes and owner is None:
            raise CannotPublish(f"{subject}: its rules name no person ({{...}} in the pattern): no key can seal it")
        keys = self._keys.sealing_keys(self._tenant, owner or "", classes, unix_s)
        sealed = seal(
            data, subject=subject, message_id=message_id, declared=declared, keys=keys, unix_s=unix_s, pad=self._pad
        )
        if leaks := self._policy.leaks(subject, sealed):  # the last look, whatever sealing did
            raise CannotPublish(f"{subject}: {', '.join(leaks)} would be in clear")
        return _encode(subject, sealed)

    def _data(self, subject: str, event: object) -> dict[str, object]:
        """The event as an object that can be taken apart."""
        if isinstance(event, bytes):
            try:
                data = strict_json.decode(event, max_bytes=self._payload_bytes, max_depth=SEALED_DEPTH)
            except strict_json.NotStrict as refusal:
                raise CannotPublish(f"{subject}: has declared fields, and is no strict JSON: {refusal}") from None
        else:
            data = msgspec.json.decode(_encode(subject, event))
        if not isinstance(data, dict):
            raise CannotPublish(f"{subject}: has declared fields, and the event is no object: a value may hide in it")
        return data

    def _refuse_undeclared(
        self, subject: str, kind: type[msgspec.Struct], declared: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Refuse a Struct whose sensitive fields the policy does not seal on this subject."""
        if kind not in self._marked:
            self._marked[kind] = tuple(rule.pointer for rule in rules_of(">", kind))
        covered = [place for places in declared.values() for place in places]
        for pointer in self._marked[kind]:
            if not any(pointer == place or pointer.startswith(f"{place}/") for place in covered):
                raise ConfigurationError(
                    f"{subject}: {kind.__name__} marks {pointer} as sensitive, and the policy does not seal it there; "
                    "add rules_of(pattern, the Struct) to the policy"
                )


def _exists(data: dict[str, object], pointer: str) -> bool:
    return pointers.exists(data, pointers.parse(pointer) or ())


def _encode(subject: str, event: object) -> bytes:
    try:
        return msgspec.json.encode(event)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise CannotPublish(f"{subject}: the event has no JSON form ({type(error).__name__})") from None


def _carried(subject: str, message_id: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    carried = {MESSAGE_ID: message_id}
    for name, value in (headers or {}).items():
        if not _HEADER_NAME.fullmatch(name) or name.lower().startswith("nats-"):
            raise CannotPublish(f"{subject}: {name!r} is no header that an event may carry")
        if not _HEADER_VALUE.fullmatch(value):
            raise CannotPublish(f"{subject}: header {name}: at most 4,096 printable ASCII characters")
        carried[name] = value
    return carried

"""Pure: the sealing keys a process holds, by key id and by whom, what and when they seal.

A sealing key belongs to one (tenant, data subject, class, epoch). Its file is a JWK Set (RFC 7517) of ``oct`` keys
with ``kid``, ``k``, ``alg`` and members of our own: ``tidewire_tenant``, ``tidewire_subject``, ``tidewire_class``,
``tidewire_epoch``, ``tidewire_created`` (Unix seconds). Reading and writing files is the job of ``keyfile``.
"""

import base64
import json
import re
from collections.abc import Iterable
from typing import Final, NoReturn

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc.jwk import OctKey

from security import strict_json
from security.errors import ConfigurationError, LimitReached

EPOCH_S: Final = 7 * 24 * 3600  # how long an epoch seals, in seconds
EPOCH_MESSAGES: Final = 2**20  # how many messages it seals: random IVs collide with a chance of 2^-57 (SP 800-38D 8.3)
KEYFILE_BYTES: Final = 64 * 2**20  # largest key file, in bytes
KEY_BYTES: Final = 32  # A256GCM

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class SealingKey:
    """One sealing key: 256 bits for one (tenant, data subject, class, epoch). It never shows its bytes.

    created: Unix seconds from which the epoch counts.
    """

    __slots__ = ("aead", "created", "data_subject", "epoch", "field_class", "jwk", "kid", "tenant")

    def __init__(
        self, kid: str, key: bytes, *, tenant: str, data_subject: str, field_class: str, epoch: int, created: int
    ) -> None:
        names = (kid, tenant, data_subject, field_class)
        if not all(_NAME.fullmatch(name) for name in names):
            raise ConfigurationError("sealing key: kid, tenant, subject and class are 1 to 128 of A-Za-z0-9_-")
        if epoch < 0 or created < 0:
            raise ConfigurationError(f"sealing key {kid}: epoch and created are whole numbers from 0")
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"sealing key {kid}: a key has {KEY_BYTES} bytes")
        self.kid = kid
        self.tenant = tenant
        self.data_subject = data_subject
        self.field_class = field_class
        self.epoch = epoch
        self.created = created
        # Not import_key: it first tries to read the bytes as PEM and DER, five times.
        self.jwk = OctKey(key, key)
        self.aead = AESGCM(key)

    @property
    def owner(self) -> tuple[str, str, str]:
        """Whom and what it protects, whatever the epoch: (tenant, data subject, class)."""
        return self.tenant, self.data_subject, self.field_class

    def __repr__(self) -> str:
        return f"SealingKey({self.kid}, class {self.field_class}, epoch {self.epoch})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a SealingKey is not pickled or copied")


class KeyRing:
    """The keys a process holds. It counts what each seals; the count starts anew with the process.

    epoch_s: seconds that an epoch seals, from its ``created``. Default 7 days.
    epoch_messages: messages that it seals in this process. Default 2^20.
    """

    def __init__(
        self, keys: Iterable[SealingKey] = (), *, epoch_s: int = EPOCH_S, epoch_messages: int = EPOCH_MESSAGES
    ) -> None:
        self._epoch_s = epoch_s
        self._epoch_messages = epoch_messages
        self._by_kid: dict[str, SealingKey] = {}
        self._by_owner: dict[tuple[str, str, str], list[SealingKey]] = {}  # newest epoch first
        self._sealed: dict[str, int] = {}  # messages by kid
        for key in keys:
            self.add(key)

    def add(self, key: SealingKey) -> None:
        """Hold one more key. Raises ConfigurationError for a ``kid`` or an epoch that is held already."""
        others = self._by_owner.get(key.owner, [])
        if key.kid in self._by_kid or any(other.epoch == key.epoch for other in others):
            raise ConfigurationError(f"sealing key {key.kid}: its kid or its epoch is there twice")
        self._by_kid[key.kid] = key
        self._by_owner[key.owner] = sorted([*others, key], key=lambda held: -held.epoch)

    def sealing_key(self, tenant: str, data_subject: str, field_class: str, unix_s: float) -> SealingKey:
        """Give the key that seals one message now, and count that message: the newest epoch that has begun.

        Raises ConfigurationError when there is none, LimitReached when its time or count is over: an older epoch
        never takes over, so the remedy is a new one (``add``).
        """
        for key in self._by_owner.get((tenant, data_subject, field_class), ()):
            if key.created <= unix_s:
                self._count(key, unix_s)
                return key
        raise ConfigurationError(f"no sealing key for class {field_class} of that person; add it to the key file")

    def sealing_keys(
        self, tenant: str, data_subject: str, classes: Iterable[str], unix_s: float
    ) -> dict[str, SealingKey]:
        """Give ``sealing_key`` for each class: what ``sealing.seal`` takes."""
        return {name: self.sealing_key(tenant, data_subject, name, unix_s) for name in classes}

    def opening(self, kid: str) -> SealingKey | None:
        """Give the key named ``kid``, of whatever epoch; None when it is not held."""
        return self._by_kid.get(kid)

    def newest(self, tenant: str, data_subject: str, field_class: str) -> SealingKey | None:
        """Give the key of the newest epoch, begun or not, without counting; None when there is none."""
        held = self._by_owner.get((tenant, data_subject, field_class))
        return held[0] if held else None

    def __len__(self) -> int:
        return len(self._by_kid)

    def __repr__(self) -> str:
        return f"KeyRing({len(self)} keys)"

    def _count(self, key: SealingKey, unix_s: float) -> None:
        if unix_s - key.created >= self._epoch_s:
            raise LimitReached(f"sealing key {key.kid} is older than sealing.epoch_s ({self._epoch_s} s): add an epoch")
        sealed = self._sealed.get(key.kid, 0)
        if sealed >= self._epoch_messages:
            raise LimitReached(
                f"sealing key {key.kid} sealed sealing.epoch_messages ({self._epoch_messages}): add an epoch"
            )
        self._sealed[key.kid] = sealed + 1


def parse_jwks(text: bytes, path: str) -> list[SealingKey]:
    """Read the keys of a JWK Set. Raises ConfigurationError that names ``path`` and the place, and no key."""
    try:
        document = strict_json.decode(text, max_bytes=KEYFILE_BYTES, max_depth=3)
    except strict_json.NotStrict as refusal:
        raise ConfigurationError(f"{path}: is no JWK Set: {refusal}") from None
    rows = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise ConfigurationError(f"{path}: is no JWK Set: it has no list of keys")
    return [_parse_jwk(row, f"{path}: keys[{place}]") for place, row in enumerate(rows)]


def write_jwks(keys: Iterable[SealingKey]) -> bytes:
    """Write keys as a JWK Set, sorted by owner and epoch. The result is secret."""
    rows = [_write_jwk(key) for key in sorted(keys, key=lambda key: (key.owner, key.epoch))]
    return json.dumps({"keys": rows}, indent=1).encode() + b"\n"


def _parse_jwk(row: object, place: str) -> SealingKey:
    if not isinstance(row, dict) or row.get("kty") != "oct" or row.get("alg") != "A256GCM":
        raise ConfigurationError(f'{place}: is no oct key with "alg": "A256GCM"')
    key = row.get("k")
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z0-9_-]{43}", key):
        raise ConfigurationError(f"{place}.k: is not {KEY_BYTES} bytes in base64url")
    try:
        return SealingKey(
            _text(row, "kid"),
            base64.urlsafe_b64decode(key + "="),
            tenant=_text(row, "tidewire_tenant"),
            data_subject=_text(row, "tidewire_subject"),
            field_class=_text(row, "tidewire_class"),
            epoch=_whole(row, "tidewire_epoch"),
            created=_whole(row, "tidewire_created"),
        )
    except ConfigurationError as wrong:
        raise ConfigurationError(f"{place}: {wrong}") from None


def _text(row: dict[str, object], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} is missing or no text")
    return value


def _whole(row: dict[str, object], name: str) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigurationError(f"{name} is missing or no whole number")
    return value


def _write_jwk(key: SealingKey) -> dict[str, object]:
    return {
        "kty": "oct",
        "alg": "A256GCM",
        "kid": key.kid,
        "k": base64.urlsafe_b64encode(key.jwk.raw_value).rstrip(b"=").decode(),
        "tidewire_tenant": key.tenant,
        "tidewire_subject": key.data_subject,
        "tidewire_class": key.field_class,
        "tidewire_epoch": key.epoch,
        "tidewire_created": key.created,
    }

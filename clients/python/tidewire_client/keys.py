"""Shell: the keys of this device, read from a file. ``DeviceKeys`` itself only looks up.

The file is a JWK Set (RFC 7517) of ``oct`` keys with ``kid``, ``k``, ``alg`` ``A256GCM``, ``tidewire_tenant``,
``tidewire_subject``, ``tidewire_class``, ``tidewire_epoch`` and ``tidewire_created``: what the operator of the sealed
fields hands to the devices of one person.
"""

import base64
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NoReturn

from tidewire_client.errors import ClientError

KEYFILE_BYTES: Final = 16 * 2**20  # largest key file, in bytes

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")  # 32 bytes in base64url, in their one spelling
_NAMES: Final = ("kid", "tidewire_tenant", "tidewire_subject", "tidewire_class")


class WrongKeyFile(ClientError):
    """A key file is missing, wrong or readable by others. The message names the place and the remedy, and no key."""


class DeviceKey:
    """One key: it opens one class of one person of one tenant. It never shows its bytes."""

    __slots__ = ("_secret", "data_subject", "field_class", "kid", "tenant")

    def __init__(self, kid: str, secret: bytes, *, tenant: str, data_subject: str, field_class: str) -> None:
        self.kid = kid
        self.tenant = tenant
        self.data_subject = data_subject
        self.field_class = field_class
        self._secret = secret

    def reveal(self) -> bytes:
        """Give the 32 bytes themselves. The only way to them."""
        return self._secret

    def __repr__(self) -> str:
        return f"DeviceKey({self.kid}, class {self.field_class})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a DeviceKey is not pickled or copied")


class DeviceKeys:
    """The keys that this device holds, by key id."""

    def __init__(self, keys: Iterable[DeviceKey] = ()) -> None:
        self._by_kid = {key.kid: key for key in keys}

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "DeviceKeys":
        """Read a key file. Raises WrongKeyFile; also where group or others may read it (POSIX)."""
        return cls.from_jwks(_read_private(Path(path)), str(path))

    @classmethod
    def from_jwks(cls, text: bytes | str, path: str = "keys") -> "DeviceKeys":
        """Read a JWK Set. Raises WrongKeyFile that names ``path`` and the place; a ``kid`` that is there twice too."""
        try:
            document = json.loads(text if isinstance(text, str) else text.decode("utf-8"))
        except (ValueError, RecursionError):
            raise WrongKeyFile(f"{path}: is no JSON in UTF-8") from None
        rows = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(rows, list):
            raise WrongKeyFile(f"{path}: is no JWK Set: it has no list of keys")
        keys = cls(_device_key(row, f"{path}: keys[{place}]") for place, row in enumerate(rows))
        if len(keys) != len(rows):
            raise WrongKeyFile(f"{path}: a kid is there twice")
        return keys

    def get(self, kid: str) -> DeviceKey | None:
        """Give the key named ``kid``; None when this device does not hold it."""
        return self._by_kid.get(kid)

    def wipe(self) -> None:
        """Let go of every key, as after a revocation. Nothing opens any more; the file is the program's to delete."""
        self._by_kid.clear()

    def __len__(self) -> int:
        return len(self._by_kid)

    def __repr__(self) -> str:
        return f"DeviceKeys({len(self)} keys)"


def _device_key(row: object, place: str) -> DeviceKey:
    if not isinstance(row, Mapping) or row.get("kty") != "oct" or row.get("alg") != "A256GCM":
        raise WrongKeyFile(f'{place}: is no oct key with "alg": "A256GCM"')
    names = [row.get(name) for name in _NAMES]
    for name, value in zip(_NAMES, names, strict=True):
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise WrongKeyFile(f"{place}.{name}: is not 1 to 128 of A-Za-z0-9_-")
    secret = row.get("k")
    if not isinstance(secret, str) or not _KEY.fullmatch(secret):
        raise WrongKeyFile(f"{place}.k: is not 32 bytes in base64url")
    kid, tenant, data_subject, field_class = (str(name) for name in names)
    return DeviceKey(
        kid, base64.urlsafe_b64decode(secret + "="), tenant=tenant, data_subject=data_subject, field_class=field_class
    )


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise WrongKeyFile(f"{path}: is readable by others ({mode:04o}); run chmod 600")
            text = file.read(KEYFILE_BYTES + 1)
    except OSError as failure:
        raise WrongKeyFile(f"{path}: cannot be read: {failure.strerror}") from failure
    if len(text) > KEYFILE_BYTES:
        raise WrongKeyFile(f"{path}: is larger than {KEYFILE_BYTES} bytes")
    return text

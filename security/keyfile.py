"""Shell: key files. Reads and writes JWK Sets of sealing keys, and makes keys for development."""

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from security import keyring
from security.errors import ConfigurationError
from security.keyring import KeyRing, SealingKey

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_RENEW_S: Final = 24 * 3600  # ``ensure`` makes the next epoch when less than this is left of the newest


def load(path: Path) -> list[SealingKey]:
    """Read a key file. Raises ConfigurationError when it is missing, wrong, or readable by group or others."""
    return keyring.parse_jwks(_read_private(path), str(path))


def save(path: Path, keys: Iterable[SealingKey]) -> None:
    """Write a key file, mode 0600, in one step: after a crash the old one or the new one is there."""
    text = keyring.write_jwks(keys)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def generate(tenant: str, data_subject: str, field_class: str, epoch: int, unix_s: float) -> SealingKey:
    """Make a sealing key of 256 random bits, named by 128 others: the name says nothing about anybody."""
    return SealingKey(
        secrets.token_urlsafe(16),
        secrets.token_bytes(keyring.KEY_BYTES),
        tenant=tenant,
        data_subject=data_subject,
        field_class=field_class,
        epoch=epoch,
        created=int(unix_s),
    )


def ensure(
    path: Path, tenant: str, data_subject: str, classes: Iterable[str], *, unix_s: float | None = None
) -> list[SealingKey]:
    """Make the keys of a person that the file lacks, for development; give all keys of the file.

    An epoch with less than a day left gets a successor. A file that is complete is not written. One process at a
    time: two that write at once lose one's keys.
    """
    now = time.time() if unix_s is None else unix_s
    keys = load(path) if path.exists() else []
    ring = KeyRing(keys)
    made = []
    for field_class in dict.fromkeys(classes):
        newest = ring.newest(tenant, data_subject, field_class)
        if newest is None or now - newest.created >= keyring.EPOCH_S - _RENEW_S:
            epoch = 1 if newest is None else newest.epoch + 1
            made.append(generate(tenant, data_subject, field_class, epoch, now))
    if made:
        save(path, keys + made)
    return keys + made


def export(path: Path, data_subject: str, to: Path, *, tenant: str | None = None) -> int:
    """Write the keys of one person, as a device of theirs gets them, to the file ``to``; give how many there are.

    ``tenant`` narrows it where two tenants have a person of the same name.
    """
    keys = [key for key in load(path) if key.data_subject == data_subject and (tenant is None or key.tenant == tenant)]
    save(to, keys)
    return len(keys)


def _read_private(path: Path) -> bytes:
    """Read a file that only its owner may: regular, owned by us or root, no access for others."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"{path}: is no regular file")
            if status.st_mode & _OTHERS:
                mode = stat.S_IMODE(status.st_mode)
                raise ConfigurationError(f"{path}: is readable by others ({mode:04o}); run chmod 600")
            if status.st_uid not in (0, os.geteuid()):
                raise ConfigurationError(f"{path}: belongs to another user; run chown")
            return file.read(keyring.KEYFILE_BYTES + 1)
    except OSError as failure:
        raise ConfigurationError(f"{path}: cannot be read: {failure.strerror}") from failure

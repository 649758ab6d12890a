"""Shell: files that hold keys: read only when nobody else can, written so that nobody else ever could.

Written whole or not at all: a temporary file beside it, then a rename (or, to create, a link that fails when another
process was first). A reader never sees half a key.
"""

import os
import secrets
import stat
from pathlib import Path

from security.errors import ConfigurationError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
OTHERS = 0o077
"""What nobody but the owner may do with a file of ours."""
OTHERS_OF_ROOTS = 0o037
"""The same of a file of root's, while we are another user: its group may read."""


def check_private_file(path: Path) -> None:
    """Refuse a key file that others could have read or replaced.

    It must be a regular file (a link to one is fine), owned by us, without any access for group and others, or by
    root, which may let one group read it: so orchestrators hand out secrets, and PostgreSQL has the same rule for its
    keys. Raises ConfigurationError with the remedy.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{path}: is no regular file")
    us = os.geteuid()
    if status.st_uid not in (us, 0):
        raise ConfigurationError(f"{path}: belongs to another user; run chown")
    mode = stat.S_IMODE(status.st_mode)
    if mode & (OTHERS if status.st_uid == us else OTHERS_OF_ROOTS):
        raise ConfigurationError(f"{path}: is readable by others ({mode:04o}); run chmod 600")


def make_private_folder(path: Path) -> None:
    """Make a folder for ourselves alone, with its parents. An existing one must not be writable by others."""
    try:
        path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be made or entered ({error.strerror})") from error
    if mode & 0o022:
        raise ConfigurationError(f"{path}: is writable by others ({mode:04o}); run chmod 700")


def create_once(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Write ``path`` unless it is there already. Of two processes at once, one wins and both find its file."""
    _write(path, data, mode, replace=False)


def replace(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Write ``path``, in place of what is there."""
    _write(path, data, mode, replace=True)


def _write(path: Path, data: bytes, mode: int, *, replace: bool) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        if replace:
            beside.replace(path)
        else:
            path.hardlink_to(beside)
    except FileExistsError:
        pass  # another process was first
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        beside.unlink(missing_ok=True)

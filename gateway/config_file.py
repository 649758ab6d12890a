"""Shell: reads the configuration file, and the files with secrets that it names."""

import tomllib
from pathlib import Path

from gateway.config import Config, Nats
from gateway.config_parse import parse
from security.errors import ConfigurationError
from security.private_file import check_private_file
from security.secret import Secret

MAX_FILE_BYTES = 1_048_576
"""A larger configuration or secret file is not read: it was named by mistake."""


def load(path: Path) -> Config:
    """Read and check a TOML file. Relative paths in it count from its folder.

    Raises ``ConfigurationError`` with one line for each problem, whether the file cannot be read, is not TOML, or says
    something wrong.
    """
    try:
        document = tomllib.loads(read_file(path, "the configuration").decode())
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: is not TOML: {_place(error)}") from None
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        raise ConfigurationError(f"{path}: is nested too deeply, or holds a number that is too long") from None
    return parse(document, str(path.absolute().parent))


def nats_password(nats: Nats) -> Secret | None:
    """The password of the NATS user, read now; None when the configuration names none."""
    if nats.password_file is None:
        return None
    return Secret(read_secret(Path(nats.password_file), "nats.password_file"))


def read_secret(path: Path, name: str) -> str:
    """The text of a file that only its owner may read, without space around it.

    ``name`` is the configuration field, for the message. Raises ``ConfigurationError`` when the file is missing,
    empty, not
    a regular file, or open to others.
    """
    data = read_file(path, name)
    try:
        check_private_file(path)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name}: {path} is not UTF-8 text") from None
    if not text:
        raise ConfigurationError(f"{name}: {path} is empty")
    return text


def read_file(path: Path, name: str) -> bytes:
    """The bytes of a file; ``name`` is the configuration field that names it. Raises ``ConfigurationError``."""
    try:
        if not path.is_file():
            raise ConfigurationError(f"{name}: {path} is no file; check the path")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigurationError(f"{name}: {path} is larger than {MAX_FILE_BYTES:,} bytes; check the path")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{name}: {path} cannot be read: {type(error).__name__}") from error


def _place(error: tomllib.TOMLDecodeError) -> str:
    """Only where: tomllib's text may repeat a part of the file."""
    text = str(error)
    place = text[text.rfind("(") :].strip("()") if "(" in text else ""
    return place if place.startswith(("at line", "at end")) else "check its syntax"

"""Pure: a TOML document to a `Config`, or every problem in it, each by its path.

The reader walks the types of ``gateway.config``: what a field may hold is written there once, as its type. Values of
texts are
never repeated in a problem, since a password that was put in the wrong place would land in a log; numbers and choices
are.
"""

import difflib
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from gateway.config import Config
from gateway.config_rules import contradictions
from security.errors import ConfigurationError

_MISSING = object()


class Problem(NamedTuple):
    """One thing that is wrong: where, and what to do about it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def parse(document: Mapping[str, object], folder: str = "") -> Config:
    """The configuration that a decoded TOML document says.

    ``folder`` is put before relative paths. Raises ``ConfigurationError`` with one line for each problem;
    contradictions
    between fields are looked for once every field alone is right.
    """
    problems: list[Problem] = []
    config = _Reader(folder, problems).struct(inspect.type_info(Config), document, "")
    if not problems:
        assert isinstance(config, Config), "a document without problems makes a Config"
        problems += [Problem(*found) for found in contradictions(config)]
        if not problems:
            return config
    raise ConfigurationError("\n".join(str(problem) for problem in problems))


class _Reader:
    """Walks types and values side by side. A wrong value is noted in ``problems`` and gives None."""

    def __init__(self, folder: str, problems: list[Problem]) -> None:
        self._folder = folder
        self._problems = problems

    def struct(self, kind: inspect.Type, value: object, path: str) -> object:
        assert isinstance(kind, inspect.StructType), "sections are Structs"
        if not isinstance(value, Mapping):
            return self._wrong(path or "the document", "must be a table")
        self._unknown(value, [field.encode_name for field in kind.fields], path)
        found: dict[str, object] = {}
        for field in kind.fields:
            at = f"{path}.{field.encode_name}" if path else field.encode_name
            given = value.get(field.encode_name, _MISSING)
            if given is not _MISSING:
                found[field.name] = self._value(field.type, given, at, path_like=False)
            elif field.required:
                self._wrong(at, "is missing")
        required = {field.name for field in kind.fields if field.required}
        return kind.cls(**found) if required <= found.keys() else None

    def _unknown(self, value: Mapping[Any, object], known: list[str], path: str) -> None:
        for name in value:
            if name in known:
                continue
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
            remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            shown = name if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", str(name)) else ascii(str(name)[:64])
            self._wrong(f"{path}.{shown}" if path else str(shown), f"is unknown; {remedy}")

    def _value(self, kind: inspect.Type, value: object, path: str, *, path_like: bool) -> object:
        match kind:
            case inspect.Metadata():
                extra = kind.extra or {}
                return self._value(kind.type, value, path, path_like=path_like or bool(extra.get("path")))
            case inspect.UnionType():  # only "or none", which TOML cannot say: leave the field out
                inner = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
                return self._value(inner, value, path, path_like=path_like)
            case inspect.StructType():
                return self.struct(kind, value, path)
            case inspect.VarTupleType():
                return self._tuple(kind, value, path)
            case inspect.BoolType():
                return value if isinstance(value, bool) else self._wrong(path, "must be true or false")
            case inspect.LiteralType():
                return self._choice(kind, value, path)
            case inspect.IntType() | inspect.FloatType():
                return self._number(kind, value, path)
            case inspect.StrType():
                return self._text(kind, value, path, path_like=path_like)
            case _:
                raise AssertionError(f"{path}: a field of a type that the reader does not know")

    def _tuple(self, kind: inspect.VarTupleType, value: object, path: str) -> object:
        if not isinstance(value, list | tuple):
            return self._wrong(path, "must be an array")
        least, most = kind.min_length or 0, kind.max_length
        if len(value) < least or (most is not None and len(value) > most):
            entries = f"{least:,} to {most:,} entries" if most is not None else f"at least {least:,} entries"
            return self._wrong(path, f"must have {entries}; has {len(value):,}")
        return tuple(
            self._value(kind.item_type, item, f"{path}[{place}]", path_like=False) for place, item in enumerate(value)
        )

    def _choice(self, kind: inspect.LiteralType, value: object, path: str) -> object:
        if isinstance(value, str | int) and not isinstance(value, bool) and value in kind.values:
            return value
        choices = " or ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in kind.values)
        return self._wrong(path, f"must be {choices}{_seen(value)}")

    def _number(self, kind: inspect.IntType | inspect.FloatType, value: object, path: str) -> object:
        whole = isinstance(kind, inspect.IntType)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return self._wrong(path, f"must be a {'whole number' if whole else 'number'}, {_range(kind)}")
        if not _within(kind, value):
            return self._wrong(path, f"must be {_range(kind)}; is {_shown(value)}")
        return value if whole else float(value)

    def _text(self, kind: inspect.StrType, value: object, path: str, *, path_like: bool) -> object:
        if not isinstance(value, str):
            return self._wrong(path, "must be a text in quotes")
        if any(not char.isprintable() for char in value):
            return self._wrong(path, "must hold no control characters")
        least, most = kind.min_length or 0, kind.max_length or len(value)
        if not least <= len(value) <= most:
            return self._wrong(path, f"must have {least:,} to {most:,} characters; has {len(value):,}")
        if kind.pattern is not None and re.search(kind.pattern, value) is None:
            return self._wrong(path, f"must match {kind.pattern}")
        is_path = path_like and "://" not in value
        return posixpath.join(self._folder, value) if is_path else value

    def _wrong(self, path: str, message: str) -> object:
        """Note a problem; the None goes where the value would have gone, into a `Config` that nobody gets."""
        self._problems.append(Problem(path, message))
        return None


def _seen(value: object) -> str:
    """What stood in the place of a choice; only what cannot be a secret is repeated."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"; is {_shown(value)}"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,16}", value):
        return f'; is "{value}"'
    return ""


def _shown(value: float) -> str:
    """A number as a person reads it; Python refuses to write one of many thousand digits."""
    return f"{value:,}" if abs(value) < 2**64 or value != value else "beyond 64 bits"  # NaN


def _bounds(kind: inspect.IntType | inspect.FloatType) -> Iterator[str]:
    if kind.gt is not None:
        yield f"more than {kind.gt:,}"
    if kind.ge is not None:
        yield f"at least {kind.ge:,}"
    if kind.le is not None:
        yield f"at most {kind.le:,}"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f"{kind.ge:,} to {kind.le:,}"
    return " and ".join(_bounds(kind))


def _within(kind: inspect.IntType | inspect.FloatType, value: float) -> bool:
    """False also for NaN, which compares with nothing."""
    high = 2**63 if kind.le is None else kind.le  # what NATS takes, where we name no limit
    low_holds = value > kind.gt if kind.gt is not None else value >= (kind.ge if kind.ge is not None else -(2**63))
    return low_holds and value <= high


def settings(config: msgspec.Struct) -> Iterator[tuple[str, object]]:
    """Each field of a configuration or section by the name it has in TOML, in order."""
    for field in msgspec.structs.fields(config):
        yield field.encode_name, getattr(config, field.name)

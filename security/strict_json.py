"""Pure: JSON as RFC 8259 writes it and nothing else, for what decides about trust.

Parsers differ in what they let pass: the standard library guesses the encoding of bytes, takes the last of duplicate
keys, NaN, and any depth until the stack ends; msgspec too takes the last of duplicate keys. Where two readers can
differ, one of them can be cheated (RFC 8725 2.4), so what is not strict is refused here.
"""

import functools
import json
import re
from typing import Final, NoReturn

_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_RUNS: Final = re.compile(rb"\[+|\]+")
_OPENING: Final = ord("[")
_LONG_RUN: Final = 16
"""Brackets a pair of runs, from which on it is quicker to go from run to run than to take level after level away."""


class NotStrict(ValueError):
    """The text is no strict JSON. The message is a fixed string: it never quotes the input."""


def decode(data: bytes, *, max_bytes: int, max_depth: int, int_limit: int = 2**53) -> object:
    """Decode strict JSON: UTF-8 without a mark, no duplicate keys at any depth, no NaN or Infinity, no lone surrogates.

    ``max_depth`` counts nested arrays and objects (a flat object has 1). Integers beyond +-``int_limit``
    and numbers too large for a float are refused. Raises NotStrict, and nothing else, whatever the bytes.
    """
    if len(data) > max_bytes:
        raise NotStrict("too long")
    if depth_exceeds(data, max_depth):
        raise NotStrict("too deep")
    try:
        value: object = _decoder(int_limit).decode(data.decode("utf-8"))
        if b"\\u" in data:  # only an escape can make a lone surrogate, which no encoder takes
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except NotStrict:
        raise
    except ValueError:  # bad UTF-8, bad JSON, lone surrogate; their messages quote the input
        raise NotStrict("not JSON in UTF-8") from None
    return value


def has_duplicate_keys(data: bytes) -> bool:
    """Say whether an object in this JSON, at any depth, names a key twice; also when this is no JSON at all.

    Keys are compared as decoded: one that is written with escapes equals one that is not. The caller has bounded
    size and depth.
    """
    try:
        _PAIRS.decode(data.decode("utf-8"))
    except (ValueError, RecursionError):  # NotStrict is a ValueError
        return True
    return False


def depth_exceeds(data: bytes, limit: int) -> bool:
    """Say whether arrays and objects in this JSON nest deeper than ``limit``. Linear in time, whatever the bytes.

    True as well when brackets do not pair up: that is no JSON, and a parser may go as deep as it likes in it.
    Brackets inside strings do not count. Most text ends at the first look: it has no more than ``limit`` openings.
    """
    most = limit + 1  # split looks for one byte far quicker than count does, and stops when it is enough
    if len(data.split(b"[", most)) + len(data.split(b"{", most)) - 2 <= limit:
        return False
    # Without escaped backslashes and escaped quotes, every other piece between quotes is outside of strings.
    outside = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    brackets = b"".join(outside).translate(_BRACKETS, _NOT_BRACKETS)
    for left in range(limit, 0, -1):
        if brackets.count(b"[]") * _LONG_RUN < len(brackets):
            return _climbs_above(brackets, left)
        brackets = brackets.replace(b"[]", b"")  # takes the innermost level away, and a good part of the text
    return bool(brackets)


def _climbs_above(brackets: bytes, limit: int) -> bool:
    """The same of text that is nothing but brackets in long runs."""
    depth = 0
    for run in _RUNS.findall(brackets):
        depth += len(run) if run[0] == _OPENING else -len(run)
        if not 0 <= depth <= limit:
            return True
    return depth != 0


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotStrict("duplicate key")
    return value


@functools.lru_cache(maxsize=8)  # making one costs as much as a token's JSON
def _decoder(int_limit: int) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_object_without_duplicates,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=lambda digits: _integer(digits, int_limit),
    )


_PAIRS: Final = json.JSONDecoder(object_pairs_hook=_object_without_duplicates)


def _refuse_constant(_name: str) -> NoReturn:
    raise NotStrict("NaN or Infinity")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise NotStrict("number too large")
    return value


def _integer(digits: str, limit: int) -> int:
    if len(digits) > len(str(limit)) + 1 or abs(int(digits)) > limit:
        raise NotStrict("integer too large")
    return int(digits)

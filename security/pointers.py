"""Pure: JSON pointers (RFC 6901) to members of objects, and taking such members out of a value.

A sealed field is named by a pointer. Arrays are sealed whole, so a pointer here never enters one: no array index,
no ``-``, never the whole document (``""``), never into ``/$sealed``.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Final

SEALED: Final = "$sealed"  # the member of ``data`` that holds the sealed classes
POINTER_BYTES: Final = 256  # longest pointer, in bytes of UTF-8
POINTER_TOKENS: Final = 16  # most tokens in one

_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_ABSENT: Final = object()
_OBJECT: Final = (dict, Mapping)  # a dict, as nearly always, is told at once; Mapping alone asks an abstract class


def parse(pointer: str) -> tuple[str, ...] | None:
    """Give the decoded tokens of ``pointer``; None when it is no pointer to an object member.

    Refused: ``""``, no leading ``/``, ``~`` not followed by 0 or 1, a token ``-``, anything in ``/$sealed``,
    more than 16 tokens or 256 bytes.
    """
    if not pointer.startswith("/") or _BAD_ESCAPE.search(pointer):
        return None
    if len(pointer.encode("utf-8", "surrogatepass")) > POINTER_BYTES:
        return None
    tokens = tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))
    if len(tokens) > POINTER_TOKENS or tokens[0] == SEALED or "-" in tokens:
        return None
    return tokens


@functools.lru_cache(maxsize=4_096)  # a policy's pointers are the same for every event
def tokens_of(pointer: str) -> tuple[str, ...]:
    """Give the tokens of a pointer that a policy holds, and so is one."""
    tokens = parse(pointer)
    assert tokens is not None, "policies hold valid pointers only"
    return tokens


def escape(token: str) -> str:
    """Write one member name as a token of a pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def is_prefix(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Say whether ``one`` is ``other`` or one of its ancestors."""
    return other[: len(one)] == one


def exists(data: object, tokens: tuple[str, ...]) -> bool:
    """Say whether ``data`` has a member there, whatever its value: null counts, arrays are not entered."""
    return _lookup(data, tokens) is not _ABSENT


def blocked(data: object, tokens: tuple[str, ...]) -> bool:
    """Say whether an ancestor of the member is an array or a scalar, so that the member could not be there."""
    for token in tokens[:-1]:
        if not isinstance(data, _OBJECT):
            break
        data = data.get(token)
    return data is not None and not isinstance(data, _OBJECT)


def take(data: Mapping[str, object], wanted: Iterable[str]) -> tuple[dict[str, object], dict[str, object]]:
    """Split ``data`` into the members at ``wanted`` pointers and the rest. Neither ``data`` nor its parts change.

    Returns (pointer to value for those that exist, in the order given; a copy of ``data`` without them).
    ``wanted`` are pointers that ``parse`` takes; none is a prefix of another.
    """
    rest = dict(data)
    copied = {id(rest)}  # objects that are ours already, so that two pointers below one parent share a copy
    taken: dict[str, object] = {}
    for pointer in wanted:
        tokens = tokens_of(pointer)
        if not exists(rest, tokens):
            continue
        parent = rest
        for token in tokens[:-1]:
            child = parent[token]
            assert isinstance(child, _OBJECT)
            if id(child) not in copied:
                child = dict(child)
                copied.add(id(child))
                parent[token] = child
            parent = child  # type: ignore[assignment]  # a dict of ours
        taken[pointer] = parent.pop(tokens[-1])
    return taken, rest


def _lookup(data: object, tokens: tuple[str, ...]) -> object:
    for token in tokens:
        if not isinstance(data, _OBJECT) or token not in data:
            return _ABSENT
        data = data[token]
    return data

"""Pure: what msgspec does not tell of a MessagePack message from a stranger: its depth, repeated keys, bad texts."""

from itertools import chain
from typing import Any, Final

import msgspec

ITEMS_MOST: Final = 4_096
"""Items that are walked one by one: a stranger decides how many there are."""
MANY: Final = "many"
"""The verdict on a message with more items, of which the rest was not looked at."""

_FIXED = {
    0xC0: 0,
    0xC2: 0,
    0xC3: 0,
    0xCA: 4,
    0xCB: 8,
    0xCC: 1,
    0xCD: 2,
    0xCE: 4,
    0xCF: 8,
    0xD0: 1,
    0xD1: 2,
    0xD2: 4,
    0xD3: 8,
}
_FIXED |= {0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0)}
_SIZED |= {0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}  # extensions hold a type byte more
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_HOLDERS = {0xDC: (2, False), 0xDD: (4, False), 0xDE: (2, True), 0xDF: (4, True)}
_Open = tuple[int, set[str] | None]  # items to come of an array or map; of a map, its keys so far


class _BadError(Exception):
    pass


def scan(message: bytes, depth_most: int) -> str:
    """What is wrong, in fixed words (``depth``, ``duplicate keys``, ``not decodable``), or empty.

    Walks the message once without recursion; nothing is decoded but texts, also those that msgspec would pass over:
    what is not UTF-8 is no text of MessagePack. Format: the MessagePack specification. ``MANY``: ask ``scan_many``.
    """
    try:
        return _walk(message, depth_most)
    except (_BadError, IndexError, UnicodeDecodeError):
        return "not decodable"


def _walk(message: bytes, depth_most: int) -> str:
    at, size, items = 0, len(message), 0
    outer: list[_Open] = []
    left: int = 1
    keys: set[str] | None = None
    while (left or outer) and items <= ITEMS_MOST:
        if not left:
            left, keys = outer.pop()
            continue
        left -= 1
        first = message[at]
        taken = keys if left & 1 else None  # a map's items alternate: key, value
        if 0xA0 <= first <= 0xBF:
            start, at = at + 1, at + 1 + (first & 0x1F)
        elif taken is not None or first in _TEXTS:
            start, at = _long_text(message, at)
        else:
            at, members, is_map = _item(message, at)
            if members is not None:
                if len(outer) == depth_most:
                    return "depth"
                outer.append((left, keys))
                left, keys = members, set() if is_map else None
                items += members
            continue
        if at > size:
            raise _BadError
        text = message[start:at].decode()
        if taken is not None:
            if text in taken:
                return "duplicate keys"
            taken.add(text)
    return MANY if items > ITEMS_MOST else "" if at == size else "not decodable"


def scan_many(message: bytes, depth_most: int) -> str:
    """As ``scan``, for a message with many items; keys that are repeated are not found.

    It is decoded in one go and looked at level by level, which takes a fifth of the time.
    """
    try:
        level: list[Any] = [msgspec.msgpack.decode(message)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "not decodable"
    for _ in range(depth_most + 1):
        kinds = set(map(type, level))
        if not kinds & {list, dict}:
            return ""
        lists = [item for item in level if item and type(item) is list] if list in kinds else []
        maps = [item for item in level if item and type(item) is dict] if dict in kinds else []
        if not set(map(type, chain.from_iterable(maps))) <= {str}:
            return "not decodable"
        level = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, maps))]
    return "depth"


def _long_text(message: bytes, at: int) -> tuple[int, int]:
    """Where a text begins and ends behind a length of its own: the one sort of item that may be a key."""
    width = _TEXTS.get(message[at])
    if width is None:
        raise _BadError
    start = at + 1 + width
    return start, start + _number(message, at + 1, width)


def _item(message: bytes, at: int) -> tuple[int, int | None, bool]:
    """The end of an item's own bytes, how many items it holds (None: it is no array or map), whether it is a map."""
    first = message[at]
    at += 1
    if first in _FIXED:
        return _end(message, at, _FIXED[first]), None, False
    if 0x80 <= first <= 0x9F:
        is_map = first <= 0x8F
        return at, (first & 0x0F) * (2 if is_map else 1), is_map
    if first in _SIZED:
        width, extra = _SIZED[first]
        return _end(message, at + width, _number(message, at, width) + extra), None, False
    if first in _HOLDERS:
        width, is_map = _HOLDERS[first]
        count = _number(message, at, width)
        if count > len(message):  # each item takes a byte at least
            raise _BadError
        return at + width, count * (2 if is_map else 1), is_map
    if first == 0xC1:  # the one byte that the format never uses
        raise _BadError
    return at, None, False  # a small integer


def _number(message: bytes, at: int, width: int) -> int:
    _end(message, at, width)
    return int.from_bytes(message[at : at + width])


def _end(message: bytes, at: int, size: int) -> int:
    if at + size > len(message):
        raise _BadError
    return at + size

"""Pure: what msgspec does not tell of a MessagePack message from a stranger: its depth, and repeated keys."""

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
_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}
_SIZED |= {0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}  # extensions hold a type byte more
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_HOLDERS = {0xDC: (2, False), 0xDD: (4, False), 0xDE: (2, True), 0xDF: (4, True)}


class _BadError(Exception):
    pass


def scan(message: bytes, depth_most: int) -> str:
    """What is wrong, in fixed words (``depth``, ``duplicate keys``, ``not decodable``), or empty.

    Walks the message once without recursion; nothing is decoded but map keys. Format: the MessagePack specification.
    """
    try:
        return _walk(message, depth_most)
    except _BadError:
        return "not decodable"


def _walk(message: bytes, depth_most: int) -> str:
    at = 0
    open_items: list[tuple[int, set[bytes] | None]] = [(1, None)]
    while open_items:
        left, keys = open_items.pop()
        if left == 0:
            continue
        open_items.append((left - 1, keys))
        if keys is not None and left % 2 == 0:  # a map's items alternate: key, value
            at, key = _key(message, at)
            if key in keys:
                return "duplicate keys"
            keys.add(key)
            continue
        at, members, is_map = _item(message, at)
        if members is not None:
            if len(open_items) > depth_most:
                return "depth"
            open_items.append((members, set() if is_map else None))
    return "" if at == len(message) else "not decodable"


def _key(message: bytes, at: int) -> tuple[int, bytes]:
    """The end of a map's key and its text: keys are strings, and one text may spell its length in several ways."""
    if at >= len(message):
        raise _BadError
    first = message[at]
    if 0xA0 <= first <= 0xBF:
        start, size = at + 1, first & 0x1F
    elif first in _TEXTS:
        start, size = at + 1 + _TEXTS[first], _number(message, at + 1, _TEXTS[first])
    else:
        raise _BadError
    end = _end(message, start, size)
    return end, message[start:end]


def _item(message: bytes, at: int) -> tuple[int, int | None, bool]:
    """The end of an item's own bytes, how many items it holds (None: it is no array or map), whether it is a map."""
    if at >= len(message):
        raise _BadError
    first = message[at]
    at += 1
    if first in _FIXED:
        return _end(message, at, _FIXED[first]), None, False
    if 0x80 <= first <= 0xBF:
        if first >= 0xA0:
            return _end(message, at, first & 0x1F), None, False
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

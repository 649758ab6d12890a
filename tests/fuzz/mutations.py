"""Damage as a stranger does it: inputs made of good ones by a few changes, the same for the same seed."""

from collections.abc import Callable, Sequence
from random import Random

CHANGES_MOST = 6
GROWTH_MOST = 4_096
"""Bytes that one repeat may add."""
EDGES = (0, 1, 2, 31, 32, 33, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31, 2**32 - 1, 2**53, 2**63, 2**64 - 1)
"""Numbers at which lengths and counts turn."""


def mutated(seed: bytes, random: Random, others: Sequence[bytes], words: Sequence[bytes] = ()) -> bytes:
    """``seed`` after one to six changes; ``others`` give pieces to splice in."""
    data = bytearray(seed)
    for _ in range(random.randint(1, CHANGES_MOST)):
        random.choice(_CHANGES)(data, random, others, words)
    return bytes(data)


def _place(data: bytearray, random: Random) -> int:
    return random.randint(0, len(data))


def _piece(data: bytes | bytearray, random: Random, most: int = 64) -> bytes:
    start = random.randint(0, len(data))
    return bytes(data[start : start + random.randint(0, most)])


def _flip(data: bytearray, random: Random, others: Sequence[bytes], words: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _replace(data: bytearray, random: Random, others: Sequence[bytes], words: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] = random.randrange(256)


def _cut(data: bytearray, random: Random, others: Sequence[bytes], words: Sequence[bytes]) -> None:
    start = _place(data, random)
    del data[start : start + random.randint(1, 16)]


def _end(data: bytearray, random: Random, others: Sequence[bytes], words: Sequence[bytes]) -> None:
    del data[_place(data, random) :]


def _insert(data: bytearray, random: Random, others: Sequence[bytes], words: Sequence[bytes]) -> None:
    at = _place(data, random)
    data[at:at] = random.randbytes(random.randint(1, 4))


def _word(data: bytearray, random: Random, others: Sequence[bytes], words: Sequence[bytes]) -> None:
    at = _place(data, random)
    data[at : at + random.choice((0, 0, 1, 4))] = random.choice(words) if words else b"\xff"


def _number(data: bytearray, random: Random, others: Sequence[bytes], words: Sequence[bytes]) -> None:
    at, number = _place(data, random), random.choice(EDGES)
    width = random.choice((1, 2, 4, 8))
    text = str(random.choice((number, -number))).encode()
    raw = (number % (1 << (8 * width))).to_bytes(width)
    data[at : at + random.choice((0, width))] = random.choice((text, raw))


def _splice(data: bytearray, random: Random, others: Sequence[bytes], words: Sequence[bytes]) -> None:
    at = _place(data, random)
    data[at : at + random.randint(0, 16)] = _piece(random.choice(others), random, 200) if others else b""


def _repeat(data: bytearray, random: Random, others: Sequence[bytes], words: Sequence[bytes]) -> None:
    piece = _piece(data, random, 12)
    at = _place(data, random)
    if piece:
        data[at:at] = piece * random.randint(1, random.choice((2, 4, 40, GROWTH_MOST // len(piece))))


_CHANGES: tuple[Callable[[bytearray, Random, Sequence[bytes], Sequence[bytes]], None], ...] = (
    _flip,
    _replace,
    _cut,
    _end,
    _insert,
    _word,
    _word,
    _number,
    _splice,
    _repeat,
)

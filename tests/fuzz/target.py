"""What both engines need of a decoder: how it is tried, what it is tried with, and how long it may take."""

from collections.abc import Callable
from typing import NamedTuple


class Target(NamedTuple):
    """One decoder."""

    name: str
    run: Callable[[bytes], None]
    """Decodes the bytes. Raises for anything but a documented answer, which is a failure."""
    seeds: tuple[bytes, ...]
    """Inputs that lead deep into it, good ones and bad ones."""
    bytes_most: int
    """Longest input that the product hands to it."""
    words: tuple[bytes, ...] = ()
    """Pieces that its inputs are made of."""
    starts: tuple[bytes, ...] = (b"",)
    """Behind which the same piece, repeated up to the longest input, may take long."""
    slow_s: float = 0.5
    """Seconds of CPU for the longest input beyond which it counts as not bounded."""

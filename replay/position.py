"""Pure: a position is a stream's identity and a sequence in it. Sequences of different streams do not compare."""

import msgspec


class Position(msgspec.Struct, frozen=True):
    """Everything up to ``seq`` of the stream that ``stream`` names."""

    stream: str
    """Stream identity, opaque, as in ``EVENTS:1795420000123456789``."""
    seq: int
    """Sequence, 0 (before the first event) or more."""

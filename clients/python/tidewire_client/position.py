"""Pure: how far a session has come. Stream identity and sequence are one value, never parted."""

import msgspec


class Position(msgspec.Struct, frozen=True):
    """Everything up to ``seq`` of the stream ``stream`` is processed. Sequences compare within one stream only."""

    stream: str
    seq: int


class Scope(msgspec.Struct, frozen=True):
    """Whose position it is. A position is never used for another gateway, user or session name."""

    url: str
    user: str
    """``iss`` and ``sub`` of the token, as one text; empty when the token is not a JWT."""
    session: str

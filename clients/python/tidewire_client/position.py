"""Pure: how far a session has come. Stream identity and sequence are one value, never parted."""

from typing import Annotated

import msgspec


class Position(msgspec.Struct, frozen=True):
    """Everything up to ``seq`` of the stream ``stream`` is processed. Sequences compare within one stream only."""

    stream: Annotated[str, msgspec.Meta(min_length=1)]
    seq: Annotated[int, msgspec.Meta(ge=0)]


class Scope(msgspec.Struct, frozen=True):
    """Whose position it is. A position is never used for another gateway, user or session name."""

    url: str
    user: str
    """``iss`` and ``sub`` of the token, as one text; empty when the token is not a JWT."""
    session: str

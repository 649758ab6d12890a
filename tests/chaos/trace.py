"""What a device told of itself, line by line: arrays of JSON, the kind first, then the session's name and the time."""

from typing import Any

import msgspec

LEFT = "left"
DIED = "its process ended"
"""Why a device goes away that is well."""


class Begin(msgspec.Struct, frozen=True, array_like=True, tag="begin", tag_field="kind"):
    """A client was made, with what its file had stored."""

    name: str
    at_s: float
    stream: str
    seq: int


class Away(msgspec.Struct, frozen=True, array_like=True, tag="away", tag_field="kind"):
    """The client has closed, or is about to."""

    name: str
    at_s: float
    why: str


class Welcomed(msgspec.Struct, frozen=True, array_like=True, tag="welcome", tag_field="kind"):
    """A ``welcome`` came."""

    name: str
    at_s: float
    connection: int
    stream: str
    outcome: str
    after: int


class WireGap(msgspec.Struct, frozen=True, array_like=True, tag="wire gap", tag_field="kind"):
    """A ``gap`` frame came."""

    name: str
    at_s: float
    connection: int
    after: int
    before: int
    reason: str


class ToldGap(msgspec.Struct, frozen=True, array_like=True, tag="gap", tag_field="kind"):
    """The program was told of a gap, by ``on_gap``."""

    name: str
    at_s: float
    after: int
    before: int
    reason: str


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done", tag_field="kind", gc=False):
    """The program has processed an event."""

    name: str
    at_s: float
    seq: int
    number: int
    subject: str


class State(msgspec.Struct, frozen=True, array_like=True, tag="state", tag_field="kind"):
    """The client is connecting, replaying, live, waiting or closed."""

    name: str
    at_s: float
    state: str


class Wrong(msgspec.Struct, frozen=True, array_like=True, tag="wrong", tag_field="kind"):
    """What must never be: an event that came twice on one connection, or not in rising order."""

    name: str
    at_s: float
    connection: int
    what: str


class Frames(msgspec.Struct, frozen=True, array_like=True, tag="frames", tag_field="kind"):
    """So many events came on the wire since this was said last."""

    name: str
    at_s: float
    events: int


Line = Begin | Away | Welcomed | WireGap | ToldGap | Done | State | Wrong | Frames

decoder: "msgspec.json.Decoder[Line]" = msgspec.json.Decoder(Line)


def text(line: Line) -> str:
    """A line for a person."""
    fields: dict[str, Any] = msgspec.structs.asdict(line)
    at_s = fields.pop("at_s")
    fields.pop("name")
    return f"{at_s:12.3f} {type(line).__name__} " + " ".join(f"{key}={value}" for key, value in fields.items())

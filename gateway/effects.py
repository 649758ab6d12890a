"""Pure: what the session machine wants done. The shell performs effects in order and awaits nothing in between."""

import msgspec


class Save(msgspec.Struct, frozen=True):
    """Store the session's record soon; with ``reply``, at once, and hand that frame over when it is stored."""

    reply: bytes | None = None


class Hold(msgspec.Struct, frozen=True):
    """Tell the hub that the session holds a pattern."""

    pattern: str


class Release(msgspec.Struct, frozen=True):
    """Tell the hub that the session no longer holds a pattern."""

    pattern: str


class ReadDurable(msgspec.Struct, frozen=True):
    """Read on through the durable consumer; answered by ``Session.read`` or ``Session.failed``."""

    after: int
    batch: int
    max_bytes: int
    free_events: int = 0
    """How many events may be sent until half of the window is taken: up to then the session reads on at once."""
    free_bytes: int = 0
    """The same in bytes."""


class VerifyToken(msgspec.Struct, frozen=True):
    """Verify a token from ``refresh``; answered by ``Session.refreshed``."""

    token: str
    id: str | int | None

    def __repr__(self) -> str:
        return "VerifyToken()"


class PumpAgain(msgspec.Struct, frozen=True):
    """Call ``Session.pump`` again in a later turn of the loop: others come first."""


class Close(msgspec.Struct, frozen=True):
    """Write what is in the outbox, then close the WebSocket."""

    code: int


Effect = Save | Hold | Release | ReadDurable | VerifyToken | PumpAgain | Close

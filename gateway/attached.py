"""Pure: what the exchange needs of a connection."""

from collections.abc import Callable
from typing import Protocol

from gateway.session import Session
from replay.record import Owner, Record


class Held(Protocol):
    """A connection's hold on its session's record."""

    claim: str
    claimed_revision: int
    saved_through: int


class Attached(Protocol):
    """A welcomed connection."""

    key: str
    owner: Owner
    session: Session
    is_attached: bool
    held: dict[str, None]

    @property
    def cursor(self) -> Held:
        """Its hold on the session's record."""
        ...

    @property
    def due_s(self) -> float:
        """When the session wants to be called."""
        ...

    def record(self) -> Record:
        """The session's record of now."""
        ...

    def guarded(self, step: Callable[[], None]) -> None:
        """Run a step of this session; a bug in it ends this connection and no other."""
        ...

    def fail(self, before_seq: int | None = None) -> None:
        """A bug was met while this session was served, at an event that was not sent."""
        ...

    def tick(self, now_s: float, unix_s: float) -> None:
        """The session's time has come."""
        ...

    def pump(self) -> None:
        """Read on."""
        ...

    def write(self, messages: bytes) -> None:
        """Write whole messages to the socket, in the place of an outbox that is empty."""
        ...

    def flush(self, unix_s: float) -> None:
        """Write the outbox to the socket."""
        ...

    def save_soon(self) -> None:
        """Store the record within the configured time."""
        ...

    def close(self, code: int, after_ms: int | None = None) -> None:
        """End the session and close the socket."""
        ...

    def lose(self, *, ended: bool) -> None:
        """Another connection holds the session now, or an operator ended it."""
        ...

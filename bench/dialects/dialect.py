"""Pure: what the load client asks of what its clients speak."""

from typing import ClassVar, Protocol

import msgspec

from bench.dialects.event_text import Event


class Reader(msgspec.Struct, frozen=True):
    """Who reads what."""

    number: int
    """Which of the devices it is, from 0."""
    subject: str
    """The one subject that it reads."""
    token: str
    """A token of Tidewire's development issuer; dialects without access control leave it."""
    window: dict[str, int] | None = None
    """What Tidewire's ``connect`` asks for; None: the default."""


class Dialect(Protocol):
    """One device's side of the conversation, over all of its connections. Bytes in and out are of WebSocket messages.

    No clock and no socket: the load client writes ``reply`` whenever it is not empty, and empties it.
    """

    path: ClassVar[str]
    """Of the upgrade."""
    subprotocol: ClassVar[str]
    """Of the upgrade; empty for none."""
    reply: bytes
    """Ready frames that are to be sent now."""
    is_live: bool
    """Whether this connection gets every event from now on."""
    wrong: str
    """What the server said that ends a run; empty as long as all is well."""

    def __init__(self, reader: Reader) -> None: ...

    @property
    def seq(self) -> int:
        """The newest event's sequence; 0 where the dialect has none."""
        ...

    def opened(self) -> None:
        """A new connection is there. The server may speak before ``hello``."""
        ...

    def hello(self) -> bytes:
        """Ready frames that begin on a new connection: from where the last one ended, where the dialect can say so."""
        ...

    def take(self, message: bytes) -> list[Event]:
        """The events that are whole with this message, in order."""
        ...

    def ack(self) -> bytes:
        """Ready frames that say that all events so far are processed; empty where there is nothing to say."""
        ...

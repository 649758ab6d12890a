"""Pure: what the core asks its shell to do, in order. A shell in any language performs these and decides nothing."""

from typing import Literal

import msgspec

from tidewire_client.frames import Error, EventFrame, GapFrame, Outgoing
from tidewire_client.position import Position

State = Literal["connecting", "replaying", "live", "waiting", "closed"]


class FetchToken(msgspec.Struct, frozen=True, tag=True):
    """Ask for a token; answer with ``token_fetched`` or ``token_failed`` and this number. Ends an earlier asking."""

    number: int


class Load(msgspec.Struct, frozen=True, tag=True):
    """Read the stored position of this user's session; answer with ``loaded``."""

    connection: int
    user: str


class Open(msgspec.Struct, frozen=True, tag=True):
    """Open a WebSocket; answer with ``opened`` or ``broken``. From then on pass on all that it brings."""

    connection: int


class Drop(msgspec.Struct, frozen=True, tag=True):
    """Close the current WebSocket, if there is one, and be done with it: what it still brings is ignored."""

    code: int


class Send(msgspec.Struct, frozen=True, tag=True):
    """Send one frame on the current WebSocket, after every ``Store`` before it has been performed."""

    frame: Outgoing


class Probe(msgspec.Struct, frozen=True, tag=True):
    """Send a WebSocket ping (RFC 6455 5.5.2), and say ``heard`` when its pong comes.

    A shell that cannot, as in a browser, sends the frame ``ping`` (P2.25): its answer is a frame like any other.
    """


class Deliver(msgspec.Struct, frozen=True, tag=True):
    """Put an event into these iterators' queues. ``epoch`` comes back with ``processed``."""

    inboxes: tuple[int, ...]
    epoch: int
    event: EventFrame


class Store(msgspec.Struct, frozen=True, tag=True):
    """Keep this position; None: forget what is kept."""

    position: Position | None


class TellGap(msgspec.Struct, frozen=True, tag=True):
    """Call ``on_gap``; when it has returned say ``gap_handled`` with this number."""

    number: int
    gap: GapFrame


class TellLive(msgspec.Struct, frozen=True, tag=True):
    """Call ``on_live``."""

    seq: int


class TellState(msgspec.Struct, frozen=True, tag=True):
    """Call ``on_state``."""

    state: State


class TellError(msgspec.Struct, frozen=True, tag=True):
    """Call ``on_error`` with what an ``error`` frame said; the session goes on."""

    error: Error


class Deny(msgspec.Struct, frozen=True, tag=True):
    """End these iterators: patterns of theirs are not permitted."""

    inboxes: tuple[int, ...]
    subjects: tuple[str, ...]
    reason: str
    """``forbidden``, or the code of the gateway's refusal."""


StopKind = Literal["unauthorized", "forbidden", "taken_over", "revoked", "protocol", "user_changed", "refused"]


class Stop(msgspec.Struct, frozen=True, tag=True):
    """The session ended for good: raise from every iterator."""

    kind: StopKind
    code: int | None


Effect = (
    FetchToken
    | Load
    | Open
    | Drop
    | Send
    | Probe
    | Deliver
    | Store
    | TellGap
    | TellLive
    | TellState
    | TellError
    | Deny
    | Stop
)

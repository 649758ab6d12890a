"""Pure: the frames of the session protocol (docs/protocol.md, section 2) in both encodings.

From the client: strictly by type, unknown fields ignored, unknown types told apart from wrong fields. To the client:
an event is
encoded once per encoding and kept with the event, since every session gets the same bytes.
"""

from typing import Any

import msgspec

from gateway.msgpack_scan import MANY, scan, scan_many
from security.strict_json import depth_exceeds, has_duplicate_keys

JSON = "tidewire.v1.json"
MSGPACK = "tidewire.v1.msgpack"
SUBPROTOCOLS = (JSON, MSGPACK)
FRAME_DEPTH = 32
"""Deepest nesting of a client's frame (security limit ``json_depth``)."""
BATCH_MOST = 256
"""Most frames in one batch from a client; also bounded by the size of a message."""


class Resume(msgspec.Struct, frozen=True):
    """The position that the client has processed."""

    stream: str
    seq: int


class WindowWish(msgspec.Struct, frozen=True):
    """The most unacknowledged events that the client wants; absent members take the default."""

    messages: int | None = None
    bytes: int | None = None


class Connect(msgspec.Struct, frozen=True, tag_field="type", tag="connect"):
    """First frame."""

    session: str
    token: str = ""
    """A missing token is refused like a wrong one."""
    subscribe: list[str] | None = None
    resume: Resume | None = None
    window: WindowWish | None = None
    replay: str = "all"
    client: Any = None

    def __repr__(self) -> str:
        return f"Connect(session={self.session!r})"


class Ack(msgspec.Struct, frozen=True, tag_field="type", tag="ack", gc=False):
    """Everything up to ``seq`` is processed."""

    seq: int


class Subscribe(msgspec.Struct, frozen=True, tag_field="type", tag="subscribe"):
    """Add patterns."""

    id: str | int
    subjects: list[str]
    from_: Any = msgspec.field(name="from", default="now")


class Unsubscribe(msgspec.Struct, frozen=True, tag_field="type", tag="unsubscribe"):
    """Remove patterns."""

    id: str | int
    subjects: list[str]


class Request(msgspec.Struct, frozen=True, tag_field="type", tag="request"):
    """Ask a service. Not supported yet."""

    id: str | int
    subject: str


class Publish(msgspec.Struct, frozen=True, tag_field="type", tag="publish"):
    """Store a command. Not supported yet."""

    id: str | int
    subject: str


class Refresh(msgspec.Struct, frozen=True, tag_field="type", tag="refresh"):
    """A new token for the same principal."""

    token: str = ""
    id: str | int | None = None

    def __repr__(self) -> str:
        return "Refresh()"


class Ping(msgspec.Struct, frozen=True, tag_field="type", tag="ping", gc=False):
    """Are you there? Either side may ask."""


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong", gc=False):
    """Answer to ``ping``, of either side."""


class Unknown(msgspec.Struct, frozen=True):
    """A frame of a type that this version does not know."""


class BadFrame(msgspec.Struct, frozen=True):
    """Not a frame: the connection is closed with 4400."""

    reason: str
    """For the metric; fixed words, never the client's text. ``many``: too many values in ``connect`` or ``refresh``."""


Frame = Connect | Ack | Subscribe | Unsubscribe | Request | Publish | Refresh | Ping | Pong | Unknown
KNOWN = frozenset(("connect", "ack", "subscribe", "unsubscribe", "request", "publish", "refresh", "ping", "pong"))

_Known = Connect | Ack | Subscribe | Unsubscribe | Request | Publish | Refresh | Ping | Pong


class _Typed(msgspec.Struct):
    type: str


_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_one: dict[str, Any] = {JSON: msgspec.json.Decoder(_Known), MSGPACK: msgspec.msgpack.Decoder(_Known)}
_typed: dict[str, Any] = {JSON: msgspec.json.Decoder(_Typed), MSGPACK: msgspec.msgpack.Decoder(_Typed)}
_raws: dict[str, Any] = {
    JSON: msgspec.json.Decoder(list[msgspec.Raw]),
    MSGPACK: msgspec.msgpack.Decoder(list[msgspec.Raw]),
}


def decode(message: bytes, encoding: str, depth_most: int = FRAME_DEPTH) -> list[Frame] | BadFrame:
    """The frames of one WebSocket message: one frame, or a batch in order."""
    if encoding == JSON:
        if depth_exceeds(message, depth_most):
            return BadFrame("depth")
        is_batch = message.lstrip(b" \t\r\n")[:1] == b"["
    else:
        fault = _fault_of_msgpack(message, depth_most)
        if fault:
            return BadFrame(fault)
        is_batch = bool(message) and (message[0] & 0xF0 == 0x90 or message[0] in (0xDC, 0xDD))
    if not is_batch:
        frame = _decode_one(message, encoding)
        return frame if isinstance(frame, BadFrame) else [frame]
    try:
        raws = _raws[encoding].decode(message)
    except _ERRORS:
        return BadFrame("not decodable")
    if not raws or len(raws) > BATCH_MOST:
        return BadFrame("batch")
    frames: list[Frame] = []
    for raw in raws:
        frame = _decode_one(raw, encoding)
        if isinstance(frame, BadFrame):
            return frame
        frames.append(frame)
    return frames


def _fault_of_msgpack(message: bytes, depth_most: int) -> str:
    """What is wrong with a message as MessagePack, in fixed words, or empty."""
    fault = scan(message, depth_most)
    if fault != MANY:
        return fault
    try:
        frame = _one[MSGPACK].decode(message)
    except _ERRORS:
        frame = None
    return MANY if isinstance(frame, Connect | Refresh) else scan_many(message, depth_most)


def _decode_one(message: bytes | msgspec.Raw, encoding: str) -> Frame | BadFrame:
    try:
        frame: Frame = _one[encoding].decode(message)
    except _ERRORS:
        try:
            kind = _typed[encoding].decode(message).type
        except _ERRORS:
            return BadFrame("not decodable")
        return BadFrame("fields") if kind in KNOWN else Unknown()
    if isinstance(frame, Connect | Refresh):
        if encoding == JSON:
            return BadFrame("duplicate keys") if has_duplicate_keys(bytes(message)) else frame
        fault = scan(bytes(message), len(message))  # those of a batch with many items were not compared
        return BadFrame(fault) if fault else frame
    return frame


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong, in a ``reply``: fixed words, never text of an exception."""

    code: str
    message: str
    retry: bool = False


class Window(msgspec.Struct, frozen=True):
    """The window in force."""

    messages: int
    bytes: int


class Welcome(msgspec.Struct, frozen=True, tag_field="type", tag="welcome", kw_only=True):
    """Answer to ``connect``."""

    session: str
    stream: str
    outcome: str
    from_: int = msgspec.field(name="from")
    pending: int | None
    oldest: str | msgspec.UnsetType = msgspec.UNSET
    expires: int
    ping: float
    window: Window
    subjects: list[str]
    denied: list[str] | msgspec.UnsetType = msgspec.UNSET


class Live(msgspec.Struct, frozen=True, tag_field="type", tag="live"):
    """Replay is over up to ``seq``."""

    seq: int


class Gap(msgspec.Struct, frozen=True, tag_field="type", tag="gap"):
    """Events between the two positions may be lost."""

    after: int
    before: int
    reason: str


class ReplyFrame(msgspec.Struct, frozen=True, tag_field="type", tag="reply", omit_defaults=True):
    """Answer to a frame with an ``id``."""

    id: str | int | None = None
    data: Any = None
    error: Problem | None = None


class Expiring(msgspec.Struct, frozen=True, tag_field="type", tag="expiring"):
    """The token ends in so many seconds."""

    in_: int = msgspec.field(name="in")


class ErrorFrame(msgspec.Struct, frozen=True, tag_field="type", tag="error", omit_defaults=True):
    """Something is wrong with the connection."""

    code: str
    message: str
    retry: bool
    after: int | None = None


class Goodbye(msgspec.Struct, frozen=True, tag_field="type", tag="goodbye", omit_defaults=True):
    """The gateway closes."""

    code: int
    reason: str
    reconnect: bool
    after: int | None = None


ServerFrame = Welcome | Live | Gap | ReplyFrame | Ping | Pong | Expiring | ErrorFrame | Goodbye

_encoders: dict[str, Any] = {JSON: msgspec.json.Encoder(), MSGPACK: msgspec.msgpack.Encoder()}


def encode(frame: ServerFrame, encoding: str) -> bytes:
    """A frame other than an event."""
    encoded: bytes = _encoders[encoding].encode(frame)
    return encoded


def join(frames: list[bytes], encoding: str) -> bytes:
    """One WebSocket message of encoded frames: the frame itself, or a batch."""
    if len(frames) == 1:
        return frames[0]
    if encoding == JSON:
        return b"[" + b",".join(frames) + b"]"
    count = len(frames)
    header = (
        bytes((0x90 | count,))
        if count < 16
        else b"\xdc" + count.to_bytes(2)
        if count < 65_536
        else b"\xdd" + count.to_bytes(4)
    )
    return header + b"".join(frames)

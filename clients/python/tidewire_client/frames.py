"""Pure: the frames of the session protocol, version 1 (docs/protocol.md, sections 1 and 2), and their two encodings.

Unknown fields and frames of unknown type are ignored, so that a gateway may be newer than its clients. A frame that is
known and wrong is a bug of one side: ``BadFrame``.
"""

from base64 import b64decode
from typing import Any, Literal

import msgspec

Encoding = Literal["json", "msgpack"]

SUBPROTOCOLS: dict[Encoding, str] = {"json": "tidewire.v1.json", "msgpack": "tidewire.v1.msgpack"}


class BadFrame(Exception):
    """A message that is not a frame or a batch of frames. The text is fixed and quotes nothing of the message."""


class WindowSize(msgspec.Struct, frozen=True):
    """The most that may be unacknowledged."""

    messages: int = 1000
    bytes: int = 1_048_576


class Resume(msgspec.Struct, frozen=True):
    """The position that the client has processed."""

    stream: str
    seq: int


class Connect(msgspec.Struct, frozen=True, tag="connect", omit_defaults=True, kw_only=True):
    """The first frame."""

    token: str
    session: str
    subscribe: tuple[str, ...]
    resume: Resume | None = None
    window: WindowSize | None = None
    client: str | None = None

    def __repr__(self) -> str:
        return f"Connect(session={self.session!r}, subscribe={self.subscribe!r}, resume={self.resume!r})"


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """Everything up to ``seq`` is processed."""

    seq: int


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe"):
    """Add patterns, from now on."""

    id: str
    subjects: tuple[str, ...]


class Unsubscribe(msgspec.Struct, frozen=True, tag="unsubscribe"):
    """Remove patterns."""

    id: str
    subjects: tuple[str, ...]


class Refresh(msgspec.Struct, frozen=True, tag="refresh"):
    """A new token for the same user. ``id`` lets a gateway name it in its reply."""

    id: str
    token: str

    def __repr__(self) -> str:
        return f"Refresh(id={self.id!r})"


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """Answer to ``ping``, of either side."""


Outgoing = Connect | Ack | Subscribe | Unsubscribe | Refresh | Pong


class Welcome(msgspec.Struct, frozen=True, tag="welcome", rename={"after": "from"}, kw_only=True):
    """Answer to ``connect``. ``after`` (``from`` on the wire): replay starts after this sequence."""

    session: str
    stream: str
    outcome: Literal["fresh", "resumed", "gap"]
    after: int
    pending: int | None = None
    oldest: str | None = None
    expires: float | None = None
    """When the token ends, Unix seconds."""
    ping: float = 25.0
    """Seconds without traffic after which the gateway pings."""
    window: WindowSize = WindowSize()
    subjects: tuple[str, ...] = ()
    denied: tuple[str, ...] | None = None


class EventFrame(msgspec.Struct, frozen=True, tag="event", kw_only=True):
    """One event. ``data`` stays encoded until an iterator takes it: a bad value harms only itself."""

    seq: int
    subject: str
    time: str
    data: msgspec.Raw = msgspec.Raw()
    data_b64: str | None = None
    replay: bool = False
    id: str | None = None
    headers: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"EventFrame(seq={self.seq}, subject={self.subject!r})"


class Live(msgspec.Struct, frozen=True, tag="live"):
    """Everything up to ``seq`` has been sent; what follows is live."""

    seq: int


class GapFrame(msgspec.Struct, frozen=True, tag="gap", kw_only=True):
    """Events after ``after`` and before ``before`` may be lost."""

    after: int
    before: int
    reason: str
    subjects: tuple[str, ...] | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """Why a request was refused."""

    code: str = "unknown"
    message: str = ""
    retry: bool = False


class ReplyData(msgspec.Struct, frozen=True):
    """What replies to ``subscribe`` and ``refresh`` hold, as far as this client reads it."""

    seq: int | None = None
    denied: tuple[str, ...] | None = None
    expires: float | None = None


class Reply(msgspec.Struct, frozen=True, tag="reply", kw_only=True):
    """Answer to ``subscribe``, ``unsubscribe`` or ``refresh``."""

    id: str | int | None = None
    data: ReplyData | None = None
    error: ErrorBody | None = None


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Asks for a ``pong``."""


class Expiring(msgspec.Struct, frozen=True, tag="expiring", rename={"in_s": "in"}):
    """The token ends in ``in_s`` seconds."""

    in_s: float


class Error(msgspec.Struct, frozen=True, tag="error", kw_only=True):
    """Something is wrong with the connection; ``after`` (ms) is the least wait when a close follows."""

    code: str
    message: str = ""
    retry: bool = False
    after: float | None = None


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye", kw_only=True):
    """The gateway closes."""

    code: int
    reason: str = ""
    reconnect: bool = True
    after: float | None = None


Incoming = Welcome | EventFrame | Live | GapFrame | Reply | Ping | Pong | Expiring | Error | Goodbye

_FAILURES = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_JSON_BATCH = msgspec.json.Decoder(list[Incoming] | Incoming)
_MSGPACK_BATCH = msgspec.msgpack.Decoder(list[Incoming] | Incoming)
_JSON_SPLIT = msgspec.json.Decoder(list[msgspec.Raw] | dict[str, msgspec.Raw])
_MSGPACK_SPLIT = msgspec.msgpack.Decoder(list[msgspec.Raw] | dict[str, msgspec.Raw])
_KNOWN = frozenset(("welcome", "event", "live", "gap", "reply", "ping", "pong", "expiring", "error", "goodbye"))


class _Kind(msgspec.Struct):
    type: str


class Codec:
    """Frames to WebSocket messages and back, in one encoding."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        is_json = encoding == "json"
        self._batch = _JSON_BATCH if is_json else _MSGPACK_BATCH
        self._split = _JSON_SPLIT if is_json else _MSGPACK_SPLIT

    def encode(self, frame: Outgoing) -> str | bytes:
        """One frame as one message: text for JSON, binary for MessagePack."""
        if self.encoding == "json":
            return msgspec.json.encode(frame).decode()
        return msgspec.msgpack.encode(frame)

    def decode(self, message: str | bytes) -> list[Incoming]:
        """The frames of one message, in order, without those of unknown type. Raises BadFrame."""
        data = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
        try:
            found = self._batch.decode(data)
        except msgspec.ValidationError:
            return self._decode_one_by_one(data)
        except _FAILURES as error:
            raise BadFrame("not decodable") from error
        frames = found if isinstance(found, list) else [found]
        if not frames:
            raise BadFrame("an empty batch")
        return frames

    def value(self, raw: msgspec.Raw) -> Any:
        """The decoded ``data`` of an event; its encoded bytes when it cannot be decoded (nested too deeply, say)."""
        encoded = bytes(raw)
        if not encoded:
            return None
        try:
            return msgspec.json.decode(encoded) if self.encoding == "json" else msgspec.msgpack.decode(encoded)
        except _FAILURES:
            return encoded

    def _decode_one_by_one(self, data: bytes) -> list[Incoming]:
        """The slow way, taken when something in the message is unknown or wrong: only the unknown is let pass."""
        try:
            parts = self._split.decode(data)
            raws = [bytes(part) for part in parts] if isinstance(parts, list) else [data]
            return [frame for raw in raws for frame in self._known(raw)]
        except _FAILURES as error:
            raise BadFrame("wrong frame") from error

    def _known(self, raw: bytes) -> list[Incoming]:
        module = msgspec.json if self.encoding == "json" else msgspec.msgpack
        if module.decode(raw, type=_Kind).type not in _KNOWN:
            return []
        return [module.decode(raw, type=Incoming)]


def data_bytes(text: str) -> bytes:
    """The payload in a ``data_b64`` field. Raises BadFrame."""
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise BadFrame("data_b64 is not base64") from error

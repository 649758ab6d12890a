"""Decoders of what comes over a WebSocket: frames in both encodings, on both sides, and the framing itself."""

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
from tidewire_client.frames import BadFrame as ClientBadFrame
from tidewire_client.frames import Codec, EventFrame, Incoming, data_bytes

from gateway import frames
from gateway.client_framing import BINARY, PING, PONG, TEXT, ClientFraming
from gateway.event_frame import event_frame
from gateway.frames import JSON, MSGPACK
from gateway.msgpack_scan import scan, scan_many
from mesh.event import StoredEvent, header_of, headers_of, is_well_formed, read_delivery, status_of
from security.strict_json import has_duplicate_keys
from tests.fuzz.target import Target

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent.parent / "vectors" / "frames.json").read_text("utf-8"))
PACKED: dict[str, Any] = json.loads((Path(__file__).parent.parent / "vectors" / "msgpack.json").read_text("utf-8"))
REASONS = frozenset(("depth", "duplicate keys", "not decodable", "fields", "batch", "many"))
MESSAGE_BYTES = 65_536
CLIENT_BYTES = 2_097_152
TOKEN_LEAST = 6
"""A shorter token may stand in a text by chance."""


def _seeds(encoding: str, direction: str) -> tuple[bytes, ...]:
    found: list[bytes] = []
    for group in ("frames", "batches", "ignored", "bad"):
        for vector in VECTORS[group]:
            if vector["direction"] == direction:
                texts = [vector[encoding], *vector.get("also", {}).get(encoding, [])] if encoding in vector else []
                found += [text.encode() if encoding == "json" else bytes.fromhex(text) for text in texts]
    return tuple(each for each in found if len(each) < 2_000)


def _hide(decoded: list[frames.Frame]) -> None:
    """No token is in what a frame says of itself."""
    for frame in decoded:
        token = getattr(frame, "token", "")
        others = f"{getattr(frame, 'session', '')} {getattr(frame, 'id', '')} Connect(session=) Refresh()"
        if len(token) >= TOKEN_LEAST and token not in others:
            assert token not in repr(frame) + str(frame), "a frame shows its token"


def read_frames(message: bytes, encoding: str) -> list[frames.Frame] | frames.BadFrame:
    """What the gateway makes of a message; fails for anything but a documented answer."""
    decoded = frames.decode(message, encoding)
    if isinstance(decoded, frames.BadFrame):
        assert decoded.reason in REASONS
    else:
        assert 1 <= len(decoded) <= frames.BATCH_MOST
        assert all(isinstance(frame, frames.Frame) for frame in decoded)
        _hide(decoded)
    return decoded


def server_json(message: bytes) -> None:
    """A message of a JSON client; the same value in MessagePack must be the same frames."""
    decoded = read_frames(message, JSON)
    try:
        value = msgspec.json.decode(message)
        packed = msgspec.msgpack.encode(value)
    except (ValueError, RecursionError, OverflowError):  # beyond 64 bits, or no JSON
        return
    other = read_frames(packed, MSGPACK)
    if not has_duplicate_keys(message):  # else the value holds the last one alone
        assert other == decoded, "the encodings disagree"


def server_msgpack(message: bytes) -> None:
    """A message of a MessagePack client; the same value in JSON, where it has one, must be the same frames."""
    decoded = read_frames(message, MSGPACK)
    verdict = scan(message, frames.FRAME_DEPTH)
    assert verdict in REASONS | {""}
    again = scan_many(message, frames.FRAME_DEPTH)
    assert again or verdict in {"", "duplicate keys", "many"}, "the quick look takes what the walk refuses"
    if isinstance(decoded, frames.BadFrame):
        return
    assert verdict in {"", "many"}
    try:
        text = msgspec.json.encode(msgspec.msgpack.decode(message, ext_hook=_no_json))
    except UnicodeDecodeError:
        raise AssertionError("a text that is not UTF-8 was passed over") from None
    except (ValueError, TypeError, RecursionError):  # an extension in a field that is ignored
        return
    if b"e+" not in text and not _holds_bytes(message):
        assert read_frames(text, JSON) == decoded, "the encodings disagree"


def _no_json(code: int, data: memoryview) -> object:
    raise ValueError("an extension")


def _holds_bytes(message: bytes) -> bool:
    """Bytes, times and NaN have no JSON form of their own, so that another value comes back."""
    return not _is_json(msgspec.msgpack.decode(message))


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and value - value == 0)


def _read_by_client(codec: Codec, message: bytes) -> list[Incoming] | None:
    try:
        decoded = codec.decode(message)
    except ClientBadFrame:
        return None
    for frame in decoded:
        assert isinstance(frame, Incoming)
        if isinstance(frame, EventFrame):
            repr(codec.value(frame.data))
            if frame.data_b64 is not None:
                with contextlib.suppress(ClientBadFrame):
                    data_bytes(frame.data_b64)
    return decoded


_CODECS = Codec("json"), Codec("msgpack")


def client_json(message: bytes) -> None:
    """A message of a gateway to a Python client on JSON; in MessagePack it must be as many frames of the same types."""
    decoded = _read_by_client(_CODECS[0], message)
    try:
        packed = msgspec.msgpack.encode(msgspec.json.decode(message))
    except (ValueError, RecursionError, OverflowError):
        return
    other = _read_by_client(_CODECS[1], packed)
    if decoded is not None and other is not None:
        assert [type(frame) for frame in decoded] == [type(frame) for frame in other]


def client_msgpack(message: bytes) -> None:
    """A message of a gateway to a Python client on MessagePack."""
    _read_by_client(_CODECS[1], message)


def event(data: bytes) -> None:
    """What a publisher may store: subject, header block and payload, cut at ``|``. Both clients get the same event."""
    subject, _, rest = data.partition(b"|")
    block, _, payload = rest.partition(b"|")
    for reply in (b"$JS.ACK.EVENTS.c.1.7.1.1795420000123456789.0", subject, block):
        read = read_delivery(subject, reply, payload, block)
        assert read is None or (read.event.seq >= 1 and read.consumer_seq >= 1)
    headers_of(block), is_well_formed(block), status_of(block)
    header_of(block, "Nats-Msg-Id")
    stored = StoredEvent(7, subject.decode(errors="replace"), 1_795_420_000_123_456_789, payload, block)
    for replay in (False, True):
        texts = _CODECS[0].decode(event_frame(stored, JSON, replay=replay))
        packs = _CODECS[1].decode(event_frame(stored, MSGPACK, replay=replay))
        assert len(texts) == len(packs) == 1
        text, pack = texts[0], packs[0]
        assert isinstance(text, EventFrame)
        assert isinstance(pack, EventFrame)
        assert text.replay is pack.replay is replay
        assert (text.seq, text.subject, text.id, text.headers) == (pack.seq, pack.subject, pack.id, pack.headers)
        packed = _CODECS[1].value(pack.data)
        if text.data_b64 is not None:
            assert data_bytes(text.data_b64) == packed == payload, "bytes are the payload"
        elif isinstance(packed, bytes):
            assert packed == payload, "what has no MessagePack form"
        else:
            assert repr(_CODECS[0].value(text.data)) == repr(packed), "a value is the same value"


def framing(data: bytes) -> None:
    """The bytes of a socket: where they are cut changes nothing, and what comes out is bounded."""
    if not data:
        return
    chop, data = data[0] % 17 + 1, data[1:]
    whole = ClientFraming(MESSAGE_BYTES).feed(data)
    framing = ClientFraming(MESSAGE_BYTES)
    chopped = [each for at in range(0, len(data), chop) for each in framing.feed(data[at : at + chop])]
    assert whole == chopped
    assert all(opcode in (TEXT, BINARY, PING, PONG) for opcode, _ in whole[:-1]), "a close or a breach comes last"
    assert sum(len(payload) for _, payload in whole) <= len(data) + 2


_LONG_TOKEN = "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl"
_WITH_TOKENS: tuple[dict[str, str], ...] = (
    {"type": "connect", "token": _LONG_TOKEN, "session": "s"},
    {"type": "refresh", "token": _LONG_TOKEN, "id": "r1"},
)
JSON_WORDS = (
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u0000", b"\\ud800", b"null", b"true", b"1.0", b"1e5", b"-0"),
    *(
        b'"type":',
        b'"ack"',
        b'"connect"',
        b'"seq":',
        b'"token":"',
        b'"id":',
        b'"data":',
        b'"resume":{',
        b"NaN",
        b"\xff",
    ),
)
_PACKED_WORDS = (
    *(b"\xa4type", b"\xa3ack", b"\xa7connect", b"\xa3seq", b"\xa5token", b"\xa2id", b"\xa4data", b"\xd9\x04type"),
    *(b"\x81", b"\x82", b"\x91", b"\xc0", b"\xc1", b"\xc4\x01", b"\xd4\xff", b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff"),
    *(b"\xdc\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01", b"\xcb\x7f\xf8", b"\xcf"),
)
_EVENTS = (
    b"orders.c42.o7||" + b'{"order":"o7","n":[1,2.5,null]}',
    b"orders.c42.o7|NATS/1.0\r\nNats-Msg-Id: m1\r\nTraceparent: 00-ab\r\n\r\n|{}",
    b"a.\xff\xfe|NATS/1.0 404 No Messages\r\n\r\n|\x00\xff",
    b"a|NATS/1.0\r\nX: \xff\r\nX: 2\r\nnone\r\n\r\n|12345678901234567890123",
    b"$JS.ACK.E.c.1.2.3.4.5|NATS/1.0 409 x\r\n\r\n|[[[[" + b"[" * 61 + b"]" * 65,
    b"$JS.ACK.d.h.E.c.1.2.3.4.5.r||" + b'"\\ud83d\\ude00"',
)
_FRAMINGS = (
    b"\x00\x81\x85abcdHello\x89\x80abcd\x88\x82abcd\x03\xe8",
    b"\x01\x01\x81abcdx\x89\x80abcd\x80\x81abcdy",
    b"\x02\x82\xfe\x00\x80abcd" + b"x" * 128,
    b"\x03\x81\x05Hello",
    b"\x04\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00abcd",
)

_ARRAY = b"\xdd\x00\x00\xff\x00"  # of as many items as a message has bytes, or nearly
_OF_JSON = (b"[", b'{"type":"pong","x":[')
_OURS_JSON = (*_seeds("json", "client"), *map(msgspec.json.encode, _WITH_TOKENS))
_OURS_PACKED = (*_seeds("msgpack", "client"), *map(msgspec.msgpack.encode, _WITH_TOKENS))

TARGETS = (
    Target("frames-json", server_json, _OURS_JSON, MESSAGE_BYTES, JSON_WORDS, _OF_JSON),
    Target("frames-msgpack", server_msgpack, _OURS_PACKED, MESSAGE_BYTES, _PACKED_WORDS, (_ARRAY,)),
    Target("client-json", client_json, _seeds("json", "gateway"), CLIENT_BYTES, JSON_WORDS, _OF_JSON),
    Target("client-msgpack", client_msgpack, _seeds("msgpack", "gateway"), CLIENT_BYTES, _PACKED_WORDS, (_ARRAY,)),
    Target("event", event, _EVENTS, 1_048_576, (*JSON_WORDS, b"|", b"\r\n", b"NATS/1.0", b": "), (b"a||", b"a|")),
    Target("framing", framing, _FRAMINGS, 262_144, (b"\x81", b"\xfe", b"\xff", b"\x7e", b"\x89\x80abcd"), (b"\x10",)),
)

"""Pure: an event as the client gets it (P2.33 to P2.35), encoded once per encoding for all who are live.

It is kept with the event once a session takes it by itself, as in a replay. ``data`` is the published payload as it
is when that is strict JSON, so it is embedded, not encoded again. Anything else travels as bytes. The replayed form
differs by one member behind ``type``, so it is spliced in and not kept.
"""

import base64
import datetime
import functools
import re
from typing import Any

import msgspec

from gateway.frames import JSON
from mesh.event import MESSAGE_ID, StoredEvent, headers_of
from security.strict_json import depth_exceeds

DATA_DEPTH = 64
"""Deeper payloads travel as bytes: many JSON readers refuse or crash on them."""

_JSON_START = b'{"type":"event",'
_JSON_REPLAY = _JSON_START + b'"replay":true,'
_TYPE = msgspec.msgpack.encode("type") + msgspec.msgpack.encode("event")
_MSGPACK_REPLAY = _TYPE + msgspec.msgpack.encode("replay") + b"\xc3"
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ID_ALONE = re.compile(rb"NATS/1\.0\r\n%s: ([\x21-\x7e]+)\r\n\r\n" % MESSAGE_ID.encode())
"""The header block of most events: a message id and nothing else."""
_write_json = msgspec.json.Encoder().encode
_read_json = msgspec.json.Decoder().decode
NOT_JSON = object()


def event_frame(event: StoredEvent, encoding: str, *, replay: bool) -> bytes:
    """The encoded frame; made on first use, then the same bytes for every session."""
    frame = passing_frame(event, encoding)
    if encoding == JSON:
        event.text_frame = frame
        return _JSON_REPLAY + frame[len(_JSON_START) :] if replay else frame
    event.binary_frame = frame
    if not replay:
        return frame
    return bytes((frame[0] + 1,)) + _MSGPACK_REPLAY + frame[1 + len(_TYPE) :]


def passing_frame(event: StoredEvent, encoding: str) -> bytes:
    """The frame for whoever is live at the moment, not kept with the event: most are never asked for again.

    What is let go of at once leaves its memory to the next event, and that memory is in the cache.
    """
    if encoding == JSON:
        return event.text_frame or _encode_json(event)
    return event.binary_frame or _encode_msgpack(event)


def timestamp(time_ns: int) -> str:
    """RFC 3339, UTC, as many digits of the second as are not zero."""
    seconds, ns = divmod(time_ns, 1_000_000_000)
    if ns % 10:  # as it nearly always is
        return f"{_to_the_second(seconds)}.{ns:09d}Z"
    return f"{_to_the_second(seconds)}.{ns:09d}".rstrip("0").rstrip(".") + "Z"


@functools.lru_cache(maxsize=64)  # events come many to a second
def _to_the_second(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()[:19]


def read_payload(payload: bytes) -> Any:
    """The payload's value, or ``NOT_JSON``: strict, and read in full, since a client must be able to do the same."""
    if depth_exceeds(payload, DATA_DEPTH):
        return NOT_JSON
    try:
        return _read_json(payload)
    except _ERRORS:
        return NOT_JSON


class _Envelope(msgspec.Struct, tag_field="type", tag="event", gc=False):
    """All of the frame but ``data``, in the order in which it is written."""

    seq: int
    subject: str
    time: str
    id: str | msgspec.UnsetType = msgspec.UNSET
    headers: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


def _envelope(event: StoredEvent) -> _Envelope:
    envelope = _Envelope(event.seq, event.subject, timestamp(event.time_ns))
    block = event.header_block
    if not block:
        return envelope
    alone = _ID_ALONE.fullmatch(block)
    if alone is not None:
        envelope.id = alone[1].decode()
        return envelope
    headers: dict[str, str] = {}
    for name, value in headers_of(block):
        if name == MESSAGE_ID:
            envelope.id = value if envelope.id is msgspec.UNSET else envelope.id
        elif not name.startswith("Nats-"):
            headers.setdefault(name, value)
    if headers:
        envelope.headers = headers
    return envelope


def _encode_json(event: StoredEvent) -> bytes:
    start = _write_json(_envelope(event))[:-1]
    if read_payload(event.payload) is NOT_JSON:
        return start + b',"data_b64":"' + base64.b64encode(event.payload) + b'"}'
    return b'%b,"data":%b}' % (start, event.payload)


def _encode_msgpack(event: StoredEvent) -> bytes:
    envelope: dict[str, Any] = msgspec.to_builtins(_envelope(event))
    value = read_payload(event.payload)
    try:
        return msgspec.msgpack.encode(envelope | {"data": event.payload if value is NOT_JSON else value})
    except OverflowError:  # an integer beyond 64 bits has no MessagePack form
        return msgspec.msgpack.encode(envelope | {"data": event.payload})

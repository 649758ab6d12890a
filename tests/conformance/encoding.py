"""Pure: values in both encodings, also such as no library writes: a map with a key twice."""

import base64
import json
from typing import Any

import msgspec

JSON = "json"
MSGPACK = "msgpack"
SUBPROTOCOLS = {JSON: "tidewire.v1.json", MSGPACK: "tidewire.v1.msgpack"}


class Deviation(Exception):
    """The gateway did not do what the protocol says; the text is for the person who builds it."""


class Pairs(msgspec.Struct, frozen=True):
    """A map as its members in order, of which two may have one name."""

    members: tuple[tuple[str, Any], ...]


def encode(value: Any, encoding: str) -> str | bytes:
    """A WebSocket message: text in JSON, bytes in MessagePack."""
    return _json(value) if encoding == JSON else _msgpack(value)


def decode(message: str | bytes, encoding: str) -> Any:
    """A message of the gateway; raises ``Deviation`` for one of the wrong kind or of none."""
    if isinstance(message, str) != (encoding == JSON):
        kind = "a text message" if isinstance(message, str) else "a binary message"
        raise Deviation(f"{kind} on {SUBPROTOCOLS[encoding]} (P1.3)")
    try:
        return json.loads(message) if isinstance(message, str) else msgspec.msgpack.decode(message)
    except (ValueError, RecursionError):  # of both libraries
        raise Deviation(f"a message that is no {encoding}: {message[:60]!r}") from None


def payload_member(payload: bytes, encoding: str) -> dict[str, Any]:
    """How an event carries bytes that are not JSON (P2.35)."""
    return {"data_b64": base64.b64encode(payload).decode()} if encoding == JSON else {"data": payload}


def _json(value: Any) -> str:
    match value:
        case Pairs():
            return "{" + ",".join(f"{json.dumps(name)}:{_json(each)}" for name, each in value.members) + "}"
        case dict():
            return _json(Pairs(tuple(value.items())))
        case list():
            return "[" + ",".join(map(_json, value)) + "]"
        case _:
            return json.dumps(value)


def _msgpack(value: Any) -> bytes:
    match value:
        case Pairs():
            members = b"".join(_msgpack(name) + _msgpack(each) for name, each in value.members)
            return b"\xde" + len(value.members).to_bytes(2) + members
        case dict():
            return _msgpack(Pairs(tuple(value.items())))
        case list():
            return b"\xdc" + len(value).to_bytes(2) + b"".join(map(_msgpack, value))
        case _:
            return msgspec.msgpack.encode(value)

"""The frames that clients and gateways share (tests/vectors/frames.json), read and written by the gateway."""

import calendar
import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.event_frame import event_frame
from gateway.frames import JSON, MSGPACK, SUBPROTOCOLS, BadFrame, ServerFrame, Unknown, decode, encode, join
from mesh.event import MESSAGE_ID, StoredEvent

Vector = dict[str, Any]

VECTORS = Path(__file__).parents[1] / "vectors" / "frames.json"
DOCUMENT: dict[str, Any] = msgspec.json.decode(VECTORS.read_bytes())
FIELD = {JSON: "json", MSGPACK: "msgpack"}
EITHER = pytest.mark.parametrize("encoding", SUBPROTOCOLS)
NOT_READ = {"request": {"data", "timeout"}, "publish": {"data", "key"}}
"""What is answered by not_supported, whatever it holds."""
ABSENT = {"token": "", "replay": "all", "from": "now"}
"""What members mean that are not there; of the others: null."""
NOT_MADE = {
    "welcome: the least",
    "welcome: half a window",
    "event: no data",
    "gap: of some patterns only",
    "reply: refused without a word",
    "error: a code and no more",
    "goodbye: a code and no more",
}
"""Frames that clients take and this gateway never sends."""


def messages(part: str) -> list[Any]:
    """What to read, as parameters of a test: a vector, an encoding, and its message in each spelling that it has."""
    found = []
    for vector in DOCUMENT[part]:
        if vector["direction"] != "client" or "gateway" not in vector.get("by", ["gateway"]):
            continue
        for encoding, field in FIELD.items():
            texts = [vector[field]] if field in vector else []
            texts += vector.get("also", {}).get(field, [])
            spellings = [text.encode() if encoding == JSON else bytes.fromhex(text) for text in texts]
            name = vector.get("name") or vector["why"]
            found += [pytest.param(vector, encoding, message, id=f"{field} {name}") for message in spellings]
    assert found
    return found


def sent(kind: str) -> list[Any]:
    """Vectors of what the gateway sends, as parameters of a test: events, or the other frames."""
    found = [vector for vector in DOCUMENT["frames"] if vector["direction"] == "gateway"]
    assert {vector["name"] for vector in found} >= NOT_MADE
    found = [vector for vector in found if (vector["frame"]["type"] == "event") == (kind == "event")]
    return [pytest.param(vector, id=vector["name"]) for vector in found if vector["name"] not in NOT_MADE]


def value_of(message: bytes, encoding: str) -> Any:
    """What a client decodes."""
    return msgspec.json.decode(message) if encoding == JSON else msgspec.msgpack.decode(message)


def filled(wire: Vector) -> Vector:
    """A client's frame with all its members, as far as the gateway reads it."""
    read = {name: value for name, value in wire.items() if name not in NOT_READ.get(wire["type"], ())}
    if "window" in read:
        read["window"] = {"messages": None, "bytes": None} | read["window"]
    return read


@pytest.mark.parametrize(("vector", "encoding", "message"), messages("frames"))
def test_each_frame_of_a_client_is_read(vector: Vector, encoding: str, message: bytes) -> None:
    frames = decode(message, encoding)
    assert not isinstance(frames, BadFrame)
    assert len(frames) == 1
    found, wire = msgspec.to_builtins(frames[0]), filled(vector["frame"])
    assert found == {name: ABSENT.get(name) for name in found} | wire


@pytest.mark.parametrize(("vector", "encoding", "message"), messages("batches") + messages("ignored"))
def test_a_batch_is_its_frames_in_order_and_what_is_unknown_is_told_apart(
    vector: Vector, encoding: str, message: bytes
) -> None:
    """P1.4, P2.1, P2.3."""
    frames = decode(message, encoding)
    assert not isinstance(frames, BadFrame)
    known = [[frame] for frame in frames if not isinstance(frame, Unknown)]
    assert known == [decode(msgspec.json.encode(wire), JSON) for wire in vector["frames"]]


@pytest.mark.parametrize(("vector", "encoding", "message"), messages("bad"))
def test_what_is_wrong_is_refused(vector: Vector, encoding: str, message: bytes) -> None:
    assert isinstance(decode(message, encoding), BadFrame)


@EITHER
@pytest.mark.parametrize("vector", sent("other"))
def test_each_frame_is_written(vector: Vector, encoding: str) -> None:
    frame = msgspec.convert(vector["frame"], ServerFrame)
    assert value_of(encode(frame, encoding), encoding) == vector["frame"]


@EITHER
@pytest.mark.parametrize("vector", sent("event"))
def test_each_event_is_written(vector: Vector, encoding: str) -> None:
    """P2.33 to P2.35."""
    wire = vector["frame"]
    payload = bytes.fromhex(vector["bytes"]) if "bytes" in vector else msgspec.json.encode(wire["data"])
    lines = {MESSAGE_ID: wire["id"]} if "id" in wire else {}
    block = "".join(f"{name}: {value}\r\n" for name, value in (lines | wire.get("headers", {})).items())
    event = StoredEvent(
        wire["seq"], wire["subject"], nanoseconds(wire["time"]), payload, f"NATS/1.0\r\n{block}\r\n".encode()
    )
    found = value_of(event_frame(event, encoding, replay=wire.get("replay", False)), encoding)
    assert found == (wire if encoding == JSON else msgspec.msgpack.decode(bytes.fromhex(vector["msgpack"])))


@EITHER
@pytest.mark.parametrize("vector", [batch for batch in DOCUMENT["batches"] if batch["direction"] == "gateway"])
def test_each_batch_is_written(vector: Vector, encoding: str) -> None:
    """P1.4."""
    parts = [
        msgspec.json.encode(part) if encoding == JSON else msgspec.msgpack.encode(part) for part in vector["frames"]
    ]
    one = vector["frames"][0] if len(parts) == 1 else vector["frames"]
    assert value_of(join(parts, encoding), encoding) == one


def nanoseconds(time: str) -> int:
    """RFC 3339 as nanoseconds since 1970; for times with one decimal."""
    at = datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.UTC)
    return (calendar.timegm(at.timetuple()) * 1000 + at.microsecond // 1000) * 1_000_000

"""The frames that every SDK must read and write (tests/vectors/frames.json), and what those vectors rest on."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tidewire_client.frames import BadFrame, Codec, Encoding, EventFrame, Incoming, Outgoing, data_bytes

from tests.client import frame_vectors, msgpack_vectors
from tests.client.msgpack_vectors import unfolded, value_of

Vector = dict[str, Any]

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = msgspec.json.decode(frame_vectors.PATH.read_bytes())
MSGPACK: dict[str, Any] = msgspec.json.decode(msgpack_vectors.PATH.read_bytes())


def messages(part: str, direction: str) -> list[Any]:
    """What to read, as parameters of a test: a vector, an encoding, and its message in each spelling that it has."""
    found = []
    for vector in DOCUMENT[part]:
        if vector["direction"] != direction or "python" not in vector.get("by", ["python"]):
            continue
        for encoding in ("json", "msgpack"):
            texts = [vector[encoding]] if encoding in vector else []
            texts += vector.get("also", {}).get(encoding, [])
            spellings = texts if encoding == "json" else [bytes.fromhex(text) for text in texts]
            name = vector.get("name") or vector["why"]
            found += [pytest.param(vector, encoding, message, id=f"{encoding} {name}") for message in spellings]
    assert found
    return found


def encoded(value: object, encoding: Encoding) -> bytes:
    """Any value in one encoding."""
    return msgspec.json.encode(value) if encoding == "json" else msgspec.msgpack.encode(value)


def wire(frame: Incoming, encoding: Encoding) -> Vector:
    """A decoded frame as the vectors have it; an event's value apart from how it travels."""
    if not isinstance(frame, EventFrame):
        plain: Vector = msgspec.json.decode(msgspec.json.encode(frame))
        return plain
    codec = Codec(encoding)
    value = codec.value(frame.data) if frame.data_b64 is None else data_bytes(frame.data_b64)
    members = {name: getattr(frame, name) for name in ("seq", "subject", "time", "replay", "id", "headers")}
    return {"type": "event"} | members | {"value": value}


def expected(read: Vector, vector: Vector) -> Vector:
    """What ``wire`` gives for a vector's ``read``."""
    if read["type"] != "event":
        return read
    value = bytes.fromhex(vector["bytes"]) if "bytes" in vector else read["data"]
    return {name: member for name, member in read.items() if name not in ("data", "data_b64")} | {"value": value}


def test_the_vectors_are_what_their_source_says() -> None:
    assert frame_vectors.PATH.read_text(encoding="utf-8") == frame_vectors.document()
    assert msgpack_vectors.PATH.read_text(encoding="utf-8") == msgpack_vectors.document()


def test_no_two_frames_share_a_name() -> None:
    names = [(vector["direction"], vector["name"]) for vector in DOCUMENT["frames"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("direction", "title"), [("client", "### 2.1"), ("gateway", "### 2.2")])
def test_every_frame_of_the_protocol_has_a_vector(direction: str, title: str) -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    table = page.partition(title)[2].partition("**P2.")[0]
    types = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert {vector["frame"]["type"] for vector in DOCUMENT["frames"] if vector["direction"] == direction} == types


@pytest.mark.parametrize(("vector", "encoding", "message"), messages("frames", "gateway"))
def test_each_frame_of_the_gateway_is_read(vector: Vector, encoding: Encoding, message: str | bytes) -> None:
    found = [wire(frame, encoding) for frame in Codec(encoding).decode(message)]
    assert found == [expected(vector["read"], vector)]


@pytest.mark.parametrize(
    ("vector", "encoding", "message"), messages("batches", "gateway") + messages("ignored", "gateway")
)
def test_a_batch_is_its_frames_in_order_and_what_is_unknown_passes(
    vector: Vector, encoding: Encoding, message: str | bytes
) -> None:
    """P1.4, P2.1."""
    codec = Codec(encoding)
    alone = [frame for part in vector["frames"] for frame in codec.decode(encoded(part, encoding))]
    assert len(alone) == len(vector["frames"])
    assert [wire(frame, encoding) for frame in codec.decode(message)] == [wire(frame, encoding) for frame in alone]


@pytest.mark.parametrize(("vector", "encoding", "message"), messages("bad", "gateway"))
def test_what_is_wrong_is_refused(vector: Vector, encoding: Encoding, message: str | bytes) -> None:
    with pytest.raises(BadFrame):
        Codec(encoding).decode(message)


@pytest.mark.parametrize("text", DOCUMENT["not_base64"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(BadFrame):
        data_bytes(text)


@pytest.mark.parametrize("vector", [vector for vector in DOCUMENT["frames"] if vector.get("sdk")])
def test_each_frame_of_the_client_is_written(vector: Vector) -> None:
    frame = msgspec.convert(vector["frame"], Outgoing)
    assert Codec("json").encode(frame) == vector["json"]
    assert Codec("msgpack").encode(frame) == bytes.fromhex(vector["msgpack"])


def test_the_values_in_messagepack_are_what_msgspec_makes_of_them() -> None:
    for vector in MSGPACK["values"]:
        value, encoded = value_of(vector["value"]), unfolded(vector["msgpack"])
        assert msgspec.msgpack.encode(value) == encoded
        assert repr(msgspec.msgpack.decode(encoded)) == repr(value), "as text, for NaN is not itself"


def test_the_other_spellings_in_messagepack_are_read_so() -> None:
    for vector in MSGPACK["read"]:
        value, found = value_of(vector["value"]), msgspec.msgpack.decode(unfolded(vector["msgpack"]))
        assert (type(found), found) == (type(value), value), vector


def test_the_wrong_messagepack_is_refused_but_for_what_only_the_protocol_forbids() -> None:
    for vector in MSGPACK["bad"]:
        if vector.get("lenient"):
            msgspec.msgpack.decode(unfolded(vector["msgpack"]))
        else:
            with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
                msgspec.msgpack.decode(unfolded(vector["msgpack"]))

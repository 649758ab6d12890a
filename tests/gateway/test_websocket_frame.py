"""What the gateway writes to a socket, read back by a reader of RFC 6455 that shares nothing with it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frames import JSON, MSGPACK, SUBPROTOCOLS
from gateway.websocket_frame import MESSAGE_BYTES, MESSAGE_FRAMES, websocket_messages
from tests.examples import examples

TEXT, BINARY = 1, 2


def read_messages(stream: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Opcode, payload and length of the header of each WebSocket frame in a stream (RFC 6455 5.2)."""
    at = 0
    while at < len(stream):
        first, second = stream[at], stream[at + 1]
        assert first & 0x80, "one frame is the whole message"
        assert not first & 0x70, "no extension is in use"
        assert not second & 0x80, "a server does not mask"
        size, header = second & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, header = int.from_bytes(stream[at + 2 : at + 2 + width]), 2 + width
        payload = stream[at + header : at + header + size]
        assert len(payload) == size, "the stream ends with a message"
        yield first & 0x0F, payload, header
        at += header + size


def frame_of(size: int, encoding: str) -> bytes:
    """A value that takes ``size`` bytes, as a stand-in for a frame."""
    if encoding == JSON:
        return b'"' + b"x" * (size - 2) + b'"'
    for overhead in (1, 2, 3, 5):
        encoded = msgspec.msgpack.encode("x" * (size - overhead))
        if len(encoded) == size:
            return encoded
    raise AssertionError(size)


def decode(payload: bytes, encoding: str) -> Any:
    return msgspec.json.decode(payload) if encoding == JSON else msgspec.msgpack.decode(payload)


@pytest.mark.parametrize("encoding", SUBPROTOCOLS)
@pytest.mark.parametrize(
    ("size", "header"), [(2, 2), (125, 2), (126, 4), (127, 4), (65_535, 4), (65_536, 10), (1_400_000, 10)]
)
def test_a_length_takes_the_shortest_header_that_holds_it(size: int, header: int, encoding: str) -> None:
    """P1.3: text for JSON, binary for MessagePack."""
    frame = frame_of(size, encoding)
    opcode = TEXT if encoding == JSON else BINARY
    assert list(read_messages(websocket_messages([frame], encoding))) == [(opcode, frame, header)]


def test_one_frame_is_no_batch() -> None:
    (message,) = read_messages(websocket_messages([b'{"type":"ping"}'], JSON))
    assert message == (TEXT, b'{"type":"ping"}', 2)


@pytest.mark.parametrize("encoding", SUBPROTOCOLS)
@pytest.mark.parametrize("count", [2, 15, 16, MESSAGE_FRAMES])
def test_a_batch_is_an_array_of_its_frames(count: int, encoding: str) -> None:
    """P1.4."""
    frames = [frame_of(2 + place % 7, encoding) for place in range(count)]
    (message,) = read_messages(websocket_messages(frames, encoding))
    assert decode(message[1], encoding) == [decode(frame, encoding) for frame in frames]


@pytest.mark.parametrize("encoding", SUBPROTOCOLS)
def test_a_batch_is_cut_by_count(encoding: str) -> None:
    frames = [frame_of(3, encoding)] * (2 * MESSAGE_FRAMES + 1)
    messages = [decode(payload, encoding) for _, payload, _ in read_messages(websocket_messages(frames, encoding))]
    assert [len(message) for message in messages[:2]] == [MESSAGE_FRAMES, MESSAGE_FRAMES]
    assert messages[2] == decode(frames[0], encoding), "what is left over alone is no batch"


@pytest.mark.parametrize("encoding", SUBPROTOCOLS)
def test_a_batch_is_cut_by_bytes_and_a_large_frame_goes_alone(encoding: str) -> None:
    half, large, small = (frame_of(size, encoding) for size in (MESSAGE_BYTES // 2, MESSAGE_BYTES + 1, 200))
    sizes = [half, half, small, large, small, small]
    payloads = [payload for _, payload, _ in read_messages(websocket_messages(sizes, encoding))]
    lengths = [len(decode(payload, encoding)) if payload not in sizes else 1 for payload in payloads]
    assert lengths == [2, 1, 1, 2]
    assert payloads[1:3] == [small, large]


@examples(60)
@given(st.lists(st.sampled_from([3, 7, 125, 126, 9_000, 65_535, 131_072, 131_073]), min_size=1, max_size=40), st.data())
def test_every_frame_arrives_once_in_order_in_messages_within_the_limits(sizes: list[int], data: st.DataObject) -> None:
    encoding = data.draw(st.sampled_from(SUBPROTOCOLS))
    frames = [frame_of(size, encoding) for size in sizes]
    arrived: list[Any] = []
    for opcode, payload, _ in read_messages(websocket_messages(frames, encoding)):
        assert opcode == (BINARY if encoding == MSGPACK else TEXT)
        message = decode(payload, encoding)
        batch = message if isinstance(message, list) else [message]
        assert not isinstance(message, list) or 1 < len(message) <= MESSAGE_FRAMES
        assert len(batch) == 1 or sum(len(encoded) for encoded in batch) <= MESSAGE_BYTES
        arrived += batch
    assert arrived == [decode(frame, encoding) for frame in frames]

"""The reader before aiohttp's: what the RFC forbids ends there, what it allows comes through byte for byte."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketError
from aiohttp.http_websocket import WebSocketReader
from hypothesis import given
from hypothesis import strategies as st

from gateway.client_framing import StrictReader
from tests.examples import examples
from tests.system.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, frame

MESSAGE_MOST = 70_000


class Recorder:
    """A reader that keeps the bytes it was fed."""

    def __init__(self) -> None:
        self.data = b""
        self.is_ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        self.is_ended = True


BREACH = b"\xf0\x80"


def handed_on(*chunks: bytes) -> bytes:
    recorder = Recorder()
    reader = StrictReader(recorder)
    for chunk in chunks:
        reader.feed_data(chunk)
    return recorder.data


def long(length: bytes, payload: bytes = b"x" * 8, first: int = 0x81) -> bytes:
    """A masked frame whose length is spelled as given."""
    return bytes((first, 0xFE if len(length) == 2 else 0xFF)) + length + bytes(4) + payload


SIZES = st.sampled_from([0, 1, 2, 125, 126, 127, 200, 65_535, 65_536])
CONTROLS = st.builds(lambda kind, size: frame(b"c" * size, kind), st.sampled_from([PING, PONG]), st.integers(0, 125))


@st.composite
def good_bytes(draw: st.DrawFn) -> bytes:
    """Whole messages and pieces with control frames anywhere between."""
    sent = b""
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from([TEXT, BINARY]))
        sizes = draw(st.lists(SIZES, min_size=1, max_size=4))
        for place, size in enumerate(sizes):
            sent += frame(b"d" * size, 0 if place else kind, fin=place == len(sizes) - 1)
            if draw(st.booleans()):
                sent += draw(CONTROLS)
    return sent


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % len(data) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


PLACES = st.lists(st.integers(0, 2**20), max_size=12)
FEW = examples(150)


@FEW
@given(good_bytes(), PLACES)
def test_what_the_rfc_allows_comes_through_whole_however_it_is_cut(data: bytes, places: list[int]) -> None:
    assert handed_on(*cut(data, places)) == data


def test_byte_by_byte_too() -> None:
    data = frame(b"a" * 130, fin=False) + frame(b"p", PING) + frame(b"", 0) + frame(b"", TEXT) + frame(b"x", CLOSE)
    assert handed_on(*(data[at : at + 1] for at in range(len(data)))) == data


WRONG = {
    "unmasked text": frame(b"x" * 40, masked=False),
    "unmasked empty text": frame(b"", masked=False),
    "unmasked long text": frame(b"x" * 200, masked=False),
    "unmasked ping": frame(b"x", PING, masked=False),
    "unmasked close": frame(b"\x03\xe8", CLOSE, masked=False),
    "a length of 125 in two bytes": long((125).to_bytes(2)),
    "a length of 0 in two bytes": long((0).to_bytes(2)),
    "a length of 65,535 in eight bytes": long((65_535).to_bytes(8)),
    "a length of 2^63": long((2**63).to_bytes(8)),
    "a length of 2^64 - 1": long((2**64 - 1).to_bytes(8)),
    "a piece of nothing": frame(b"x", 0),
    "a first piece of nothing": frame(b"x", 0, fin=False),
}


@FEW
@given(good_bytes(), st.sampled_from(sorted(WRONG)), PLACES)
def test_a_breach_is_the_last_that_the_reader_gets_however_it_is_cut(good: bytes, name: str, places: list[int]) -> None:
    data = good + WRONG[name] + good
    assert handed_on(*cut(data, places)) == good + BREACH


@pytest.mark.parametrize("first", [b"", b"x" * 9])
@pytest.mark.parametrize("second", [frame(b"y"), frame(b"y", BINARY, fin=False), frame(b"y" * 300)])
def test_a_message_inside_another_is_a_breach_though_its_first_piece_is_empty(first: bytes, second: bytes) -> None:
    begun = frame(first, fin=False) + frame(b"", PING) + frame(b"", 0, fin=False)
    assert handed_on(begun + second) == begun + BREACH
    assert handed_on(begun, second) == begun + BREACH


@pytest.mark.parametrize("unfinished", [b"\x81", b"\x81\xfe", b"\x81\xfe\x01", b"\x81\xff" + bytes(7)])
def test_no_head_is_handed_on_before_it_is_judged(unfinished: bytes) -> None:
    assert handed_on(frame(b"x"), unfinished) == frame(b"x")


def test_what_aiohttp_refuses_itself_is_left_to_it() -> None:
    for data in (frame(b"x", 3), frame(b"x", rsv=4), frame(b"x", PING, fin=False), frame(b"p" * 126, PING)):
        assert handed_on(data) == data


def test_more_control_frames_than_are_taken_are_a_breach_that_is_told_apart() -> None:
    """P7.1."""
    taken = 0

    def takes_control() -> bool:
        nonlocal taken
        taken += 1
        return taken <= 3

    recorder = Recorder()
    reader = StrictReader(recorder, takes_control)
    good = (
        frame(b"x") + frame(b"", PING) + frame(b"", fin=False) + frame(b"", PONG) + frame(b"y", 0) + frame(b"p", PING)
    )
    reader.feed_data(good)
    before = reader.is_flooded
    reader.feed_data(frame(b"z") + frame(b"", PING) + frame(b"z"))
    assert (before, reader.is_flooded) == (False, True)
    assert recorder.data == good + frame(b"z") + BREACH


def test_the_end_is_told() -> None:
    recorder = Recorder()
    StrictReader(recorder).feed_eof()
    assert recorder.is_ended


@pytest.mark.parametrize("name", sorted(WRONG))
async def test_aiohttps_reader_fails_a_breach_with_1002_behind_what_came_before_it(name: str) -> None:
    class Transport:
        _reading_paused = False

        def pause_reading(self) -> None: ...
        def resume_reading(self) -> None: ...

    loop: Any = asyncio.get_running_loop()
    protocol: Any = Transport()
    queue = WebSocketDataQueue(protocol, 2**16, loop=loop)
    reader = StrictReader(WebSocketReader(queue, MESSAGE_MOST, False, True))  # noqa: FBT003
    reader.feed_data(frame(b"before") + WRONG[name] + frame(b"behind"))
    assert (await queue.read()).data == "before"
    with pytest.raises(WebSocketError) as failed:
        await queue.read()
    assert failed.value.code == 1002

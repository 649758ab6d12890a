"""What the RFC allows is read whole, what it forbids fails the connection, wherever the bytes are cut."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketError
from aiohttp.http_websocket import WebSocketReader
from aiohttp.streams import EofStream
from hypothesis import given
from hypothesis import strategies as st

from gateway.client_framing import BREACH, ClientFraming, Received
from tests.examples import examples
from tests.system.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, frame

MESSAGE_MOST = 600_000


def read(*chunks: bytes, most: int = MESSAGE_MOST) -> list[Received]:
    framing = ClientFraming(most)
    return [each for chunk in chunks for each in framing.feed(chunk)]


def breach(code: int) -> Received:
    return BREACH, code.to_bytes(2)


def long(length: bytes, payload: bytes = b"x" * 8, first: int = 0x81) -> bytes:
    """A masked frame whose length is spelled as given."""
    return bytes((first, 0xFE if len(length) == 2 else 0xFF)) + length + bytes(4) + payload


SIZES = st.sampled_from([0, 1, 2, 125, 126, 127, 200, 65_535, 65_536])
PIECES = st.lists(
    st.tuples(SIZES, st.none() | st.tuples(st.sampled_from([PING, PONG]), st.integers(0, 125))), max_size=4
)
MESSAGES = st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), PIECES.filter(bool)), min_size=1, max_size=4)


def sent(messages: list[tuple[int, list[tuple[int, tuple[int, int] | None]]]]) -> tuple[bytes, list[Received]]:
    """The bytes of whole messages and pieces with control frames between them, and what is to be read from them."""
    data, expected = b"", []
    for kind, pieces in messages:
        controls: list[Received] = []
        for place, (size, control) in enumerate(pieces):
            is_last = place == len(pieces) - 1
            data += frame(b"d" * size, 0 if place else kind, fin=is_last)
            if is_last:
                expected += [*controls, (kind, b"d" * sum(size for size, _ in pieces))]
                controls = []
            if control is not None:
                data += frame(b"c" * control[1], control[0])
                controls.append((control[0], b"c" * control[1]))
        expected += controls
    return data, expected


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % len(data) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


PLACES = st.lists(st.integers(0, 2**20), max_size=12)
FEW = examples(150)


@FEW
@given(MESSAGES, PLACES)
def test_what_the_rfc_allows_is_read_whole_however_it_is_cut(messages: Any, places: list[int]) -> None:
    data, expected = sent(messages)
    assert read(*cut(data, places)) == expected


def test_byte_by_byte_too() -> None:
    data = frame(b"a" * 130, fin=False) + frame(b"p", PING) + frame(b"", 0) + frame(b"", TEXT) + frame(b"", CLOSE)
    expected = [(PING, b"p"), (TEXT, b"a" * 130), (TEXT, b""), (CLOSE, b"")]
    assert read(*(data[at : at + 1] for at in range(len(data)))) == expected


@pytest.mark.parametrize("size", [*range(18), 64, 1_001])
def test_every_mask_is_taken_off(size: int) -> None:
    payload = bytes(n * 7 % 128 for n in range(size))
    masked = bytes(byte ^ b"\x01\xfe\x80\x3c"[place % 4] for place, byte in enumerate(payload))
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2)
    assert read(head + b"\x01\xfe\x80\x3c" + masked) == [(TEXT, payload)]


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
    "a reserved opcode": frame(b"x", 3),
    "a reserved control opcode": frame(b"x", 11),
    "a reserved bit": frame(b"x", rsv=4),
    "a ping in pieces": frame(b"x", PING, fin=False),
    "a ping of 126 bytes": frame(b"p" * 126, PING),
    "a close of one byte": frame(b"\x03", CLOSE),
    "a close code that is not sent": frame((1006).to_bytes(2), CLOSE),
    "a close code that does not exist": frame((5000).to_bytes(2), CLOSE),
}


@FEW
@given(MESSAGES, st.sampled_from(sorted(WRONG)), PLACES)
def test_a_breach_is_the_last_that_is_read_however_it_is_cut(messages: Any, name: str, places: list[int]) -> None:
    good, expected = sent(messages)
    data = good + WRONG[name] + good
    assert read(*cut(data, places)) == [*expected, breach(1002)]


@pytest.mark.parametrize("first", [b"", b"x" * 9])
@pytest.mark.parametrize("second", [frame(b"y"), frame(b"y", BINARY, fin=False), frame(b"y" * 300)])
def test_a_message_inside_another_is_a_breach_though_its_first_piece_is_empty(first: bytes, second: bytes) -> None:
    begun = frame(first, fin=False) + frame(b"", PING) + frame(b"", 0, fin=False)
    assert read(begun + second) == read(begun, second) == [(PING, b""), breach(1002)]


@pytest.mark.parametrize("data", [frame(b"x" * 11), frame(b"x" * 6, fin=False) + frame(b"y" * 5, 0)])
def test_a_message_beyond_the_limit_is_a_breach_by_its_head(data: bytes) -> None:  # P1.8
    assert read(data, most=11)[-1][0] == TEXT
    assert read(data, most=10) == [breach(1009)]
    assert read(data[: -4 if len(data) < 20 else -5], most=10) == [breach(1009)], "its bytes are not waited for"


@pytest.mark.parametrize(("kind", "payload"), [(TEXT, b"\xff"), (CLOSE, b"\x03\xe8\xff")])
def test_text_that_is_not_utf_8_is_a_breach(kind: int, payload: bytes) -> None:
    assert read(frame(payload, kind)) == [breach(1007)]
    assert read(frame(b"\xce", fin=False) + frame(b"\xba", 0)) == [(TEXT, "κ".encode())]


def test_nothing_behind_a_close_is_read() -> None:
    assert read(frame(b"\x03\xe8", CLOSE) + frame(b"x"), frame(b"y")) == [(CLOSE, b"\x03\xe8")]


def test_a_connection_at_rest_holds_nothing() -> None:
    framing = ClientFraming(MESSAGE_MOST)
    framing.feed(frame(b"x" * 300, fin=False)[:9])
    assert framing._rest
    framing.feed(frame(b"x" * 300, fin=False)[9:] + frame(b"", 0))
    assert not framing._rest
    assert not framing._message


class _Transport:
    _reading_paused = False

    def pause_reading(self) -> None:
        """The queue of a reader that is not read asks for it."""


OPCODES = {WSMsgType.TEXT: TEXT, WSMsgType.BINARY: BINARY, WSMsgType.PING: PING, WSMsgType.PONG: PONG}


async def read_by_aiohttp(data: bytes) -> list[Received]:
    """What another reader makes of the same bytes; it passes over what only we refuse."""
    protocol: Any = _Transport()
    queue = WebSocketDataQueue(protocol, 2**24, loop=asyncio.get_running_loop())
    reader = WebSocketReader(queue, MESSAGE_MOST, False, False)  # noqa: FBT003
    reader.feed_data(data)
    reader.feed_eof()
    found: list[Received] = []
    try:
        while True:
            message = await queue.read()
            found.append((OPCODES[message.type], bytes(message.data)))
    except EofStream:
        return found
    except WebSocketError as error:
        return [*found, breach(int(error.code))]


@FEW
@given(MESSAGES)
def test_another_reader_reads_the_same(messages: Any) -> None:
    data, expected = sent(messages)
    assert asyncio.run(read_by_aiohttp(data)) == expected

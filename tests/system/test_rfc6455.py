"""RFC 6455 on raw TLS sockets, framing.

Numbers are those of the cases of the Autobahn test suite, sections 1 to 5, 9 and 10.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mesh.embedded import EmbeddedServer
from tests.system.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, RawSocket, frame, raw_socket
from tests.system.witnessed import Witnessed, witnessed_gateway
from tests.wire_client import MSGPACK

UNKNOWN = b'{"type":"error","code":"unknown_type","message":"unknown frame type","retry":false}'
READ = (TEXT, UNKNOWN)
"""The answer to a frame of unknown type: it was read."""
LIMIT = 65_536


@pytest_asyncio.fixture(scope="module")
async def witnessed(nats_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Witnessed]:
    async with witnessed_gateway(nats_server, tmp_path_factory.mktemp("rfc6455")) as witnessed:
        yield witnessed


@pytest_asyncio.fixture(autouse=True)
async def _others_are_served(witnessed: Witnessed) -> AsyncIterator[None]:
    yield
    await witnessed.still_serves()


def dance(size: int = 40) -> bytes:
    """A frame of unknown type as JSON of so many bytes."""
    start = b'{"type":"dance","x":"'
    return start + b"x" * (size - len(start) - 2) + b'"}'


def pieces(payload: bytes, size: int, between: bytes = b"") -> bytes:
    """One text message in frames of at most ``size`` bytes, with other frames between them."""
    cuts = [payload[at : at + size] for at in range(0, len(payload), size)]
    last = len(cuts) - 1
    return b"".join(
        frame(cut, 0 if place else TEXT, fin=place == last) + (between if place < last else b"")
        for place, cut in enumerate(cuts)
    )


async def answers(socket: RawSocket, count: int) -> list[tuple[int, bytes]]:
    return [await socket.read() for _ in range(count)]


async def is_alive(socket: RawSocket) -> None:
    await socket.send(frame(b"alive?", PING))
    assert await socket.read() == (PONG, b"alive?")


async def failed(witnessed: Witnessed, data: bytes, code: int, *before: tuple[int, bytes]) -> None:
    """The connection is failed with this code and an empty reason, whether its client is known or a stranger."""
    for is_known in (True, False):
        async with raw_socket(witnessed.gateway) as socket:
            if is_known:
                await witnessed.greet(socket)
            await socket.send(data)
            frames = await socket.ended()
            assert frames[-1] == (CLOSE, code.to_bytes(2)), f"known: {is_known}"
            assert not is_known or frames[:-1] == list(before)


SIZES = {"1.1.2": 125, "1.1.3": 126, "1.1.4": 127, "1.1.5": 128, "1.1.6": 65_535, "1.1.7": 65_536}


@pytest.mark.parametrize("case", SIZES)
async def test_a_text_of_each_length_form_is_read(witnessed: Witnessed, case: str) -> None:  # RFC 6455 5.2
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        await socket.send(frame(dance(SIZES[case])))
        assert await socket.read() == READ
        await is_alive(socket)


async def test_an_empty_text_is_no_frame_of_the_protocol(witnessed: Witnessed) -> None:  # 1.1.1, P2.2
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        await socket.send(frame(b""))
        assert await socket.closed() == 4400


@pytest.mark.parametrize("chop", [1, 997])
async def test_a_message_may_come_in_any_chops_of_bytes(witnessed: Witnessed, chop: int) -> None:  # 1.1.8, 1.2.8
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        data = frame(dance(130 if chop == 1 else LIMIT))
        for at in range(0, len(data), chop):
            await socket.send(data[at : at + chop])
        assert await socket.read() == READ


@pytest.mark.parametrize("size", [125, 126, 127, 128, 65_535, 65_536])
async def test_a_binary_of_each_length_form_is_read(witnessed: Witnessed, size: int) -> None:  # 1.2
    client = witnessed.gateway.client("raw", ["orders.raw.>"])
    async with raw_socket(witnessed.gateway, MSGPACK) as socket:
        await socket.send(frame(msgspec.msgpack.encode(client.connect_frame), BINARY))
        kinds: list[str] = []
        while "live" not in kinds:
            decoded: Any = msgspec.msgpack.decode((await socket.read())[1])
            kinds += [each["type"] for each in (decoded if isinstance(decoded, list) else [decoded])]
        empty = len(msgspec.msgpack.encode({"type": "dance", "x": b"x" * 300})) - 300
        pad = next(pad for pad in range(size - empty - 3, size) if len(packed(pad)) == size)
        await socket.send(frame(packed(pad), BINARY))
        assert msgspec.msgpack.decode((await socket.read())[1])["code"] == "unknown_type"


def packed(pad: int) -> bytes:
    return msgspec.msgpack.encode({"type": "dance", "x": b"x" * pad})


@pytest.mark.parametrize(
    ("case", "payload"),
    [("2.1", b""), ("2.2", b"Hello"), ("2.3", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), ("2.4", b"\xfe" * 125)],
)
@pytest.mark.parametrize("chop", [200, 1])
async def test_a_ping_is_answered_with_its_payload(witnessed: Witnessed, case: str, payload: bytes, chop: int) -> None:
    """P1.9; 2.6: byte by byte."""
    data = frame(payload, PING)
    for is_known in (True, False):
        async with raw_socket(witnessed.gateway) as socket:
            if is_known:
                await witnessed.greet(socket)
            for at in range(0, len(data), chop):
                await socket.send(data[at : at + chop])
            assert await socket.read() == (PONG, payload), case


async def test_a_ping_or_pong_of_126_bytes_fails_the_connection(witnessed: Witnessed) -> None:  # 2.5
    await failed(witnessed, frame(b"\xfe" * 126, PING), 1002)
    await failed(witnessed, frame(b"\xfe" * 126, PONG), 1002)


@pytest.mark.parametrize(("case", "payload"), [("2.7", b""), ("2.8", b"unsolicited")])
async def test_a_pong_that_nobody_asked_for_is_nothing(witnessed: Witnessed, case: str, payload: bytes) -> None:
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        await socket.send(frame(payload, PONG) + frame(b"p", PING) + frame(payload, PONG))  # 2.9
        assert await socket.read() == (PONG, b"p"), case
        await is_alive(socket)


@pytest.mark.parametrize("chop", [10_000, 1])
async def test_ten_pings_have_ten_pongs_in_order(witnessed: Witnessed, chop: int) -> None:  # 2.10, 2.11
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        data = b"".join(frame(b"payload-%d" % n, PING) for n in range(10))
        for at in range(0, len(data), chop):
            await socket.send(data[at : at + chop])
        assert await answers(socket, 10) == [(PONG, b"payload-%d" % n) for n in range(10)]


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("kind", [TEXT, BINARY, PING, PONG, CLOSE])
async def test_reserved_bits_fail_the_connection(witnessed: Witnessed, rsv: int, kind: int) -> None:  # 3.1 to 3.7
    before = frame(dance()) + frame(b"p", PING)
    after = frame(b"never", PING)
    await failed(witnessed, frame(b"", kind, rsv=rsv) + after, 1002)
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        await socket.send(before + frame(b"", kind, rsv=rsv) + after)
        frames = await socket.ended()
        assert frames[-1] == (CLOSE, (1002).to_bytes(2))
        assert sorted(frames[:-1]) == sorted([READ, (PONG, b"p")]), "what came before was answered, nothing behind"


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"reserved"])
async def test_reserved_opcodes_fail_the_connection(
    witnessed: Witnessed, opcode: int, payload: bytes
) -> None:  # 4.1, 4.2
    await failed(witnessed, frame(payload, opcode) + frame(b"never", PING), 1002)
    await failed(witnessed, frame(b"p", PING) + frame(payload, opcode), 1002, (PONG, b"p"))


BROKEN: list[tuple[str, bytes]] = [
    ("5.1 a ping in pieces", frame(b"x", PING, fin=False) + frame(b"y", 0)),
    ("5.2 a pong in pieces", frame(b"x", PONG, fin=False) + frame(b"y", 0)),
    ("5.9 a last piece of nothing", frame(b"x", 0) + frame(dance())),
    ("5.12 a first piece of nothing", frame(b"x", 0, fin=False) + frame(dance())),
    ("5.12 an empty piece of nothing", frame(b"", 0, fin=False)),
    ("5.18 a message begun inside another", frame(b"x", fin=False) + frame(b"y", fin=False)),
    ("5.18 a whole message inside another", frame(b"x", fin=False) + frame(dance())),
    ("5.18 inside one whose first piece is empty", frame(b"", fin=False) + frame(dance())),
    ("5.18 inside one of empty pieces", frame(b"", fin=False) + frame(b"", 0, fin=False) + frame(b"y", BINARY)),
    ("5.1 a text that is not masked", frame(dance(), masked=False)),
    ("5.1 a long text that is not masked", frame(dance(300), masked=False)),
    ("5.1 an empty text that is not masked", frame(b"", masked=False)),
    ("5.1 a ping that is not masked", frame(b"x", PING, masked=False)),
    ("5.1 a close that is not masked", frame(b"\x03\xe8", CLOSE, masked=False)),
    ("5.1 a piece that is not masked", frame(b'{"type":', fin=False) + frame(b'"dance"}', 0, masked=False)),
    ("5.2 a length of 125 in two bytes", b"\x81\xfe\x00\x7d" + bytes(129)),
    ("5.2 a length of 40 in eight bytes", b"\x81\xff" + (40).to_bytes(8) + bytes(44)),
    ("5.2 a length of 65,535 in eight bytes", b"\x81\xff" + (65_535).to_bytes(8) + bytes(44)),
    ("5.2 a length of 2^63", b"\x81\xff\x80" + bytes(15)),
    ("5.2 a length of 2^64 - 1", b"\x82\xff" + b"\xff" * 8 + bytes(8)),
]
"""Numbers of 5.1 and 5.2 without a piece in their names are sections of the RFC."""


@pytest.mark.parametrize(("case", "data"), BROKEN, ids=[case for case, _ in BROKEN])
@pytest.mark.parametrize("chop", [100_000, 1])
async def test_what_the_rfc_forbids_fails_the_connection(
    witnessed: Witnessed, case: str, data: bytes, chop: int
) -> None:
    if chop > 1:
        await failed(witnessed, data, 1002)
        return
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        for at in range(min(len(data), 60)):
            await socket.send(data[at : at + 1])
        assert await socket.closed() == 1002, case


async def test_an_unmasked_frame_behind_good_ones_takes_none_of_them_away(witnessed: Witnessed) -> None:  # RFC 6455 5.1
    good = frame(dance()) + frame(b"p", PING)
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        await socket.send(good + frame(dance(), masked=False) + good)
        frames = await socket.ended()
        assert frames[-1] == (CLOSE, (1002).to_bytes(2))
        assert sorted(frames[:-1]) == sorted([READ, (PONG, b"p")])


@pytest.mark.parametrize(
    ("case", "data", "pongs"),
    [
        ("5.3", pieces(dance(), 20), 0),
        ("5.4", pieces(dance(), 1), 0),
        ("5.6", pieces(dance(), 20, frame(b"", PING)), 1),
        ("5.7", pieces(dance(), 1, frame(b"", PING) + frame(b"", PONG)), 39),
        ("5.19", pieces(dance(), 8, frame(b"", PING)), 4),
        ("6.1.2 empty pieces", frame(b"", fin=False) + frame(b"", 0, fin=False) + frame(dance(), 0), 0),
        ("6.1.3 empty pieces around", frame(b"", fin=False) + frame(dance(), 0, fin=False) + frame(b"", 0), 0),
        ("9.3 the limit in pieces of 64", pieces(dance(LIMIT), 64), 0),
        ("9.3 the limit in pieces of 4,096", pieces(dance(LIMIT), 4_096), 0),
        ("10.1.1 the limit in pieces of 1,300", pieces(dance(LIMIT), 1_300), 0),
    ],
)
async def test_a_message_in_pieces_is_one(witnessed: Witnessed, case: str, data: bytes, pongs: int) -> None:
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        await socket.send(data)
        assert sorted(await answers(socket, pongs + 1)) == sorted([READ] + [(PONG, b"")] * pongs), case
        await is_alive(socket)


@pytest.mark.parametrize(
    ("case", "data"),
    [
        ("9.1 one byte beyond the limit", frame(dance(LIMIT + 1))),
        ("9.1 one byte beyond, only the head", b"\x81\xff" + (LIMIT + 1).to_bytes(8) + bytes(4)),
        ("9.1 a tebibyte announced", b"\x82\xff" + (2**40).to_bytes(8) + bytes(4)),
        ("9.1 2^63 - 1 announced", b"\x82\xff\x7f" + b"\xff" * 7 + bytes(4)),
        ("9.3 one byte beyond in pieces", pieces(dance(LIMIT + 1), 4_096)),
        ("9.3 the limit and an unfinished byte more", frame(dance(LIMIT), fin=False) + frame(b"x", 0, fin=False)),
    ],
)
async def test_a_message_beyond_the_limit_closes(witnessed: Witnessed, case: str, data: bytes) -> None:  # P1.8
    for is_known in (True, False):
        async with raw_socket(witnessed.gateway) as socket:
            if is_known:
                await witnessed.greet(socket)
            await socket.send(data)
            assert await socket.ended() == [(CLOSE, (4413).to_bytes(2) + b"frame too large")], (case, is_known)


async def test_empty_pieces_without_end_hold_nothing_and_stop_nobody(witnessed: Witnessed) -> None:
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        await socket.send(frame(b"", fin=False))
        for _ in range(20):
            await socket.send(frame(b"", 0, fin=False) * 500)
        await is_alive(socket)
        await socket.send(frame(dance(), 0))
        assert await socket.read() == READ

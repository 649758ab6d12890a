"""RFC 6455 on raw TLS sockets: texts that are UTF-8 and texts that are not, and how a connection is closed.

Numbers are those of the cases of the Autobahn test suite, sections 6 and 7.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mesh.embedded import EmbeddedServer
from tests.system.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, frame, raw_socket
from tests.system.witnessed import Witnessed, witnessed_gateway
from tests.until import until

UNKNOWN = b'{"type":"error","code":"unknown_type","message":"unknown frame type","retry":false}'
READ = (TEXT, UNKNOWN)
"""The answer to a frame of unknown type: it was read."""
DONE = (CLOSE, (1000).to_bytes(2))


@pytest_asyncio.fixture(scope="module")
async def witnessed(nats_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Witnessed]:
    async with witnessed_gateway(nats_server, tmp_path_factory.mktemp("rfc6455")) as witnessed:
        yield witnessed


@pytest_asyncio.fixture(autouse=True)
async def _others_are_served(witnessed: Witnessed) -> AsyncIterator[None]:
    yield
    await witnessed.still_serves()


def dance(text: bytes) -> bytes:
    return b'{"type":"dance","x":"' + text + b'"}'


def pieces(payload: bytes, *places: int) -> bytes:
    """One text message, cut at these places."""
    edges = (0, *places, len(payload))
    last = len(edges) - 2
    return b"".join(
        frame(payload[edges[n] : edges[n + 1]], 0 if n else TEXT, fin=n == last) for n in range(len(edges) - 1)
    )


async def answered(witnessed: Witnessed, *data: bytes, is_known: bool = True) -> list[tuple[int, bytes]]:
    """What comes until the gateway ends the socket."""
    async with raw_socket(witnessed.gateway) as socket:
        if is_known:
            await witnessed.greet(socket)
        for each in data:
            await socket.send(each)
        return await socket.ended()


GOOD_TEXTS = {
    "6.2.1 text of many lengths": "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "6.5.1 Greek": "κόσμε".encode(),
    "6.7 a NUL as an escape": b"\\u0000",
    "6.7.2 U+0080": b"\xc2\x80",
    "6.7.3 U+0800": b"\xe0\xa0\x80",
    "6.7.4 U+10000": b"\xf0\x90\x80\x80",
    "6.9.1 U+007F": b"\x7f",
    "6.9.2 U+07FF": b"\xdf\xbf",
    "6.9.3 U+FFFF": b"\xef\xbf\xbf",
    "6.9.4 U+10FFFF": b"\xf4\x8f\xbf\xbf",
    "6.11.1 U+D7FF": b"\xed\x9f\xbf",
    "6.11.2 U+E000": b"\xee\x80\x80",
    "6.11.3 U+FFFD": b"\xef\xbf\xbd",
    "6.22 non-characters": b"\xef\xbf\xbe\xf0\x9f\xbf\xbe\xf4\x8f\xbf\xbe",
    "6.23 specials": b"\xef\xbf\xb9\xef\xbf\xbc\xef\xbb\xbf",
}


@pytest.mark.parametrize("case", GOOD_TEXTS)
async def test_text_that_is_utf_8_is_read_wherever_it_is_cut(witnessed: Witnessed, case: str) -> None:
    text = dance(GOOD_TEXTS[case])
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        sent = [frame(text), pieces(text, *range(1, len(text)))]  # 6.2.3: a byte a piece
        sent += [pieces(text, place) for place in range(21, len(text) - 1)]
        for each in sent:
            await socket.send(each)
            assert await socket.read() == READ


BAD_TEXTS = {
    "6.3.1 a surrogate after good text": "κόσμε".encode() + b"\xed\xa0\x80edited",
    "6.4.1 beyond U+10FFFF": "κόσμε".encode() + b"\xf4\x90\x80\x80edited",
    "6.6 the first byte of two": b"\xce",
    "6.6 two bytes of three": b"\xe1\xbd",
    "6.6 three bytes of four": b"\xf0\x90\x80",
    "6.8.1 five bytes": b"\xf8\x88\x80\x80\x80",
    "6.8.2 six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "6.10.1 U+1FFFFF": b"\xf7\xbf\xbf\xbf",
    "6.10.3 U+7FFFFFFF": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "6.12.1 a lone continuation": b"\x80",
    "6.12.8 sixty-four of them": bytes(range(0x80, 0xC0)),
    "6.13 starts followed by spaces": b"\xc3 \xe1 \xf1 ",
    "6.14.1 a start at the end": b"\xc3",
    "6.16 impossible bytes": b"\xfe\xff",
    "6.17 an overlong slash": b"\xc0\xaf",
    "6.17 an overlong slash of three": b"\xe0\x80\xaf",
    "6.17 an overlong slash of four": b"\xf0\x80\x80\xaf",
    "6.18 the largest overlong": b"\xc1\xbf",
    "6.18 the largest overlong of three": b"\xe0\x9f\xbf",
    "6.19 an overlong NUL": b"\xc0\x80",
    "6.20 a surrogate": b"\xed\xa0\x80",
    "6.20 the last surrogate": b"\xed\xbf\xbf",
    "6.21 a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
}


@pytest.mark.parametrize("case", BAD_TEXTS)
async def test_text_that_is_not_utf_8_fails_the_connection(witnessed: Witnessed, case: str) -> None:  # RFC 6455 8.1
    text = dance(BAD_TEXTS[case])
    for is_known in (True, False):
        for data in (frame(text), pieces(text, 21), pieces(text, 22)):
            assert await answered(witnessed, data, is_known=is_known) == [(CLOSE, (1007).to_bytes(2))], case


async def test_the_same_bytes_in_a_binary_are_no_text(witnessed: Witnessed) -> None:  # P1.3
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        await socket.send(frame(dance(b"\xff"), BINARY))
        assert await socket.closed() == 4400


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xe8" + b"r" * 123])  # 7.3.1, 7.3.3 to 5
async def test_a_good_close_is_answered_and_ends_the_socket(witnessed: Witnessed, payload: bytes) -> None:
    for is_known in (True, False):
        assert await answered(witnessed, frame(payload, CLOSE), is_known=is_known) == [DONE]


GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
BAD_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 10_000, 65_535]


@pytest.mark.parametrize("code", GOOD_CODES)  # 7.7
async def test_a_code_that_may_be_sent_is_answered(witnessed: Witnessed, code: int) -> None:
    assert await answered(witnessed, frame(code.to_bytes(2), CLOSE)) == [DONE]


@pytest.mark.parametrize("code", BAD_CODES)  # 7.9, 7.13
async def test_a_code_that_must_not_be_sent_is_a_breach(witnessed: Witnessed, code: int) -> None:  # RFC 6455 7.4
    for is_known in (True, False):
        for reason in (b"", b"reason"):
            frames = await answered(witnessed, frame(code.to_bytes(2) + reason, CLOSE), is_known=is_known)
            assert frames == [(CLOSE, (1002).to_bytes(2))]


@pytest.mark.parametrize(
    ("case", "payload", "code"),
    [
        ("7.3.2", b"\x03", 1002),
        ("7.3.6", b"\x03\xe8" + b"r" * 124, 1002),
        ("7.5.1", b"\x03\xe8" + b"\xce\xba\xed\xa0\x80", 1007),
        ("7.5.1 cut inside a character", b"\x03\xe8" + b"\xce", 1007),
    ],
)
async def test_a_close_of_another_form_is_a_breach(witnessed: Witnessed, case: str, payload: bytes, code: int) -> None:
    for is_known in (True, False):
        frames = await answered(witnessed, frame(payload, CLOSE), is_known=is_known)
        assert frames == [(CLOSE, code.to_bytes(2))], case


BYE = frame(b"\x03\xe8", CLOSE)


@pytest.mark.parametrize(
    ("case", "data"),
    [
        ("7.1.2 two closes", BYE + BYE),
        ("7.1.3 a ping behind it", BYE + frame(b"p", PING)),
        ("7.1.4 a text behind it", BYE + frame(dance(b"never"))),
        ("7.1.5 between pieces", frame(b'{"type":', fin=False) + BYE + frame(b'"dance"}', 0)),
        ("a breach behind it", BYE + frame(b"x", 3)),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
async def test_nothing_behind_a_close_is_read(witnessed: Witnessed, case: str, data: bytes, is_known: bool) -> None:  # noqa: FBT001
    assert await answered(witnessed, data, is_known=is_known) == [DONE], case


async def test_what_came_before_a_close_is_answered(witnessed: Witnessed) -> None:  # 7.1.1
    assert await answered(witnessed, frame(dance(b"first")) + frame(b"p", PING) + BYE) == [READ, (PONG, b"p"), DONE]


async def test_a_cut_in_place_of_a_close_parks_the_session(witnessed: Witnessed) -> None:
    by_key = witnessed.gateway.house.exchange.by_key
    held = len(by_key)
    async with raw_socket(witnessed.gateway) as socket:
        await witnessed.greet(socket)
        assert len(by_key) == held + 1
    await until(lambda: len(by_key) == held)

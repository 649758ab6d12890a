"""Messages taken from the bytes of the NATS client protocol, in whatever pieces they come."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.protocol_reader import LINE_MOST_BYTES, MESSAGE_MOST_BYTES, Malformed, ProtocolReader
from tests.examples import examples

Message = tuple[bytes, bytes, bytes, bytes, bytes]
WORD = st.binary(min_size=1, max_size=12).filter(lambda word: not set(word) & set(b" \t\r\n"))
BYTES = st.binary(max_size=60)
MESSAGES = st.tuples(
    st.integers(1, 999).map(lambda sid: b"%d" % sid), WORD, st.one_of(st.just(b""), WORD), BYTES, BYTES
)
OTHERS = st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b'INFO {"a":1}\r\n', b"-ERR 'Stale Connection'\r\n"])


def written(message: Message) -> bytes:
    sid, subject, reply, payload, headers = message
    words = [subject, sid, *([reply] if reply else [])]
    if not headers:
        return b"MSG %s %d\r\n%s\r\n" % (b" ".join(words), len(payload), payload)
    whole = headers + payload
    return b"HMSG %s %d %d\r\n%s\r\n" % (b" ".join(words), len(headers), len(whole), whole)


def read(*pieces: bytes) -> tuple[list[Message], bytes]:
    heard: list[Message] = []
    reader = ProtocolReader(lambda *message: heard.append(message))
    return heard, b"".join([reader.feed(piece) for piece in pieces])


@examples(300)
@given(lines=st.lists(st.one_of(MESSAGES, OTHERS), max_size=8), cuts=st.lists(st.integers(0, 2_000), max_size=8))
def test_any_pieces_give_the_same_messages_and_the_other_lines_as_they_came(
    lines: list[Message | bytes], cuts: list[int]
) -> None:
    whole = b"".join(line if isinstance(line, bytes) else written(line) for line in lines)
    at = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    heard, others = read(*(whole[start:end] for start, end in itertools.pairwise(at)))
    assert heard == [line for line in lines if not isinstance(line, bytes)]
    assert others == b"".join(line for line in lines if isinstance(line, bytes))


def test_byte_by_byte_is_as_at_once() -> None:
    message = (b"7", b"a.b", b"re", b"MSG x 1 1\r\n", b"NATS/1.0\r\n\r\n")
    whole = b"PING\r\n" + written(message) + b"PONG\r\n"
    assert read(*(whole[at : at + 1] for at in range(len(whole)))) == read(whole) == ([message], b"PING\r\nPONG\r\n")


@pytest.mark.parametrize(
    "line",
    [
        *(b"MSG a 1\r\n", b"MSG a 1 b c 1\r\n", b"MSG a 1 x\r\n", b"MSG a 1 -1\r\n", b"MSG  1 \r\n", b"MSG \r\n"),
        *(b"HMSG a 1 5\r\n", b"HMSG a 1 5 4\r\n", b"HMSG a 1 b c 4 5\r\n", b"HMSG a 1 -1 4\r\n", b"HMSG \r\n"),
    ],
)
def test_a_line_that_no_server_sends_ends_the_reading(line: bytes) -> None:
    with pytest.raises(Malformed):
        read(line + b"12345\r\n")


def test_a_line_and_a_message_have_limits() -> None:
    assert read(b"x" * LINE_MOST_BYTES) == ([], b"")
    with pytest.raises(Malformed, match="too long"):
        read(b"x" * LINE_MOST_BYTES, b"x")
    assert read(b"x" * LINE_MOST_BYTES + b"\r\n")[1] == b"x" * LINE_MOST_BYTES + b"\r\n"
    with pytest.raises(Malformed, match="too long"):
        read(b"x" * (LINE_MOST_BYTES + 1) + b"\r\n")
    assert read(b"MSG a 1 %d\r\n" % MESSAGE_MOST_BYTES) == ([], b"")
    with pytest.raises(Malformed, match="out of range"):
        read(b"MSG a 1 %d\r\n" % (MESSAGE_MOST_BYTES + 1))

"""Frames from a client, in both encodings, right and wrong; frames to a client, as the protocol's page has them."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import frames
from gateway.frames import BATCH_MOST, JSON, MSGPACK, SUBPROTOCOLS, BadFrame, decode, encode, join
from tests.examples import examples

EITHER = pytest.mark.parametrize("encoding", SUBPROTOCOLS)
CONNECT = {"type": "connect", "token": "t", "session": "s"}
FRAMES: list[tuple[dict[str, Any], frames.Frame]] = [
    (CONNECT, frames.Connect(session="s", token="t")),
    ({"type": "connect", "session": "s"}, frames.Connect(session="s")),
    (
        CONNECT
        | {
            "subscribe": ["a.>"],
            "resume": {"stream": "E:1", "seq": 7},
            "window": {"messages": 5, "bytes": 9},
            "replay": "none",
            "client": {"any": ["thing", 1, None, 1.5]},
        },
        frames.Connect(
            "s",
            "t",
            ["a.>"],
            frames.Resume("E:1", 7),
            frames.WindowWish(5, 9),
            "none",
            {"any": ["thing", 1, None, 1.5]},
        ),
    ),
    (CONNECT | {"window": {"bytes": 9}}, frames.Connect("s", "t", window=frames.WindowWish(None, 9))),
    ({"type": "ack", "seq": 2**63 - 1}, frames.Ack(2**63 - 1)),
    ({"type": "subscribe", "id": 1, "subjects": ["a"]}, frames.Subscribe(1, ["a"], "now")),
    ({"type": "subscribe", "id": "x", "subjects": [], "from": {"seq": 5}}, frames.Subscribe("x", [], {"seq": 5})),
    ({"type": "unsubscribe", "id": -1, "subjects": ["a", "b"]}, frames.Unsubscribe(-1, ["a", "b"])),
    ({"type": "request", "id": "r", "subject": "s", "data": {"k": 1}, "timeout": 5}, frames.Request("r", "s")),
    ({"type": "publish", "id": "p", "subject": "s", "data": [1], "key": "k"}, frames.Publish("p", "s")),
    ({"type": "refresh", "token": "t"}, frames.Refresh("t")),
    ({"type": "refresh"}, frames.Refresh("")),
    ({"type": "refresh", "token": "t", "id": 0}, frames.Refresh("t", 0)),
    ({"type": "ping"}, frames.Ping()),
    ({"type": "pong"}, frames.Pong()),
    ({"type": "sing", "seq": "anything"}, frames.Unknown()),
    ({"type": "Ack", "seq": 1}, frames.Unknown()),
    ({"type": ""}, frames.Unknown()),
]
WRONG: list[dict[str, Any]] = [
    {"type": "ack"},
    {"type": "ack", "seq": "1"},
    {"type": "ack", "seq": True},
    {"type": "ack", "seq": 1.5},
    {"type": "ack", "seq": None},
    {"type": "ack", "seq": [1]},
    {"type": "connect", "token": "t"},
    {"type": "connect", "token": None, "session": "s"},
    CONNECT | {"token": 5},
    CONNECT | {"subscribe": "a"},
    CONNECT | {"subscribe": [1]},
    CONNECT | {"resume": 7},
    CONNECT | {"resume": {"seq": 7}},
    CONNECT | {"resume": {"stream": "E:1"}},
    CONNECT | {"resume": {"stream": "E:1", "seq": "7"}},
    CONNECT | {"window": {"messages": "many"}},
    CONNECT | {"replay": 1},
    {"type": "subscribe", "subjects": ["a"]},
    {"type": "subscribe", "id": None, "subjects": ["a"]},
    {"type": "subscribe", "id": True, "subjects": ["a"]},
    {"type": "subscribe", "id": 1.5, "subjects": ["a"]},
    {"type": "subscribe", "id": 1},
    {"type": "subscribe", "id": 1, "subjects": {"a": 1}},
    {"type": "unsubscribe", "id": 1, "subjects": [None]},
    {"type": "request", "id": 1},
    {"type": "publish", "subject": "s"},
    {"type": "refresh", "token": None},
    {"type": "refresh", "token": "t", "id": 1.5},
    {"type": "refresh", "token": ["t"]},
]


def encoded(value: object, encoding: str) -> bytes:
    return msgspec.json.encode(value) if encoding == JSON else msgspec.msgpack.encode(value)


def back(message: bytes, encoding: str) -> Any:
    return msgspec.json.decode(message) if encoding == JSON else msgspec.msgpack.decode(message)


def deep(levels: int) -> object:
    """``levels`` arrays, one in the other."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@EITHER
@pytest.mark.parametrize(("wire", "frame"), FRAMES)
def test_each_frame_is_read(wire: dict[str, Any], frame: frames.Frame, encoding: str) -> None:
    assert decode(encoded(wire, encoding), encoding) == [frame]


@EITHER
@pytest.mark.parametrize(("wire", "frame"), FRAMES)
def test_unknown_fields_are_ignored(wire: dict[str, Any], frame: frames.Frame, encoding: str) -> None:
    """P2.1."""
    more = {"later": {"a": [1, None]}} | wire | {"x-trace": "1", "Seq": 5}
    assert decode(encoded(more, encoding), encoding) == [frame]


@EITHER
@pytest.mark.parametrize("wire", WRONG)
def test_a_known_type_with_a_wrong_field_is_bad(wire: dict[str, Any], encoding: str) -> None:
    """P2.2."""
    assert decode(encoded(wire, encoding), encoding) == BadFrame("fields")
    batch = encoded([{"type": "pong"}, wire], encoding)
    assert decode(batch, encoding) == BadFrame("fields"), "nothing of such a batch is taken"


@EITHER
@pytest.mark.parametrize("wire", [{}, {"Type": "ack"}, {"type": 5}, {"type": None}, {"type": ["ack"]}, "ack", 5, None])
def test_what_is_no_map_with_a_type_is_bad(wire: object, encoding: str) -> None:
    """P2.1."""
    assert decode(encoded(wire, encoding), encoding) == BadFrame("not decodable")


@EITHER
def test_a_batch_is_its_frames_in_order(encoding: str) -> None:
    """P1.4."""
    assert decode(encoded([wire for wire, _ in FRAMES], encoding), encoding) == [frame for _, frame in FRAMES]
    assert decode(encoded([{"type": "pong"}], encoding), encoding) == [frames.Pong()]


@EITHER
def test_an_empty_batch_and_one_of_257_are_bad_and_256_are_not(encoding: str) -> None:
    """P1.4."""
    pong = {"type": "pong"}
    assert decode(encoded([], encoding), encoding) == BadFrame("batch")
    assert decode(encoded([pong] * (BATCH_MOST + 1), encoding), encoding) == BadFrame("batch")
    assert decode(encoded([pong] * BATCH_MOST, encoding), encoding) == [frames.Pong()] * 256


@EITHER
@pytest.mark.parametrize("batch", [[[]], [[{"type": "pong"}]], [{"type": "pong"}, []], [5], [None], ["pong"]])
def test_a_batch_of_anything_but_frames_is_bad(batch: list[object], encoding: str) -> None:
    """P1.4."""
    assert decode(encoded(batch, encoding), encoding) == BadFrame("not decodable")


def test_space_around_json_changes_nothing() -> None:
    assert decode(b' \r\n\t[ {"type": "pong"} ] \n', JSON) == [frames.Pong()]
    assert decode(b'\n{"type":"pong"}\t', JSON) == [frames.Pong()]


@EITHER
def test_depth_32_is_taken_and_33_is_not(encoding: str) -> None:
    """P2.2."""
    assert decode(encoded(CONNECT | {"client": deep(31)}, encoding), encoding) == [
        frames.Connect("s", "t", client=deep(31))
    ]
    assert decode(encoded(CONNECT | {"client": deep(32)}, encoding), encoding) == BadFrame("depth")
    assert decode(encoded({"type": "pong", "x": deep(32)}, encoding), encoding) == BadFrame("depth")


def test_the_hostile_depth_of_a_whole_message_is_refused() -> None:
    assert decode(b"[" * 65_536, JSON) == BadFrame("depth")
    assert decode(b'{"type":"pong","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", JSON) == BadFrame("depth")
    assert decode(b"\x91" * 65_536, MSGPACK) == BadFrame("depth")


@pytest.mark.parametrize("kind", ["connect", "refresh"])
@pytest.mark.parametrize(
    "members",
    [
        b'"token":"a","token":"b"',
        b'"token":"a","t\\u006fken":"b"',
        b'"token":"a","x":1,"x":2',
        b'"token":"a","client":{"deep":[{"k":1,"k":1}]}',
    ],
)
def test_a_repeated_key_in_json_is_bad(kind: str, members: bytes) -> None:
    """P2.5."""
    message = b'{"type":"%s","session":"s",%s}' % (kind.encode(), members)
    assert decode(message, JSON) == BadFrame("duplicate keys")
    assert decode(b'[{"type":"pong"},' + message + b"]", JSON) == BadFrame("duplicate keys")


@pytest.mark.parametrize("kind", ["connect", "refresh"])
@pytest.mark.parametrize("key", [b"\xa5token", b"\xd9\x05token", b"\xda\0\x05token", b"\xdb\0\0\0\x05token"])
def test_a_repeated_key_in_messagepack_is_bad_however_its_length_is_spelled(kind: str, key: bytes) -> None:
    """P2.5."""
    once = msgspec.msgpack.encode({"type": kind, "session": "s", "token": "a"})
    assert not isinstance(decode(once, MSGPACK), BadFrame)
    assert decode(b"\x84" + once[1:] + key + b"\xa1b", MSGPACK) == BadFrame("duplicate keys")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b" ",
        b"\0",
        b"{",
        b"nonsense",
        b'{"type":"pong"}}',
        b'{"type":"pong"} {"type":"pong"}',
        b'[{"type":"pong"},]',
        b"{'type':'pong'}",
        b'\xef\xbb\xbf{"type":"pong"}',
        '{"type":"pong"}'.encode("utf-16"),
        b'{"type":"pong","x":NaN}',
        b'{"type":"pong","x":-Infinity}',
        b'{"type":"pong","x":"\\ud800"}',
        b'{"type":"po\xffng"}',
        b'{"type":"refresh","token":"\\udc00"}',
    ],
)
def test_what_is_no_json_is_bad(message: bytes) -> None:
    """P1.3."""
    assert isinstance(decode(message, JSON), BadFrame)


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"])
def test_a_text_that_is_not_utf_8_is_bad_in_both_encodings(text: bytes) -> None:
    assert isinstance(decode(b'{"type":"refresh","token":"%s"}' % text, JSON), BadFrame)
    packed = msgspec.msgpack.encode({"type": "refresh"})[1:] + msgspec.msgpack.encode("token")
    assert isinstance(decode(b"\x82" + packed + bytes((0xA0 | len(text),)) + text, MSGPACK), BadFrame)


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80"])
@pytest.mark.parametrize("kind", [b"ack", b"dance", b"ping"])
def test_a_text_that_is_not_utf_8_is_bad_also_where_nobody_reads_it(kind: bytes, text: bytes) -> None:
    """P2.2: in an unknown field, in its name, in a frame of unknown type. JSON was checked as a WebSocket's text."""
    short = bytes((0xA0 | len(text),)) + text
    start = b"\x83\xa4type" + bytes((0xA0 | len(kind),)) + kind + b"\xa3seq\x01"
    assert isinstance(decode(start + b"\xa1x" + short, MSGPACK), BadFrame)
    assert isinstance(decode(start + short + b"\xa1x", MSGPACK), BadFrame)
    assert not isinstance(decode(start + b"\xa1x\xa1x", MSGPACK), BadFrame)


@pytest.mark.parametrize("digits", ["1" * 5_000, "-" + "9" * 60_000, "1e999", "1" * 5_000 + ".5"])
def test_a_huge_number_is_bad_where_it_counts(digits: str) -> None:
    assert decode(b'{"type":"ack","seq":%s}' % digits.encode(), JSON) == BadFrame("fields")
    assert isinstance(
        decode(b'{"type":"connect","token":"t","session":"s","client":%s}' % digits.encode(), JSON), BadFrame
    )


def test_a_frame_of_many_values_is_read_but_for_one_that_brings_a_token() -> None:
    """P2.5: its keys would have to be compared one by one, as many as a stranger likes."""
    many = [1] * 5_000
    assert decode(encoded({"type": "ack", "seq": 1, "x": many}, MSGPACK), MSGPACK) == [frames.Ack(1)]
    assert decode(encoded([{"type": "dance", "x": many}, {"type": "refresh", "token": "t"}], MSGPACK), MSGPACK) == [
        frames.Unknown(),
        frames.Refresh("t"),
    ]
    assert decode(encoded(CONNECT | {"client": many}, MSGPACK), MSGPACK) == BadFrame("many")
    assert decode(encoded([{"type": "pong"}, {"type": "refresh", "x": many}], MSGPACK), MSGPACK) == BadFrame("many")
    twice = b"\x83\xa4type\xa7refresh\xa5token\xa1a\xa5token\xa1b"
    behind_many = b"\x92" + encoded({"type": "dance", "x": many}, MSGPACK) + twice
    assert decode(behind_many, MSGPACK) == BadFrame("duplicate keys")
    assert decode(encoded({"type": "dance", "x": [many, deep(31)]}, MSGPACK), MSGPACK) == BadFrame("depth")


@pytest.mark.parametrize("wire", [{"type": "pong"}, CONNECT, [CONNECT, {"type": "pong"}]])
def test_one_encoding_is_never_taken_for_the_other(wire: object) -> None:
    assert isinstance(decode(encoded(wire, JSON), MSGPACK), BadFrame)
    assert isinstance(decode(encoded(wire, MSGPACK), JSON), BadFrame)


def test_a_token_is_in_no_text_of_a_frame() -> None:
    for frame in (frames.Connect("s", "s3cret"), frames.Refresh("s3cret")):
        assert "s3cret" not in repr(frame) + str(frame)


def outcome_of(message: bytes, encoding: str) -> None:
    """Any bytes are frames or a bad frame with a fixed word."""
    result = decode(message, encoding)
    if isinstance(result, BadFrame):
        assert result.reason in {"depth", "duplicate keys", "not decodable", "fields", "batch", "many"}
    else:
        assert 1 <= len(result) <= BATCH_MOST
        assert all(isinstance(frame, frames.Frame) for frame in result)


@EITHER
@examples(250)
@given(message=st.binary(max_size=80) | st.text(st.sampled_from('[]{}":,\\ud8tyepackonseq01eN-. \xff')).map(str.encode))
def test_any_bytes_are_frames_or_a_bad_frame(message: bytes, encoding: str) -> None:
    outcome_of(message, encoding)


@EITHER
@examples(250)
@given(data=st.data())
def test_a_damaged_frame_is_frames_or_a_bad_frame(data: st.DataObject, encoding: str) -> None:
    wires = data.draw(st.lists(st.sampled_from([wire for wire, _ in FRAMES]), min_size=1, max_size=3))
    message = bytearray(encoded(wires[0] if len(wires) == 1 else wires, encoding))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        end = data.draw(st.integers(at, min(len(message), at + 3)))
        message[at:end] = data.draw(st.binary(max_size=3)) or b"\xff"
    outcome_of(bytes(message), encoding)


WELCOME = frames.Welcome(
    session="s",
    stream="E:1",
    outcome="fresh",
    from_=5,
    pending=None,
    expires=9,
    ping=25.0,
    window=frames.Window(1, 2),
    subjects=["a"],
)
WELCOME_WIRE = {
    "type": "welcome",
    "session": "s",
    "stream": "E:1",
    "outcome": "fresh",
    "from": 5,
    "pending": None,
    "expires": 9,
    "ping": 25.0,
    "window": {"messages": 1, "bytes": 2},
    "subjects": ["a"],
}


@EITHER
@pytest.mark.parametrize(
    ("frame", "wire"),
    [
        (WELCOME, WELCOME_WIRE),
        (
            msgspec.structs.replace(WELCOME, pending=0, oldest="2026", denied=["b"]),
            WELCOME_WIRE | {"pending": 0, "oldest": "2026", "denied": ["b"]},
        ),
        (frames.Live(7), {"type": "live", "seq": 7}),
        (frames.Gap(0, 9, "expired"), {"type": "gap", "after": 0, "before": 9, "reason": "expired"}),
        (frames.ReplyFrame(None), {"type": "reply"}),
        (frames.ReplyFrame(0, {"seq": 0}), {"type": "reply", "id": 0, "data": {"seq": 0}}),
        (
            frames.ReplyFrame("x", error=frames.Problem("limit", "m")),
            {"type": "reply", "id": "x", "error": {"code": "limit", "message": "m"}},
        ),
        (frames.Ping(), {"type": "ping"}),
        (frames.Pong(), {"type": "pong"}),
        (frames.Expiring(0), {"type": "expiring", "in": 0}),
        (
            frames.ErrorFrame("unknown_type", "m", retry=False),
            {"type": "error", "code": "unknown_type", "message": "m", "retry": False},
        ),
        (
            frames.Goodbye(4001, "draining", reconnect=True, after=0),
            {"type": "goodbye", "code": 4001, "reason": "draining", "reconnect": True, "after": 0},
        ),
        (
            frames.Goodbye(4509, "taken over", reconnect=False),
            {"type": "goodbye", "code": 4509, "reason": "taken over", "reconnect": False},
        ),
    ],
)
def test_frames_to_the_client_have_the_names_of_the_page(
    frame: frames.ServerFrame, wire: dict[str, Any], encoding: str
) -> None:
    """P2.1, P2.30, P2.40, P2.41, P2.42."""
    message = encode(frame, encoding)
    assert back(message, encoding) == wire
    assert encoding == MSGPACK or json.loads(message) == wire, "another reader agrees"


@EITHER
@pytest.mark.parametrize("count", [1, 2, 15, 16, 65_535, 65_536])
def test_joined_frames_are_the_frame_or_an_array_of_them(count: int, encoding: str) -> None:
    """P1.4."""
    frame = encode(frames.Ping(), encoding)
    joined = back(join([frame] * count, encoding), encoding)
    assert joined == ({"type": "ping"} if count == 1 else [{"type": "ping"}] * count)

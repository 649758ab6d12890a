"""An event as clients get it, for payloads that publishers mean well with and those that they do not."""

import base64
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.event_frame import DATA_DEPTH, event_frame, passing_frame, read_payload, timestamp
from gateway.frames import JSON, MSGPACK, SUBPROTOCOLS
from mesh.event import StoredEvent, read_delivery
from tests.examples import examples

EITHER = pytest.mark.parametrize("encoding", SUBPROTOCOLS)
NOT_JSON = [
    *(b"", b" ", b"\0", b"{}\0", b"\0{}", b"plain text", b"\x89PNG\r\n", b"{", b"[1,]", b"{} {}", b"'a'", b"01", b"1."),
    *(b".5", b"+1", b"NaN", b"-Infinity", b"[NaN]", b"True", b"/**/1", b'"a\tb"', b'"\0"', b"\x0c1", b'"\\x41"'),
    *(b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-16-le"), b"\xff", b'"\xff"', b'"\xc0\xaf"'),
    *(
        b'"\xed\xa0\x80"',
        b'{"\xff":1}',
        b'"\\ud800"',
        b'"\\udc00"',
        b'"\\ud800\\ud800"',
        b'{"\\ud800":1}',
        b"]",
        b"}{",
        b'"]',
    ),
    *(b"[" * 10_000, b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
]
TIME_NS = 1_795_420_801_500_000_000


def stored(payload: bytes = b"{}", header_block: bytes = b"", subject: str = "orders.c42.o7") -> StoredEvent:
    return StoredEvent(1077, subject, TIME_NS, payload, header_block)


def headers(*lines: bytes) -> bytes:
    return b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def sent(event: StoredEvent, encoding: str, *, replay: bool = False) -> dict[str, Any]:
    frame = event_frame(event, encoding, replay=replay)
    decoded: dict[str, Any] = msgspec.json.decode(frame) if encoding == JSON else msgspec.msgpack.decode(frame)
    return decoded


def payload_of(event: StoredEvent, encoding: str) -> object:
    """What a client has in the end: the value, or the bytes."""
    frame = sent(event, encoding)
    assert ("data" in frame) != ("data_b64" in frame)
    return base64.b64decode(frame["data_b64"], validate=True) if "data_b64" in frame else frame["data"]


@EITHER
def test_an_event_has_the_members_of_the_page_and_no_others(encoding: str) -> None:
    """P2.33."""
    expected = {
        "type": "event",
        "seq": 1077,
        "subject": "orders.c42.o7",
        "time": "2026-11-23T08:00:01.5Z",
        "data": {"order": "o7"},
    }
    event = stored(b'{"order":"o7"}')
    assert sent(event, encoding) == expected
    assert sent(event, encoding, replay=True) == expected | {"replay": True}


@pytest.mark.parametrize(
    "payload",
    [
        b'{ "a" : 1.0,\n "a": 1.00e0 }',
        b"12345678901234567890123456789012345678901234567890",
        b"-0",
        b"0.1000000000000000000000000000000001",
        b' "\\u00e9\xc3\xa9" ',
        b"null",
        b"false",
        b'""',
        b'"\\u0000"',
        b'"\\ud83d\\ude00"',
    ],
)
def test_json_is_embedded_byte_for_byte(payload: bytes) -> None:
    """P2.34."""
    frame = event_frame(stored(payload), JSON, replay=False)
    assert frame.endswith(b',"data":' + payload + b"}")
    assert json.loads(frame)["data"] == json.loads(payload)


@pytest.mark.parametrize("payload", NOT_JSON)
@EITHER
def test_what_is_not_strict_json_travels_as_its_bytes(payload: bytes, encoding: str) -> None:
    """P2.35."""
    assert payload_of(stored(payload), encoding) == payload
    assert ("data_b64" in sent(stored(payload), encoding)) == (encoding == JSON)


@EITHER
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_64_is_data_and_65_is_bytes(opening: bytes, closing: bytes, encoding: str) -> None:
    """P2.35."""
    deepest = opening * DATA_DEPTH + b"1" + closing * DATA_DEPTH
    deeper = opening + deepest + closing
    assert DATA_DEPTH == 64
    assert payload_of(stored(deepest), encoding) == json.loads(deepest)
    assert payload_of(stored(deeper), encoding) == deeper


@EITHER
def test_a_mebibyte_travels_either_way(encoding: str) -> None:
    text = b'"' + b"x" * (2**20 - 2) + b'"'
    assert payload_of(stored(text), encoding) == "x" * (2**20 - 2)
    assert payload_of(stored(b"\xff" * 2**20), encoding) == b"\xff" * 2**20


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**60])
def test_an_integer_beyond_64_bits_is_data_in_json_and_bytes_in_messagepack(number: int) -> None:
    """P2.34, P2.35."""
    for payload in (b"%d" % number, b'{"a":[%d]}' % number):
        assert payload_of(stored(payload), JSON) == json.loads(payload)
        assert payload_of(stored(payload), MSGPACK) == payload


@EITHER
@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 2**63, 0, -1])
def test_an_integer_of_64_bits_is_itself(number: int, encoding: str) -> None:
    assert payload_of(stored(b"[%d]" % number), encoding) == [number]


@EITHER
@pytest.mark.parametrize("payload", [b"1e999", b"[-1e400]", b"1" * 5_000, b'{"a":-' + b"9" * 10_000 + b"}"])
def test_a_number_that_readers_refuse_does_no_harm(payload: bytes, encoding: str) -> None:
    assert payload_of(stored(payload), encoding) == payload


@EITHER
def test_the_message_id_is_the_id_and_other_headers_keep_their_first_value(encoding: str) -> None:
    """P2.33."""
    block = headers(b"Trace: 1", b"Nats-Msg-Id: m7", b"Trace: 2", b"Nats-Expected-Stream: E", b"nats-low: x", b"Empty:")
    frame = sent(stored(header_block=block), encoding)
    assert frame["id"] == "m7"
    assert frame["headers"] == {"Trace": "1", "nats-low": "x", "Empty": ""}


@EITHER
@pytest.mark.parametrize("block", [b"", headers(), headers(b"Nats-TTL: 5"), headers(b"no colon"), b"NATS/1.0", b"\xff"])
def test_no_header_of_the_publisher_is_no_member(block: bytes, encoding: str) -> None:
    frame = sent(stored(header_block=block), encoding)
    assert not {"id", "headers"} & frame.keys()


@EITHER
def test_damaged_headers_and_subjects_are_shown_with_the_replacement_character(encoding: str) -> None:
    """P2.33."""
    block = headers(b"Na\xffme: va\xfelue", b'Quote: "\\\x01')
    delivery = read_delivery(b"orders.\xff.x", b"$JS.ACK.E.C.1.9.1.1795420801500000000.0", b"{}", block)
    assert delivery is not None
    frame = sent(delivery.event, encoding)
    assert frame["subject"] == "orders.\ufffd.x"
    assert frame["headers"] == {"Na\ufffdme": "va\ufffdlue", "Quote": '"\\\x01'}


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (TIME_NS, "2026-11-23T08:00:01.5Z"),
        (TIME_NS + 123_456_789, "2026-11-23T08:00:01.623456789Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775807Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_to_the_nanosecond(time_ns: int, text: str) -> None:
    """P2.33."""
    assert timestamp(time_ns) == text


@EITHER
def test_every_session_gets_the_same_bytes(encoding: str) -> None:
    event = stored(b"[1]")
    first = event_frame(event, encoding, replay=False)
    event_frame(event, encoding, replay=True)
    assert event_frame(event, encoding, replay=False) is first
    assert [event.text_frame, event.binary_frame] == ([first, None] if encoding == JSON else [None, first])


@EITHER
def test_a_frame_for_the_live_is_the_same_and_is_not_kept(encoding: str) -> None:
    event = stored(b"[1]")
    passing = passing_frame(event, encoding)
    assert [event.text_frame, event.binary_frame] == [None, None]
    kept = event_frame(event, encoding, replay=False)
    assert passing == kept
    assert passing_frame(event, encoding) is kept, "what a replay made is used"


PAYLOADS = st.binary(max_size=40) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
).map(lambda value: json.dumps(value).encode())
LINES = st.sampled_from([b"A: 1", b"A: 2", b"Nats-Msg-Id: id", b"Nats-X: y", b"\xff: \xff", b": v", b"broken", b"B:"])


@examples(250)
@given(PAYLOADS, st.lists(LINES, max_size=4), st.text(max_size=10), st.integers(1, 2**63 - 1))
def test_the_replayed_frame_equals_one_encoded_afresh(
    payload: bytes, lines: list[bytes], subject: str, seq: int
) -> None:
    event = StoredEvent(seq, subject, TIME_NS, payload, headers(*lines) if lines else b"")
    live = sent(event, MSGPACK)
    fresh = {"type": "event", "replay": True} | {name: value for name, value in live.items() if name != "type"}
    assert event_frame(event, MSGPACK, replay=True) == msgspec.msgpack.encode(fresh)
    live = sent(event, JSON)
    fresh = {"type": "event", "replay": True} | {name: value for name, value in live.items() if name != "type"}
    if "data" not in live:
        assert event_frame(event, JSON, replay=True) == msgspec.json.encode(fresh)
    del fresh["data" if "data" in fresh else "data_b64"]
    start = msgspec.json.encode(fresh)[:-1]
    assert event_frame(event, JSON, replay=True).startswith(start + b',"data')


@examples(250)
@given(PAYLOADS)
def test_a_client_ends_with_what_was_published_in_both_encodings(payload: bytes) -> None:
    event = stored(payload)
    try:
        value = json.loads(payload.decode(), parse_constant=lambda _name: math.nan)
    except ValueError:
        value = math.nan
    for encoding in SUBPROTOCOLS:
        got = payload_of(event, encoding)
        assert got in (payload, value)
        assert encoding == MSGPACK or (got == value) == ("data" in sent(event, JSON))


def test_a_string_that_holds_brackets_is_not_deep() -> None:
    assert read_payload(b'"' + b"[" * 1_000 + b'"') == "[" * 1_000

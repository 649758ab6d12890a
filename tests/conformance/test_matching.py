"""What placeholders stand for and what matchers take: a matcher that takes everything would prove nothing."""

from typing import Any

import pytest

from tests.conformance.encoding import JSON, MSGPACK, Deviation, Pairs, decode, encode
from tests.conformance.matching import World, mismatch, resolve


def world(encoding: str = JSON, **more: Any) -> World:
    return World(
        encoding=encoding,
        texts={"token": "t.o.k", "session": "s1", "subject": "orders.c42.x"},
        templates={"connect": {"type": "connect", "token": "<token>", "session": "<session>"}},
        known=frozenset({"type", "seq", "data", "replay", "id"}),
        **more,
    )


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("<subject>.>", "orders.c42.x.>"),
        ({"a": ["<token>", 1, None]}, {"a": ["t.o.k", 1, None]}),
        ({"$like": "connect", "session": "z"}, {"type": "connect", "token": "t.o.k", "session": "z"}),
        ({"$like": ["connect", "$case"], "$without": ["token"]}, {"type": "connect", "session": "s1", "client": 1}),
        ({"$pairs": [["a", "<session>"], ["a", 2]]}, Pairs((("a", "s1"), ("a", 2)))),
        ({"$text": 3}, "xxx"),
        ({"$deep": 2}, [[1]]),
        ({"$times": [{"$seq": "e1"}, 2]}, [7, 7]),
        ({"$numbered": ["<session>-%d", 2]}, ["s1-0", "s1-1"]),
        ({"$seq": "e1", "$plus": -1}, 6),
        ({"$last": "a.live.seq"}, 40),
        ({"$last": "a.live.seq", "$by": 0.5, "$plus": 1}, 21.0),
        ({"$case": True}, {"client": 1}),
        ({"$case": "client"}, 1),
        ({"$is": "text"}, {"$is": "text"}),
    ],
)
def test_placeholders_stand_for_values(value: Any, found: Any) -> None:
    known = world(case={"client": 1}, published={"e1": 7})
    known.remember("a", {"type": "live", "seq": 40})
    assert resolve(value, known) == found


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (1, 1),
        ({"$is": "integer"}, -3),
        ({"$is": "sequence"}, 1),
        ({"$is": "time"}, "2026-11-23T08:00:01.5Z"),
        ({"$one_of": [None, {"$is": "integer"}]}, None),
        ({"$one_of": [None, {"$is": "integer"}]}, 4),
        ({"$list_of": {"$is": "text"}}, ["a", ""]),
        ({"$least": 3, "$most": 5}, 3),
        ({"seq": {"$optional": 1}}, {}),
        ({"seq": {"$optional": 1}}, {"seq": 1}),
        ({"type": "live"}, {"type": "live", "later": 1}),
        ({"type": "live", "$more": True}, {"type": "live", "seq": 1}),
        (
            {"type": "event", "data": {"type": 7, "seq": [1.0]}},
            {"type": "event", "data": {"type": 7, "seq": [1.0]}},
        ),
        ({"type": "event", "data": {"$is": "anything"}}, {"type": "event", "data": None}),
        ({"type": "event", "bytes": "00ff"}, {"type": "event", "data_b64": "AP8="}),
    ],
)
def test_what_is_expected_is_taken(expected: Any, found: Any) -> None:
    assert mismatch(expected, found, world()) is None


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (1, True),
        (1, 1.0),
        (True, 1),
        ("1", 1),
        (None, 0),
        ({"$is": "integer"}, True),
        ({"$is": "integer"}, 1.0),
        ({"$is": "sequence"}, 0),
        ({"$is": "sequence"}, 2**63),
        ({"$is": "text"}, None),
        ({"$is": "time"}, "2026-11-23T08:00:01+00:00"),
        ({"$is": "time"}, "2026-11-23T08:00:01.0123456789Z"),
        ({"$one_of": [None, {"$is": "integer"}]}, "4"),
        ({"$list_of": {"$is": "text"}}, ["a", 1]),
        ({"$list_of": {"$is": "text"}}, "a"),
        ({"$least": 3, "$most": 5}, 2),
        ({"$least": 3, "$most": 5}, 6),
        ({"$least": 3}, "4"),
        ([1, 2], [1]),
        ([1, 2], [2, 1]),
        ({"seq": 1}, {}),
        ({"seq": 1}, []),
        ({"seq": {"$optional": 1}}, {"seq": 2}),
        ({"type": "live"}, {"type": "live", "seq": 1}),
        ({"type": "event", "data": {}}, {"type": "event", "data": {"later": 1}}),
        ({"type": "event", "data": [1]}, {"type": "event", "data": [1.0]}),
        ({"type": "event", "data": [1]}, {"type": "event", "data": [True]}),
        ({"type": "event", "bytes": "00ff"}, {"type": "event", "data": "AP8="}),
        ({"type": "event", "bytes": "00ff"}, {"type": "event", "data_b64": "AP8"}),
    ],
)
def test_what_differs_is_told(expected: Any, found: Any) -> None:
    assert mismatch(expected, found, world())


def test_bytes_are_bin_in_messagepack() -> None:
    expected = {"type": "event", "bytes": "00ff"}
    assert mismatch(expected, {"type": "event", "data": b"\0\xff"}, world(MSGPACK)) is None
    assert mismatch(expected, {"type": "event", "data": "AP8="}, world(MSGPACK))


def test_both_encodings_write_what_no_library_does() -> None:
    twice = Pairs((("a", 1), ("a", {"b": [True, None]})))
    assert encode(twice, JSON) == '{"a":1,"a":{"b":[true,null]}}'
    assert encode(twice, MSGPACK) == bytes.fromhex("de0002a16101a161de0001a162dc0002c3c0")


@pytest.mark.parametrize(
    ("message", "encoding"), [(b"{}", JSON), ("{}", MSGPACK), ("{", JSON), (b"\xc1", MSGPACK), ("[" * 100_000, JSON)]
)
def test_what_is_no_message_is_told(message: str | bytes, encoding: str) -> None:
    with pytest.raises(Deviation):
        decode(message, encoding)

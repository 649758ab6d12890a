"""The scan of a stranger's MessagePack: it takes what an encoder writes, and is quick and sure about the rest."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.msgpack_scan import ITEMS_MOST, MANY, scan, scan_many
from tests.examples import examples

encode = msgspec.msgpack.encode
TEXT = st.text(max_size=40)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary(max_size=300)
    | st.integers(0, 70_000).map(lambda size: "x" * size)
    | st.builds(msgspec.msgpack.Ext, st.integers(0, 127), st.binary(max_size=20)),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(TEXT, inner, max_size=20),
    max_leaves=20,
)


def depth_of(value: object) -> int:
    """Nested arrays and maps, empty ones too; a scalar has none."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def nested(depth: int, innermost: bytes) -> bytes:
    """``depth`` arrays and maps in turn, ``innermost`` being the last of them."""
    layers = [b"\x91", b"\x81" + encode("k")]
    return b"".join(layers[place % 2] for place in range(depth - 1)) + innermost


@examples(200)
@given(VALUES)
def test_what_an_encoder_writes_is_taken_at_its_depth_and_refused_one_below(value: Any) -> None:
    message = encode(value)
    depth = depth_of(value)
    for judge in (scan, scan_many):
        assert judge(message, depth) == ""
        assert depth == 0 or judge(message, depth - 1) == "depth"


@examples(200)
@given(VALUES, st.data())
def test_a_message_that_is_cut_or_longer_is_refused_as_msgspec_refuses_it(value: Any, data: st.DataObject) -> None:
    message = encode(value)
    cut = message[: data.draw(st.integers(0, len(message) - 1))]
    for wrong in (cut, message + b"\xc0"):
        assert scan(wrong, 64) == scan_many(wrong, 64) == "not decodable"
        with pytest.raises(msgspec.DecodeError):
            msgspec.msgpack.decode(wrong)


@examples(500)
@given(st.binary(max_size=40))
def test_any_bytes_are_judged_in_fixed_words_and_nothing_that_msgspec_cannot_end_is_taken(message: bytes) -> None:
    verdict = scan(message, 8)
    assert verdict in {"", "depth", "duplicate keys", "not decodable"}
    if not verdict:
        assert bytes(msgspec.msgpack.decode(message, type=msgspec.Raw)) == message


@pytest.mark.parametrize("innermost", [b"\x90", b"\x80", b"\x91\xc0", b"\x81" + encode("k") + b"\x01", b"\xdc\0\0"])
def test_depth_32_is_taken_and_33_is_not(innermost: bytes) -> None:
    assert scan(nested(32, innermost), 32) == ""
    assert scan(nested(33, innermost), 32) == "depth"


@pytest.mark.parametrize(
    "item", [b"\x01", b"\x80", b"\x90", b"\xa0", b"\xc0", b"\x91\x01", b"\x81\xa0\x01", b"\x9f" + b"\x01" * 15]
)
@pytest.mark.parametrize("judge", [scan, scan_many])
def test_a_message_as_long_as_may_be_takes_no_time_to_speak_of(judge: Callable[[bytes, int], str], item: bytes) -> None:
    count = 65_000 // len(item)
    message = b"\xdd" + count.to_bytes(4) + item * count
    began_s = time.process_time()
    assert judge(message, 32) == (MANY if judge is scan else "")
    assert time.process_time() - began_s < 0.5


def test_so_many_items_are_walked_and_one_more_is_many() -> None:
    assert scan(encode([[1] * (ITEMS_MOST - 1)]), 8) == ""
    assert scan(encode([[1] * ITEMS_MOST]), 8) == MANY
    assert scan(encode([[1] * (ITEMS_MOST // 2)] * 2), 8) == MANY, "together"


@pytest.mark.parametrize(
    "wrong", [b"\x81\x01\x02", b"\x81\xc0\xc0", b"\xa1\xff", b"\x81\xa1\xff\x01", b"\xc1", b"\x92\x01"]
)
def test_of_many_items_each_is_judged(wrong: bytes) -> None:
    count = ITEMS_MOST + 2
    message = b"\xdd" + count.to_bytes(4) + b"\x01" * (count - 1)
    assert scan_many(message + b"\x01", 8) == ""
    assert scan_many(message + wrong, 8) == "not decodable"
    assert scan_many(message + b"\x91" * 8, 8) == "not decodable", "cut off"
    assert scan_many(message + b"\x91" * 7 + b"\x01", 8) == ""
    assert scan_many(message + b"\x91" * 8 + b"\x01", 8) == "depth"


def test_siblings_do_not_add_to_the_depth() -> None:
    assert scan(encode([[[1], [2]], {"a": [3], "b": [4]}, [[]]] * 50), 4) == ""


@pytest.mark.parametrize("second", [b"\xa1k", b"\xd9\x01k", b"\xda\0\x01k", b"\xdb\0\0\0\x01k"])
@pytest.mark.parametrize("header", [b"\x82", b"\xde\0\x02", b"\xdf\0\0\0\x02"])
def test_a_repeated_key_is_found_however_it_and_its_map_are_spelled(second: bytes, header: bytes) -> None:
    """P2.5."""
    repeated = header + b"\xa1k\x01" + second + b"\x02"
    assert msgspec.msgpack.decode(repeated) == {"k": 2}, "a reader sees one key"
    assert scan(repeated, 8) == "duplicate keys"
    assert scan(b"\x92\x01\x81\xa1m" + repeated, 8) == "duplicate keys"


def test_equal_keys_of_two_maps_and_keys_equal_to_values_are_no_repeat() -> None:
    assert scan(encode({"a": {"a": "a", "b": "a"}, "b": [{"a": "b"}, {"a": "b"}]}), 8) == ""


@pytest.mark.parametrize("key", [b"\x01", b"\xc0", b"\xc3", b"\xc4\x01k", b"\x90", b"\x91\x01", b"\x80", b"\xd4\x01k"])
def test_a_key_that_is_no_string_is_refused(key: bytes) -> None:
    """P1.3."""
    assert scan(b"\x81" + key + b"\x01", 8) == "not decodable"


BAD_TEXTS = [b"\xff", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"good \xc3"]


@pytest.mark.parametrize("text", BAD_TEXTS)
@pytest.mark.parametrize("head", ["short", "\xd9", "\xda\0", "\xdb\0\0\0"])
def test_a_text_that_is_not_utf_8_is_refused_wherever_it_stands(text: bytes, head: str) -> None:
    """P1.3, P2.2."""
    packed = (bytes((0xA0 | len(text),)) if head == "short" else head.encode("latin-1") + bytes((len(text),))) + text
    for message in (packed, b"\x91" + packed, b"\x81\xa1k" + packed, b"\x81" + packed + b"\xc0"):
        assert scan(message, 8) == "not decodable"
    assert scan(b"\x81\xa1k\xc4" + bytes((len(text),)) + text, 8) == "", "bytes are no text"


@examples(300)
@given(st.binary(max_size=12))
def test_a_text_is_taken_when_another_reader_takes_it(text: bytes) -> None:
    message = b"\x81\xa1k\xd9" + bytes((len(text),)) + text
    try:
        text.decode()
    except UnicodeDecodeError:
        assert scan(message, 8) == "not decodable"
    else:
        assert scan(message, 8) == ""


def test_the_byte_that_the_format_never_uses_is_refused() -> None:
    assert scan(b"\xc1", 8) == "not decodable"
    assert scan(b"\x91\xc1", 8) == "not decodable"


@pytest.mark.parametrize("header", [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"])
def test_a_count_of_four_thousand_million_is_refused_at_once(header: bytes) -> None:
    began_s = time.perf_counter()
    for filler in (b"", b"\xc0" * 65_000, b"\xa0" * 65_000):
        assert scan(header + b"\xff\xff\xff\xff" + filler, 8) == "not decodable"
        assert scan(b"\x91" + header + b"\xff\xff\xff\xff" + filler, 8) == "not decodable"
    assert time.perf_counter() - began_s < 0.1


def test_nested_counts_that_each_fit_the_message_are_walked_once() -> None:
    size = 65_536
    array = b"\xdd" + size.to_bytes(4)
    message = (array * 31).ljust(size, b"\xc0")
    began_s = time.perf_counter()
    assert scan(message, 32) == MANY
    assert scan_many(message, 32) == "not decodable"
    assert scan_many(b"\xdd\xff\xff\xff\xff" * 31, 32) == "not decodable"
    assert time.perf_counter() - began_s < 1

"""Strict JSON: one reading of every text, or none."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.strict_json import NotStrict, decode, depth_exceeds, has_duplicate_keys
from tests.examples import examples

FIXED_TEXTS = [
    "too deep",
    "not JSON in UTF-8",
    "duplicate key",
    "NaN or Infinity",
    "number too large",
    "integer too large",
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.sampled_from('[]{}"\\aü'), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.sampled_from('[{"\\b'), max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def strict(data: bytes) -> object:
    return decode(data, max_bytes=10_000, max_depth=8)


@examples(200)
@given(JSON)
def test_what_an_encoder_writes_is_read_back(value: object) -> None:
    for ascii_only in (True, False):
        data = json.dumps(value, ensure_ascii=ascii_only).encode()
        assert decode(data, max_bytes=len(data), max_depth=depth_of(value)) == value


@examples(300)
@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}":,\\u0d8ntrue1eE.-'), max_size=40).map(str.encode))
def test_any_bytes_are_decoded_or_refused_by_name(data: bytes) -> None:
    refusal = ""
    try:
        strict(data)
    except NotStrict as refused:
        refusal = str(refused)
    assert refusal in {"", *FIXED_TEXTS}
    assert has_duplicate_keys(data) in {True, False}


@pytest.mark.parametrize(
    "data",
    [
        *[b"", b" ", b"{", b'{"a":1}x', b"{'a':1}", b"[1,]", b'"\x01"', b"01", b"+1", b"1.", b"tru"],
        *[
            b"NaN",
            b"[Infinity]",
            b"[-Infinity]",
            b"1e999",
            b"-1e999",
            b"9007199254740993",
            b"-9007199254740993",
            b"1" * 4400,
        ],
        *[b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16"), b'"\xff"', b'"\\ud800"', b'{"\\udc00":1}', b'"\\ud800x"'],
        *[b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'[{"x":{"a":1,"a":2}}]', b"[" * 1000 + b"]" * 1000],
    ],
)
def test_what_is_not_strict_is_refused_without_quoting_it(data: bytes) -> None:
    with pytest.raises(NotStrict) as refused:
        strict(data)
    assert len(str(refused.value)) < 25


@pytest.mark.parametrize(
    "data", [b"9007199254740992", b"-9007199254740992", b'"\\ud83d\\ude00"', b'{"a":{"a":1}}', b"1e300"]
)
def test_what_is_strict_is_taken_at_the_limits(data: bytes) -> None:
    assert strict(data) == json.loads(data)


def test_size_and_depth_hold_at_the_limit_and_one_beyond() -> None:
    assert decode(b"[[[]]]", max_bytes=6, max_depth=3) == [[[]]]
    with pytest.raises(NotStrict, match="too long"):
        decode(b"[[[]]]", max_bytes=5, max_depth=3)
    with pytest.raises(NotStrict, match="too deep"):
        decode(b"[[[]]]", max_bytes=6, max_depth=2)


@examples(300)
@given(JSON, st.integers(0, 6))
def test_the_depth_scan_is_right_about_strings(value: object, limit: int) -> None:
    assert depth_exceeds(json.dumps(value, ensure_ascii=False).encode(), limit) == (depth_of(value) > limit)


@pytest.mark.parametrize("piece", [b"[", b"]", b'"\\', b'\\"', b"[]", b'"[', b"\\"])
def test_the_depth_scan_takes_linear_time_on_hostile_text(piece: bytes) -> None:
    started = time.process_time()
    depth_exceeds(b'["' + piece * (1_000_000 // len(piece)), 32)
    depth_exceeds(b"[" * 40 + piece * (1_000_000 // len(piece)), 32)
    assert time.process_time() - started < 1.0  # a quadratic scan takes minutes


def climbs_above(brackets: bytes, limit: int) -> bool:
    """The naive way: one bracket at a time."""
    depth = 0
    for byte in brackets:
        depth += 1 if byte == ord("[") else -1
        if not 0 <= depth <= limit:
            return True
    return depth != 0


@examples(500)
@given(st.lists(st.integers(-40, 40), min_size=1, max_size=12), st.integers(0, 70), st.booleans())
def test_the_depth_of_brackets_in_runs_is_counted_right(runs: list[int], limit: int, closed: bool) -> None:  # noqa: FBT001
    text = b"".join(b"[" * run if run > 0 else b"]" * -run for run in runs)
    if closed:
        text = b"[" * max(0, text.count(b"]") - text.count(b"[")) + text
        text += b"]" * (text.count(b"[") - text.count(b"]"))
    is_short = text.count(b"[") <= limit  # then it is the parser's to find fault
    assert depth_exceeds(text, limit) == (not is_short and climbs_above(text, limit))


@pytest.mark.parametrize(
    "piece",
    [b"{", b"[" * 7 + b"]" * 7, b"[" * 30 + b"]" * 30 + b",", b"[" * 63 + b"]" * 63, b"[]", b'{"a":{"b":[]}},', b"]"],
)
def test_the_depth_of_nested_brackets_takes_linear_time(piece: bytes) -> None:
    began_s = time.process_time()
    depth_exceeds(b"[" + piece * (1_000_000 // len(piece)), 64)
    assert time.process_time() - began_s < 0.15


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b'{"type":"connect","token":"a"}', False),
        (b'{"token":"a","token":"b"}', True),
        (b'{"token":"a","\\u0074oken":"b"}', True),
        (b'[{"a":1},{"a":2}]', False),
        (b'{"x":[{"a":1,"a":1}]}', True),
        (b"{", True),
        (b"\xff", True),
    ],
)
def test_duplicate_keys_are_found_at_any_depth(data: bytes, answer: bool) -> None:  # noqa: FBT001
    assert has_duplicate_keys(data) is answer

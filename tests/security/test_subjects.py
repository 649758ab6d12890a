"""Subjects and patterns against brute force over a small alphabet (A11)."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.subjects import covers, is_pattern, is_reserved, is_subject, matches, overlaps
from tests.examples import examples
from tests.security.nats_rules import walk

# Three letters and length five decide every question about patterns of at most four tokens over two letters: the third
# letter stands for "any other token", the fifth token for "any longer subject".
SUBJECTS = [tokens for length in range(1, 6) for tokens in product("abc", repeat=length)]

PATTERNS = st.builds(
    lambda head, tail: ".".join([*head, *tail]),
    st.lists(st.sampled_from(["a", "b", "*"]), max_size=3),
    st.sampled_from([["a"], ["b"], ["*"], [">"]]),
)


def subjects_of(pattern: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tokens for tokens in SUBJECTS if walk(pattern.split("."), list(tokens)))


@examples(100)
@given(PATTERNS)
def test_matches_is_what_the_definition_says(pattern: str) -> None:
    assert frozenset(tokens for tokens in SUBJECTS if matches(pattern, ".".join(tokens))) == subjects_of(pattern)


@examples(200)
@given(PATTERNS, PATTERNS)
def test_covers_is_set_inclusion(allow: str, want: str) -> None:
    assert covers(allow, want) == (subjects_of(want) <= subjects_of(allow))


@examples(200)
@given(PATTERNS, PATTERNS)
def test_overlaps_is_a_common_member(one: str, other: str) -> None:
    assert overlaps(one, other) == bool(subjects_of(one) & subjects_of(other))
    assert overlaps(one, other) == overlaps(other, one)


@pytest.mark.parametrize(
    ("allow", "want", "answer"),
    [
        ("orders.c42.>", "orders.c42.*.x", True),
        ("orders.c42.>", "orders.*.>", False),
        ("orders.>", "orders", False),
        ("orders.>", "orders.>", True),
        ("orders.*", "orders.>", False),
        ("orders.*", "orders.*", True),
        ("orders.*.>", "orders.>", False),
        (">", "a.b", True),
        ("orders", "orders", True),
        ("orders", "orders.a", False),
    ],
)
def test_covers_answers_the_cases_of_the_rule(allow: str, want: str, answer: bool) -> None:  # noqa: FBT001
    assert covers(allow, want) is answer


@pytest.mark.parametrize("text", ["a", "orders.c42.o7", "a-b_c.1", "ü.ß", "a." * 15 + "a", "x" * 256])
def test_good_subjects_are_subjects_and_patterns(text: str) -> None:
    assert is_subject(text)
    assert is_pattern(text)


@pytest.mark.parametrize("text", ["*", ">", "a.*", "a.*.b", "a.>", "*.>"])
def test_patterns_with_wildcards_are_no_subjects(text: str) -> None:
    assert is_pattern(text)
    assert not is_subject(text)


@pytest.mark.parametrize(
    "text",
    [
        *["", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\nb", "a\x00b", "a\x7fb", "a\u00a0b", "a\u200bb", "a\ud800b"],
        *["a.b*", "**", "a.>.b", ">.a", ">>", "a>", "x" * 257, "ü" * 129, "a." * 16 + "a"],
        *[None, 7, b"a", ["a"], True],
    ],
)
def test_bad_text_is_neither(text: object) -> None:
    assert not is_pattern(text)
    assert not is_subject(text)


@pytest.mark.parametrize(
    "pattern",
    ["$JS.API.>", "$KV.cursors.a", "$SYS.>", "$", "_INBOX.a", "_INBOX_gw.>", ">", "*", "*.a", "tidewire.deadletter.a"],
)
def test_reserved_patterns_are_known(pattern: str) -> None:
    assert is_reserved(pattern)


@pytest.mark.parametrize("pattern", ["orders.>", "orders.$JS", "a._INBOX", "inbox.a", "tidewires.a", "a.*"])
def test_other_patterns_are_not_reserved(pattern: str) -> None:
    assert not is_reserved(pattern)

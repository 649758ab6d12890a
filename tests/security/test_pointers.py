"""JSON pointers to members of objects."""

import pytest

from security import pointers


@pytest.mark.parametrize(
    ("pointer", "tokens"),
    [
        ("/a", ("a",)),
        ("/a/b", ("a", "b")),
        ("/a~1b/c~0d", ("a/b", "c~d")),
        ("/~01", ("~1",)),
        ("/", ("",)),
        ("/ä", ("ä",)),
        ("/a/$sealed", ("a", "$sealed")),
        ("/" + "/".join("a" * 16), ("a",) * 16),
        ("/" + "a" * 255, ("a" * 255,)),
    ],
)
def test_a_pointer_to_a_member_is_taken_apart(pointer: str, tokens: tuple[str, ...]) -> None:
    assert pointers.parse(pointer) == tokens
    assert "/" + "/".join(map(pointers.escape, tokens)) == pointer


@pytest.mark.parametrize(
    "pointer",
    [
        *("", "a", "#/a", "/~", "/~2", "/a/~", "/-", "/a/-", "/$sealed", "/$sealed/contact"),
        "/" + "/".join("a" * 17),
        "/" + "a" * 256,
        "/" + "ä" * 128,
    ],
)
def test_anything_else_is_no_pointer(pointer: str) -> None:
    assert pointers.parse(pointer) is None


def test_a_member_exists_with_any_value_and_arrays_are_not_entered() -> None:
    data = {"a": {"b": None}, "list": [{"x": 1}], "text": "x"}
    assert pointers.exists(data, ("a", "b"))
    assert not pointers.exists(data, ("a", "c"))
    assert not pointers.exists(data, ("list", "0"))
    assert not pointers.exists(data, ("text", "0"))
    assert not pointers.exists([1], ("0",))


def test_an_array_or_a_scalar_above_blocks_and_null_or_nothing_does_not() -> None:
    data: dict[str, object] = {"list": [1], "text": "x", "null": None, "a": {}}
    assert pointers.blocked(data, ("list", "x"))
    assert pointers.blocked(data, ("text", "x", "y"))
    assert not pointers.blocked(data, ("null", "x"))
    assert not pointers.blocked(data, ("a", "b", "c"))
    assert not pointers.blocked(data, ("text",))


def test_taking_leaves_the_original_as_it_was() -> None:
    data = {"a": {"b": 1, "c": {"d": 2}, "e": 3}, "f": 4}
    taken, rest = pointers.take(data, ["/a/b", "/a/c/d", "/f", "/none"])
    assert taken == {"/a/b": 1, "/a/c/d": 2, "/f": 4}
    assert rest == {"a": {"c": {}, "e": 3}}
    assert data == {"a": {"b": 1, "c": {"d": 2}, "e": 3}, "f": 4}

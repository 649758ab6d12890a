"""Pointers for any names and any document: there and back, taken out and put back, on both sides of the wire."""

import copy

import pytest
import tidewire_client.sealed
from hypothesis import example, given
from hypothesis import strategies as st

from security import pointers
from security.errors import ConfigurationError
from security.policy import Policy, Rule
from tests.examples import examples
from tests.security.documents import NAMES, Tokens, chosen, look, meet, names, objects, paths, pointer_of, put

tokens = names | st.text(max_size=3) | st.sampled_from(["x" * 120, "ä" * 60, "~" * 60])
any_path = st.lists(tokens, min_size=1, max_size=17).map(tuple)


@examples(150)
@given(any_path)
@example(("x",) * 16)
@example(("x",) * 17)
@example(("x" * 255,))
@example(("x" * 256,))
@example(("~" * 127,))
@example(("~" * 128,))
@example(("$sealed",))
@example(("a", "$sealed"))
def test_any_names_make_a_pointer_that_is_read_as_these_names(path: Tokens) -> None:
    pointer = "/" + "/".join(map(pointers.escape, path))
    assert pointer == pointer_of(path)
    is_fit = path[0] != "$sealed" and "-" not in path and len(path) <= 16
    is_fit = is_fit and len(pointer.encode("utf-8", "surrogatepass")) <= 256
    assert pointers.parse(pointer) == (path if is_fit else None)


@examples(150)
@given(st.lists(st.sampled_from(["/", "/", "~0", "~1", "~2", "~", "-", "$sealed", "0", "a"]), max_size=6).map("".join))
@example("/$sealed")
@example("/$sealed/a")
@example("/a/-")
@example("/" + "ä" * 128)
def test_any_text_is_one_pointer_or_none_to_the_gateway_and_to_the_device(text: str) -> None:
    """P5.5: what one side takes out the other must be able to put back."""
    read = pointers.parse(text)
    assert tidewire_client.sealed._tokens(text) == read
    assert read is None or "/" + "/".join(map(pointers.escape, read)) == text, "no member has two pointers"


@examples(60)
@given(st.data(), objects)
def test_what_was_taken_out_and_is_put_back_is_the_original(data: st.DataObject, document: dict[str, object]) -> None:
    before = copy.deepcopy(document)
    wanted = data.draw(chosen(document))
    taken, rest = pointers.take(document, map(pointer_of, wanted))
    assert document == before
    there = [path for path in wanted if look(document, path)[0]]
    assert list(taken.items()) == [(pointer_of(path), look(document, path)[1]) for path in there]
    assert not any(look(rest, path)[0] for path in wanted)
    kept = [
        path for path in paths(document) if not any(meet(path, other) and len(path) >= len(other) for other in there)
    ]
    assert sorted(paths(rest)) == sorted(kept), "nothing else is gone, and no parent"
    restored = copy.deepcopy(rest)
    for path in there:
        put(restored, path, taken[pointer_of(path)])
    assert restored == before


@examples(60)
@given(st.data(), objects)
def test_a_member_is_there_or_could_be_or_is_blocked(data: st.DataObject, document: dict[str, object]) -> None:
    path = data.draw(st.lists(st.sampled_from([*NAMES, "nobody"]), min_size=1, max_size=4).map(tuple))
    if all_paths := paths(document):
        path = data.draw(st.just(path) | st.sampled_from(all_paths).map(lambda at: (*at, "nobody")))
    above = [look(document, path[:length]) for length in range(1, len(path))]
    assert pointers.exists(document, path) is look(document, path)[0]
    assert pointers.blocked(document, path) is any(
        is_there and value is not None and not isinstance(value, dict) for is_there, value in above
    )
    assert not (pointers.exists(document, path) and pointers.blocked(document, path))


plain_path = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(tuple)
rows = st.tuples(st.sampled_from(["o.{sub}.>", "o.*.x", "p.{sub}"]), plain_path, st.sampled_from(["one", "two"]))
OVERLAPPING = ({"o.{sub}.>"}, {"o.*.x"}, {"p.{sub}"}, {"o.{sub}.>", "o.*.x"})


@examples(120)
@given(st.lists(rows, min_size=1, max_size=3, unique=True))
@example([("o.{sub}.>", ("a",), "one"), ("o.*.x", ("a", "b"), "one")])
@example([("o.{sub}.>", ("a",), "one"), ("p.{sub}", ("a", "b"), "one")])
@example([("o.{sub}.>", ("a",), "one"), ("o.*.x", ("a",), "one")])
@example([("o.{sub}.>", ("a", "b"), "one"), ("o.{sub}.>", ("a", "c"), "two")])
def test_pointers_that_meet_where_patterns_do_are_refused(table: list[tuple[str, Tokens, str]]) -> None:
    rules = [Rule(pattern, pointer_of(path), field_class) for pattern, path, field_class in table]
    conflicts = [
        (one, other)
        for place, one in enumerate(table)
        for other in table[:place]
        if {one[0], other[0]} in OVERLAPPING and meet(one[1], other[1]) and one[1:] != other[1:]
    ]
    if conflicts:
        with pytest.raises(ConfigurationError, match="meets"):
            Policy(rules)
    else:
        declared = Policy(rules).declared("o.c42.x")
        places = [place for wanted in declared.values() for place in wanted]
        assert len(places) == len(set(places))
        assert set(places) == {pointer_of(path) for pattern, path, _ in table if pattern != "p.{sub}"}

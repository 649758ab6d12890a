"""JSON objects with members of awkward names, and pointers that hit and miss them."""

from hypothesis import strategies as st

NAMES = ("a", "b", "", "~", "/", "~1", "a/b", "0", "$sealed", "ä")
"""Names that a pointer must escape, that look escaped, or that mean something elsewhere; ``-`` no pointer may hold."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
names = st.sampled_from([*NAMES, "-"])
values = st.recursive(
    scalars,
    lambda inner: st.dictionaries(names, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)
objects = st.dictionaries(names, values | st.dictionaries(names, values, max_size=3), max_size=4)

Tokens = tuple[str, ...]


def paths(data: object, above: Tokens = ()) -> list[Tokens]:
    """Every member of every object that can be reached through objects alone."""
    if not isinstance(data, dict):
        return []
    return [path for name, value in data.items() for path in [(*above, name), *paths(value, (*above, name))]]


def look(data: object, path: Tokens) -> tuple[bool, object]:
    """Whether there is a member at a path, and its value."""
    for token in path:
        if not isinstance(data, dict) or token not in data:
            return False, None
        data = data[token]
    return True, data


def put(data: dict[str, object], path: Tokens, value: object) -> None:
    """Set a member whose parent is there."""
    for token in path[:-1]:
        inner = data[token]
        assert isinstance(inner, dict)
        data = inner
    assert path[-1] not in data
    data[path[-1]] = value


def is_pointable(path: Tokens) -> bool:
    """Whether a pointer of ours may name such a member."""
    return path[0] != "$sealed" and "-" not in path


def meet(one: Tokens, other: Tokens) -> bool:
    """Whether one path is the other or leads to it."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def pointer_of(path: Tokens) -> str:
    """RFC 6901, 3."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in path)


@st.composite
def chosen(draw: st.DrawFn, data: dict[str, object]) -> list[Tokens]:
    """Some paths, most of them to members of ``data``, of which none meets another."""
    there = [path for path in paths(data) if is_pointable(path)]
    absent = [("nobody",), ("a", "nobody"), *((*path, "nobody") for path in there)]
    wanted: list[Tokens] = []
    for path in draw(st.lists(st.sampled_from([*there, *absent]), max_size=5, unique=True)):
        if not any(meet(path, other) for other in wanted):
            wanted.append(path)
    return wanted

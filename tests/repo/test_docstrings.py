"""Public names have docstrings that say more than the name."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.repo.sources import modules, name_of, tree_of, words

EMPTY_WORDS = words("a an the of and or to in is this that its for with as by get gets return returns set sets")


def public(node: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, ast.AST, str | None]]:
    """Yield (name, node, docstring) of public classes, functions and methods. Functions in functions are private."""
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            yield prefix + child.name, child, ast.get_docstring(child)
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{prefix}{child.name}.")


def repeats(name: str, docstring: str) -> bool:
    """Tell whether a docstring has no word beyond those of the name."""
    known = set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", name).lower()))
    said = set(re.findall(r"[a-z]+", docstring.lower())) - EMPTY_WORDS
    return all(word in known or word.rstrip("s") in known for word in said)


def test_every_public_name_has_a_docstring() -> None:
    bare = [f"{name_of(p)}:{name}" for p in modules() for name, _, text in public(tree_of(p)) if not text]
    assert not bare, "\n".join(bare)


def test_no_docstring_repeats_its_name() -> None:
    useless = [
        f"{name_of(p)}:{name}"
        for p in modules()
        for name, _, text in public(tree_of(p))
        if text and repeats(name, text)
    ]
    assert not useless, "\n".join(useless)


@pytest.mark.parametrize(("name", "docstring"), [("Cursor", "The cursor."), ("save_position", "Saves the position.")])
def test_a_useless_docstring_is_seen(name: str, docstring: str) -> None:
    assert repeats(name, docstring)


def test_a_useful_docstring_is_let_through() -> None:
    assert not repeats("Cursor", "The position up to which a session has processed.")

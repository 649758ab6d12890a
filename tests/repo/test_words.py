"""One word, one meaning: the words that the house does not use, in names and in the docs."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.repo.sources import files, modules, name_of, tree_of, words

BANNED_NAMES = words("""
    topic channel room offset index version account subscriber notification history cache buffer offline suspended
    resync recovery kick encrypt whitelist manager helper helpers util utils common base misc
""")
ALLOWED_NAMES: dict[tuple[str, str], str] = {
    ("gateway/tls_transport.py", "buffer"): "asyncio.Transport's own words",
    ("mesh/nats_client.py", "buffer"): "asyncio.BufferedProtocol's own words",
    ("security/sealing.py", "encrypt"): "the one place where sealing meets the JOSE library",
    ("mesh/topology.py", "history"): "NATS's name for how many values of a key a bucket keeps",
}
"""(file, word): why the word is another's and stays."""
ALLOWED_NAMES |= {
    (file, "room"): "free space, as in `_has_room`; never a place for people"
    for file in ("gateway/session.py", "mesh/feed.py", "mesh/publisher.py")
}
BANNED_IN_DOCS = words("topic topics channel channels room rooms subscriber subscribers resync kick kicked whitelist")
BANNED_IN_DOCS |= words("notification notifications misc helper helpers suspended")


def parts(name: str) -> list[str]:
    """Return the lower-case words of a name: ``isLiveNow`` and ``is_live_now`` have three."""
    return re.findall(r"[a-z][a-z0-9]*", re.sub(r"([A-Z][a-z]|[A-Z]+(?![a-z]))", r"_\1", name).lower())


def defined(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield (name, line) of what a module names itself; what it calls belongs to others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and getattr(node.value, "id", "") == "self"
        ):
            yield node.attr, node.lineno


def prose(text: str) -> str:
    """Return a page without its code, where words may be those of other programs."""
    return re.sub(r"```.*?```|`[^`\n]*`", " ", text, flags=re.DOTALL)


def test_names_use_the_words_of_the_house() -> None:
    strays = [
        f"{name_of(path)}:{line} {name}"
        for path in modules()
        for name, line in [*defined(tree_of(path)), (path.stem, 0)]
        for word in BANNED_NAMES.intersection(parts(name))
        if (name_of(path), word) not in ALLOWED_NAMES
    ]
    assert not strays, "\n".join(strays)


def test_docs_use_the_words_of_the_house() -> None:
    strays = [
        f"{name_of(path)}: {word}"
        for path in files(".md")
        for word in re.findall(r"[a-z]+", prose(path.read_text(encoding="utf-8")).lower())
        if word in BANNED_IN_DOCS
    ]
    assert not strays, "\n".join(strays)


@pytest.mark.parametrize("name", ["Topic", "last_offset", "KVManager", "roomCount", "_helper"])
def test_a_banned_name_is_seen(name: str) -> None:
    assert BANNED_NAMES.intersection(parts(name))


def test_longer_words_are_not_banned() -> None:
    assert not BANNED_NAMES.intersection([*parts("accountable"), *parts("indexed"), *parts("database")])

"""Every module says whether it is pure or a shell, and the pure ones are."""

import ast
from collections.abc import Iterator

import pytest

from tests.repo.sources import dotted, imports_of, modules, name_of, tree_of, words

STANDARD = words("""
    ast base64 binascii bisect collections collections.abc copy dataclasses datetime difflib enum fractions functools
    graphlib hashlib heapq hmac ipaddress itertools json math operator posixpath re stat string struct textwrap tomllib
    types typing unicodedata urllib.parse zlib
""")
"""The standard library that computes and does nothing else."""
COMPUTING = {"security": ("cryptography", "joserfc"), "tidewire_client": ("joserfc",)}
"""Foreign libraries that a floor's pure modules may call beside msgspec."""
# A class is a type to be handed a value of; what it is made with is the composition root's business.
NAMES = {("random", "Random"), ("pathlib", "PurePath"), ("pathlib", "PurePosixPath")}
EFFECTS = words("""
    open print input now utcnow today urandom token_bytes token_hex uuid4 read_text read_bytes write_text write_bytes
    generate_private_key generate_key getenv monotonic time_ns
""")
CHANGES = words("append extend insert remove pop popitem clear update setdefault add discard appendleft")


def word_of(tree: ast.Module) -> str:
    """Return ``Pure``, ``Shell`` or what else a module's docstring starts with."""
    return (ast.get_docstring(tree) or "").partition(":")[0]


def is_facade(tree: ast.Module) -> bool:
    """Tell whether an ``__init__`` holds nothing but its docstring, imports and dunder names."""
    return all(
        isinstance(node, ast.Expr | ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) and t.id[:2] == "__" for t in node.targets))
        for node in tree.body
    )


def pure_modules() -> dict[str, ast.Module]:
    """Return the pure modules by the name they are imported by."""
    return {dotted(path): tree_of(path) for path in modules() if word_of(tree_of(path)) == "Pure"}


def bad_imports(module: str, tree: ast.Module, pure: frozenset[str]) -> Iterator[str]:
    """Yield what a pure module imports and must not."""
    foreign = ("msgspec", *COMPUTING.get(module.partition(".")[0], ()))
    for source, name, line in imports_of(tree):
        if (source, name) in NAMES or source in STANDARD or f"{source}.{name}" in STANDARD:
            continue
        if source in pure or f"{source}.{name}" in pure or source.partition(".")[0] in foreign:
            continue
        yield f"{module}:{line} imports {source} {name}".rstrip()


def effects(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield awaits, clocks, randomness, files and changes of module state in a pure module."""
    state = {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    state |= {n.target.id for n in tree.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Global):
            yield f"{module}:{getattr(node, 'lineno', 0)} {type(node).__name__}"
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in EFFECTS:
                yield f"{module}:{node.lineno} calls {name}"
    for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)):
        yield from changes_of_state(module, function, state)


def changes_of_state(module: str, function: ast.FunctionDef, state: set[str]) -> Iterator[str]:
    """Yield where a function changes a container that belongs to the module."""
    own = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
    for node in ast.walk(function):
        target: ast.expr | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            target = node.func.value
        if isinstance(target, ast.Name) and target.id in state - own:
            yield f"{module}:{getattr(node, 'lineno', 0)} changes {target.id}"


def test_every_module_says_whether_it_is_pure_or_a_shell() -> None:
    silent = [
        name_of(path)
        for path in modules()
        if word_of(tree_of(path)) not in {"Pure", "Shell"}
        and not (path.name == "__init__.py" and ast.get_docstring(tree_of(path)) and is_facade(tree_of(path)))
    ]
    assert not silent, "\n".join(silent)


def test_pure_modules_import_pure_modules_only() -> None:
    pure = pure_modules()
    assert "security.errors" in pure
    strays = [bad for name, tree in pure.items() for bad in bad_imports(name, tree, frozenset(pure))]
    assert not strays, "\n".join(strays)


def test_pure_modules_have_no_effects_and_no_state() -> None:
    strays = [bad for name, tree in pure_modules().items() for bad in effects(name, tree)]
    assert not strays, "\n".join(strays)


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio",
        "import os.path",
        "from time import monotonic",
        "import logging",
        "from mesh.link import Link",
        "import cryptography",
    ],
)
def test_a_forbidden_import_is_seen(source: str) -> None:
    assert len(list(bad_imports("mesh.event", ast.parse(source), frozenset({"security.errors"})))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "async def f(): pass",
        "import datetime\nx = datetime.datetime.now()",
        "SEEN = []\ndef f(x): SEEN.append(x)",
        "SEEN = {}\ndef f(x): SEEN[x] = 1",
        "def f():\n    global n\n    n = 1",
    ],
)
def test_an_effect_is_seen(source: str) -> None:
    assert len(list(effects("m", ast.parse(source)))) == 1


def test_what_belongs_to_the_caller_may_be_changed() -> None:
    assert list(effects("m", ast.parse("ALL = {}\ndef f(ALL, y):\n    y.append(1)\n    ALL[1] = 2"))) == []

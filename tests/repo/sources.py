"""What the repository's tests read: its files, and the syntax trees of its modules."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("security", "mesh", "replay", "gateway")
SDK = "clients/python/tidewire_client"
PACKAGES = (*FLOORS, SDK)


@cache
def files(*suffixes: str) -> tuple[Path, ...]:
    """Return the repository's files, also those not committed yet, with one of ``suffixes`` (none: all)."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    found = (ROOT / name for name in sorted(set(listed)))
    return tuple(path for path in found if path.is_file() and (not suffixes or path.suffix in suffixes))


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


def name_of(path: Path) -> str:
    """Return a file's path from the root, as tests name it."""
    return path.relative_to(ROOT).as_posix()


def modules() -> tuple[Path, ...]:
    """Return the modules of the product: the four floors and the Python SDK."""
    return tuple(path for path in files(".py") if name_of(path).startswith(tuple(f"{p}/" for p in PACKAGES)))


def dotted(path: Path) -> str:
    """Return the name by which a module is imported."""
    name = name_of(path).removeprefix("clients/python/").removesuffix(".py").removesuffix("/__init__")
    return name.replace("/", ".")


@cache
def tree_of(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=name_of(path))


def imports_of(tree: ast.AST) -> list[tuple[str, str, int]]:
    """Return (module, name, line) of every import, ``name`` empty for a whole module."""
    found: list[tuple[str, str, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.extend((alias.name, "", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.extend((node.module or "", alias.name, node.lineno) for alias in node.names)
    return found

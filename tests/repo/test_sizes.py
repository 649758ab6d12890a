"""Files and functions stay small; each exception is named with its reason."""

import ast

from tests.repo.sources import ROOT, files, name_of, tree_of

FILE_LINES = 500
FUNCTION_LINES = 70

LONG_FILES: dict[str, str] = {}
"""Path: why its lines belong together."""
LONG_FUNCTIONS: dict[str, str] = {}
"""``path:function``: why it is one idea."""


def lines_of(text: str) -> int:
    """Return how many lines a file has."""
    return len(text.splitlines())


def functions_of(tree: ast.Module) -> dict[str, int]:
    """Return the lines of each function, from ``def`` to its end, docstring included."""
    return {
        node.name: (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_files_are_short() -> None:
    long = {name_of(path) for path in files(".py") if lines_of(path.read_text(encoding="utf-8")) > FILE_LINES}
    assert long == set(LONG_FILES)


def test_functions_are_short() -> None:
    long = {
        f"{name_of(path)}:{name}"
        for path in files(".py")
        for name, lines in functions_of(tree_of(path)).items()
        if lines > FUNCTION_LINES
    }
    assert long == set(LONG_FUNCTIONS)


def test_a_long_function_is_seen() -> None:
    tree = ast.parse("def short():\n    pass\nasync def long():\n" + "    pass\n" * FUNCTION_LINES)
    assert functions_of(tree) == {"short": 2, "long": FUNCTION_LINES + 1}


def test_there_are_files_to_measure() -> None:
    assert ROOT / "security" / "errors.py" in files(".py")

"""Every trap of resuming has its line in docs/proof.md, and every test that a line names is there."""

import ast
import json
import re

import pytest

from tests.repo.sources import ROOT, files, name_of, tree_of

PAGE = ROOT / "docs" / "proof.md"
SCRIPTS = ROOT / "tests" / "vectors" / "client_core.json"
JS_TESTS = ROOT / "clients" / "js" / "tests"
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([^`]+)`")


def rows() -> list[tuple[int, list[str]]]:
    """Return each trap's number with the tests that its line names."""
    section = PAGE.read_text(encoding="utf-8").partition("## The 41 traps\n")[2].partition("\n## ")[0]
    return [(int(number), NAMED.findall(tests)) for number, _, tests in ROW.findall(section)]


def is_there(test: str) -> bool:
    """Tell whether a test exists: ``path::name``, ``client_core.json: script`` or ``file.test.js: title``."""
    path, _, name = test.partition("::")
    if name:
        return ROOT / path in files(".py") and name in python_tests(path)
    file, _, name = test.partition(": ")
    if file == SCRIPTS.name:
        scripts = json.loads(SCRIPTS.read_text(encoding="utf-8"))["scripts"]
        return name in {script["name"].partition(":")[0] for script in scripts}
    return JS_TESTS / file in files(".js") and name in titles((JS_TESTS / file).read_text(encoding="utf-8"))


def python_tests(path: str) -> set[str]:
    """Return the names of a module's tests."""
    functions = (node for node in tree_of(ROOT / path).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def titles(source: str) -> set[str]:
    """Return the titles of a JavaScript file's tests that are written out as they are."""
    return {text for _, text in re.findall(r"^ *test\((['\"`])(.+)\1, ", source, re.MULTILINE)}


def test_each_trap_has_one_line() -> None:
    assert [number for number, _ in rows()] == list(range(1, 42))


def test_every_line_names_a_test_and_every_test_is_there() -> None:
    assert [number for number, tests in rows() if not tests] == []
    assert [(number, test) for number, tests in rows() for test in tests if not is_there(test)] == []


def test_every_test_that_names_a_trap_names_one_of_them() -> None:
    """``test_trap_16_...`` and ``trap 16: ...`` say a number of the table; those of a gateway are all in it."""
    known = {number for number, _ in rows()}
    named = {test for _, tests in rows() for test in tests}
    for path in files(".py"):
        for name in python_tests(name_of(path)) if path.name.startswith("test_") else ():
            if number := re.match(r"test_trap_(\d+)_", name):
                assert int(number[1]) in known
                assert f"{name_of(path)}::{name}" in named
    for path in files(".js"):
        for title in titles(path.read_text(encoding="utf-8")):
            if numbers := re.match(r"trap ([\d, ]+):", title):
                assert known.issuperset(int(number) for number in numbers[1].split(", "))


@pytest.mark.parametrize(
    "test",
    [
        "tests/sim/test_traps.py::test_no_such_test",
        "tests/sim/no_such_file.py::test_a_seed_is_a_run",
        "client_core.json: no-such-script",
        "traps.test.js: trap 17: no such title",
        "no-such-file.test.js: trap 17",
        "tests/sim/test_traps.py",
    ],
)
def test_a_test_that_is_not_there_is_seen(test: str) -> None:
    assert not is_there(test)

"""The docs are true as far as a program can tell: links, commands, settings, metrics, clauses."""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.close_codes import REASONS
from gateway.config import Config
from tests.repo.pages import (
    anchors,
    citations,
    cited_by,
    citing_tests,
    clauses,
    close_reasons,
    error_codes,
    links,
    resolves,
    security_citations,
    security_clauses,
    uncited,
)
from tests.repo.sources import ROOT, files, modules, name_of, tree_of

OPERATIONS = ROOT / "docs" / "operations.md"
README = ROOT / "README.md"
PATH = re.compile(r"`((?:security|mesh|replay|gateway|tests|clients|docs|examples|deploy|bench)/[\w./-]*)`")
METRIC = re.compile(r"\btidewire_[a-z0-9_]+\b")
# prometheus-client appends these to what the code names.
SUFFIXES = ("_total", "_bucket", "_sum", "_count", "_created")


def settings(struct: type[msgspec.Struct] = Config, section: str = "") -> Iterator[tuple[str, str]]:
    """Yield every configuration field's path and default, as TOML writes them: ``limits.frame_bytes``, ``65536``."""
    for field in msgspec.structs.fields(struct):
        path = f"{section}{field.encode_name}"
        inner = [t for t in (field.type, *getattr(field.type, "__args__", ())) if isinstance(t, type)]
        nested = [t for t in inner if issubclass(t, msgspec.Struct)]
        if nested:
            yield from settings(nested[0], f"{path}.")
        elif field.default is msgspec.NODEFAULT:
            yield path, "needed"
        else:
            yield path, "none" if field.default is None else f"`{as_toml(field.default)}`"


def as_toml(value: object) -> str:
    """Return a default as TOML has it; texts, numbers, booleans and lists of them are the same in JSON."""
    return json.dumps(value)


def documented_settings() -> dict[str, str]:
    """Return the settings that the operator's page has a row for, with the default that it names."""
    rows = r"^\| `([a-z_]+(?:\.[a-z_]+)?)` \| ([^|]+) \|"
    page = OPERATIONS.read_text(encoding="utf-8").partition("## Settings")[2]
    return {match[1]: match[2] for match in re.finditer(rows, page, flags=re.MULTILINE)}


def stem(metric: str) -> str:
    """Return a metric's name without what the exposition format appends."""
    for suffix in SUFFIXES:
        metric = metric.removesuffix(suffix)
    return metric


def metrics_of(paths: Iterator[Path] | tuple[Path, ...]) -> set[str]:
    """Return the metrics that files name, without suffixes."""
    named = {name for path in paths for name in METRIC.findall(path.read_text(encoding="utf-8"))}
    return {stem(name) for name in named}


def commands() -> set[str]:
    """Return the subcommands of ``tidewire``."""
    return set(importlib.import_module("gateway.cli").COMMANDS)


def test_every_link_leads_somewhere() -> None:
    pages = files(".md")
    assert README in pages
    broken = [f"{name_of(page)}: {link}" for page in pages for link in links(page) if not resolves(page, link)]
    assert not broken, "\n".join(broken)


def test_every_path_in_the_docs_exists() -> None:
    named = {
        (name_of(page), path)
        for page in files(".md")
        if not name_of(page).startswith("clients/")
        for path in PATH.findall(page.read_text(encoding="utf-8"))
    }
    assert ("docs/architecture.md", "gateway/session.py") in named
    assert {(page, path) for page, path in named if not (ROOT / path).exists()} == set()


def test_a_broken_link_is_seen() -> None:
    assert not resolves(README, "docs/no-such-page.md")
    assert not resolves(README, "docs/protocol.md#no-such-heading")
    assert not resolves(README, "../elsewhere.md")
    assert resolves(README, "docs/protocol.md#3-close-codes")
    assert "3-close-codes" in anchors(ROOT / "docs" / "protocol.md")


def test_make_commands_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {
        (name_of(page), target)
        for page in files(".md")
        for target in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert {("README.md", "up"), ("README.md", "test")} <= named
    assert {(page, target) for page, target in named if target not in targets} == set()


def test_tidewire_commands_in_the_docs_exist() -> None:
    named = {
        (name_of(page), command)
        for page in files(".md")
        for command in re.findall(
            r"(?:^|`|bin/)tidewire ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
    }
    assert named
    known = commands()
    assert {(page, command) for page, command in named if command not in known} == set()


def test_every_setting_is_documented_and_nothing_else() -> None:
    assert documented_settings() == dict(settings())


def test_every_metric_is_documented_and_nothing_else() -> None:
    in_code = metrics_of(path for path in modules() if name_of(path).startswith("gateway/metrics"))
    assert in_code, "metrics are named in gateway/metrics.py"
    assert metrics_of((OPERATIONS,)) == in_code


def test_close_codes_and_reasons_are_those_of_the_protocol() -> None:
    """P3.2."""
    assert close_reasons() == REASONS


def test_the_changelog_has_unreleased_on_top() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings[0] in {"Unreleased", "[Unreleased]"}


def test_each_decision_has_its_five_parts() -> None:
    pages = [path for path in files(".md") if name_of(path).startswith("docs/decisions/")]
    assert pages
    parts = ["question", "decision", "because", "rejected", "what-would-change-our-mind"]
    assert [name_of(path) for path in pages if not anchors(path).issuperset(parts)] == []
    assert [path.name[:4] for path in pages] == [f"{n:04}" for n in range(1, len(pages) + 1)]


def test_every_clause_has_an_id_of_its_own() -> None:
    ids = clauses()
    assert len(ids) > 50
    assert len(set(ids)) == len(ids)
    numbers = [tuple(int(number) for number in clause[1:].split(".")) for clause in ids]
    assert numbers == sorted(numbers)


def test_every_cited_clause_exists() -> None:
    cited = citations("security/", "mesh/", "replay/", "gateway/", "clients/", "tests/", "docs/", "examples/", "README")
    known = set(clauses())
    assert {clause: sorted(paths) for clause, paths in cited.items() if clause not in known} == {}


def test_the_clauses_of_the_security_page_are_numbered_through() -> None:
    ids = security_clauses()
    assert ids == [f"S{n}" for n in range(1, len(ids) - 16)] + [f"J{n}" for n in range(1, 18)]
    assert len(ids) > 40


def test_every_cited_clause_of_the_security_page_exists() -> None:
    known = set(security_clauses())
    assert {(path, clause) for path, clause in security_citations() if clause not in known} == set()
    assert ("gateway/jwks.py", "S8") in security_citations()


def test_every_clause_is_cited_by_a_test() -> None:
    assert uncited() == [], "a test must try it and say so: see cited_by in tests/repo/pages.py"


def test_every_clause_a_test_cites_exists() -> None:
    known = set(clauses())
    assert {clause: sorted(tests) for clause, tests in citing_tests().items() if clause not in known} == {}


def test_a_clause_is_cited_inside_a_test_and_nowhere_else() -> None:
    text = '''"""Q1.1."""
EITHER = "Q1.2"
def helped(): "Q1.3"
@mark("Q2.4")
def test_one():  # Q2.5
    """Q2.6 to Q2.8, and Q3.1."""
    pass  # Q2.9
class Tests:
    async def test_two(self): "Q3.1"
# Q1.9
'''.replace("Q", "P")  # so that this test cites none of them
    found = cited_by(ast.parse(text), text)
    assert {clause for clause, names in found.items() if "test_one" in names} == {
        f"P{clause}" for clause in ("2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "3.1")
    }
    assert [clause[1:] for clause, names in found.items() if "test_two" in names] == ["3.1"]
    assert len(found) == 7


def error_codes_made() -> set[str]:
    """Return the codes that the gateway puts into ``error`` frames and replies, as its calls have them."""
    makers = {"_refuse", "_Refusal", "ErrorFrame"}
    calls = (
        node
        for path in modules()
        if name_of(path).startswith("gateway/")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
    )
    values = (
        value.value
        for call in calls
        if getattr(call.func, "attr", getattr(call.func, "id", "")) in makers
        for value in (*call.args, *(keyword.value for keyword in call.keywords))
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    )
    return {value for value in values if re.fullmatch("[a-z_]+", value)}  # a message has spaces


def test_the_codes_of_errors_are_those_of_the_page() -> None:
    """P2.43."""
    assert {"not_supported", "unknown_type", "invalid_subject", "limit", "forbidden"} <= error_codes_made()
    assert error_codes_made() <= error_codes()

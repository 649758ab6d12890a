"""Reading the documentation: clauses, citations, links, headings and the names it explains."""

import ast
import json
import re
from pathlib import Path

from tests.repo.sources import ROOT, files, name_of, tree_of

PROTOCOL = ROOT / "docs" / "protocol.md"
CLAUSE = re.compile(r"^\*\*(P(\d+)\.(\d+))\*\* ", re.MULTILINE)
CITATION = re.compile(r"\bP\d+\.\d+\b")
RANGE = re.compile(r"\bP(\d+)\.(\d+) to P\1\.(\d+)\b")
SCENARIOS = ROOT / "tests" / "vectors" / "gateway_wire.json"
SECURITY = ROOT / "docs" / "security.md"
SECURITY_CITATION = re.compile(r"\bsecurity\.md (S\d+)\b")


def clauses() -> list[str]:
    """Return the ids of the protocol's clauses, in the order of the page."""
    return [match[1] for match in CLAUSE.finditer(PROTOCOL.read_text(encoding="utf-8"))]


def citations(*folders: str) -> dict[str, set[str]]:
    """Return the clauses that files under ``folders`` cite, each with the files that do."""
    found: dict[str, set[str]] = {}
    for path in files(".py", ".md", ".js", ".ts", ".json"):
        if name_of(path).startswith(folders) and path != PROTOCOL:
            for cited in CITATION.findall(path.read_text(encoding="utf-8")):
                found.setdefault(cited, set()).add(name_of(path))
    return found


def security_clauses() -> list[str]:
    """Return the ids of the clauses of the security page, in its order, then those of the token checks."""
    text = SECURITY.read_text(encoding="utf-8")
    return re.findall(r"^\*\*(S\d+)\*\* ", text, re.MULTILINE) + re.findall(r"^\| (J\d+) \|", text, re.MULTILINE)


def security_citations() -> set[tuple[str, str]]:
    """Return (file, clause) for each clause of the security page that a file cites, and the page's own."""
    return {
        (name_of(path), cited)
        for path in files(".py", ".md")
        for cited in (re.compile(r"\b(S\d+)\b") if path == SECURITY else SECURITY_CITATION).findall(
            path.read_text(encoding="utf-8")
        )
    }


def cited_by(tree: ast.Module, text: str) -> dict[str, set[str]]:
    """Return the clauses that the tests of a module cite, each with their names.

    A citation counts between the first decorator of a function ``test_...`` and its end: in its docstring, a comment,
    or an id of its parameters. Prose about a whole module proves nothing. ``P2.33 to P2.35`` names all three.
    """
    lines, found = text.splitlines(), dict[str, set[str]]()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            begin = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            for clause in _named("\n".join(lines[begin - 1 : node.end_lineno])):
                found.setdefault(clause, set()).add(node.name)
    return found


def _named(text: str) -> set[str]:
    """Return the clauses in a text, those between the ends of a range included."""
    named = set(CITATION.findall(text))
    for section, first, last in RANGE.findall(text):
        named |= {f"P{section}.{number}" for number in range(int(first), int(last) + 1)}
    return named


def citing_tests() -> dict[str, set[str]]:
    """Return the clauses that tests cite, each with those tests: ``file::name``.

    A scenario of tests/vectors/gateway_wire.json is a test too: tests/system/test_conformance.py plays each.
    """
    found: dict[str, set[str]] = {}
    for path in files(".py"):
        if name_of(path).startswith("tests/") and path.name.startswith("test_"):
            for clause, names in cited_by(tree_of(path), path.read_text(encoding="utf-8")).items():
                found.setdefault(clause, set()).update(f"{name_of(path)}::{name}" for name in names)
    for scenario in json.loads(SCENARIOS.read_text(encoding="utf-8"))["scenarios"]:
        for clause in scenario["clauses"]:
            found.setdefault(clause, set()).add(f"{name_of(SCENARIOS)}::{scenario['name']}")
    return found


def uncited() -> list[str]:
    """Return the clauses that no test cites."""
    cited = citing_tests()
    return [clause for clause in clauses() if clause not in cited]


def frame_tables() -> dict[str, dict[str, set[str]]]:
    """Return the page's frames: "client" and "gateway", each type with its members; optional ones end in ``?``."""
    found: dict[str, dict[str, set[str]]] = {}
    page = PROTOCOL.read_text(encoding="utf-8")
    for side, title in (("client", "### 2.1"), ("gateway", "### 2.2")):
        table = page.partition(title)[2].partition("**P2.")[0]
        rows = (line.split("|") for line in table.splitlines() if line.startswith("| `"))
        found[side] = {
            cells[1].strip(" `"): {member.replace("`", "") for member in re.findall(r"`\w+`\??", cells[2])}
            for cells in rows
        }
    return found


def error_codes() -> set[str]:
    """Return the codes of ``error`` frames and replies that the page lists (P2.43)."""
    table = PROTOCOL.read_text(encoding="utf-8").partition("**P2.43**")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def close_reasons() -> dict[int, str]:
    """Return the close codes of the page with their reasons (P3.2)."""
    rows = re.findall(r"^\| ([0-9]{4}) \| ([a-z, ]+) \|", PROTOCOL.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {int(code): reason for code, reason in rows}


def text_of(path: Path) -> str:
    """Return a page without its fenced code."""
    return re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def links(path: Path) -> list[str]:
    """Return where a page's links and pictures lead."""
    text = text_of(path)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", text_of(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def resolves(page: Path, link: str) -> bool:
    """Tell whether a link leads to a file of the repository, and to a heading of it when it names one."""
    if link.startswith("https://"):
        return True
    target, _, anchor = link.partition("#")
    path = (page.parent / target).resolve() if target else page
    if not path.exists() or not path.is_relative_to(ROOT):
        return False
    return not anchor or (path.suffix == ".md" and anchor in anchors(path))

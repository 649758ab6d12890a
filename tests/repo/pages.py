"""Reading the documentation: clauses, citations, links, headings and the names it explains."""

import re
from pathlib import Path

from tests.repo.sources import ROOT, files, name_of

PROTOCOL = ROOT / "docs" / "protocol.md"
CLAUSE = re.compile(r"^\*\*(P(\d+)\.(\d+))\*\* ", re.MULTILINE)
CITATION = re.compile(r"\bP\d+\.\d+\b")
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


def uncited() -> list[str]:
    """Return the clauses that no test cites."""
    cited = citations("tests/", "clients/")
    return [clause for clause in clauses() if clause not in cited]


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

"""Vectors are for everybody: each file of tests/vectors is run by all that must agree on it."""

import ast
import json
import re
from pathlib import Path

import pytest

from tests.conformance.__main__ import FRAMES, WIRE
from tests.repo.pages import close_reasons, error_codes, frame_tables
from tests.repo.sources import ROOT, files, imports_of, name_of, tree_of

VECTORS = ROOT / "tests" / "vectors"
JS = "clients/js/tests"
RUN_BY: dict[str, dict[str, str]] = {
    "client_core.json": {"python": "tests/client/test_vectors.py", "javascript": f"{JS}/core-vectors.test.js"},
    "frames.json": {
        "gateway": "tests/gateway/test_frame_vectors.py",
        "any gateway": "tests/system/test_conformance.py",
        "python": "tests/client/test_frame_vectors.py",
        "javascript": f"{JS}/frames.test.js",
    },
    "gateway_wire.json": {"any gateway": "tests/system/test_conformance.py"},
    "msgpack.json": {"python": "tests/client/test_frame_vectors.py", "javascript": f"{JS}/msgpack.test.js"},
    "sealed.json": {"python": "tests/client/test_sealed.py", "javascript": f"{JS}/sealed.test.js"},
    "sealed_js.json": {"python": "tests/client/test_sealed_js.py", "javascript": f"{JS}/sealed.test.js"},
}
"""Vector file: who must pass it, and the test that does."""
PARTS: dict[str, tuple[str, ...]] = {
    "client_core.json": ("scripts",),
    "frames.json": ("frames", "batches", "ignored", "bad", "not_base64"),
    "msgpack.json": ("values", "read", "bad"),
    "sealed.json": ("vectors",),
    "sealed_js.json": ("vectors",),
}
"""The lists of a file; each runner takes every one that is for it by name."""
NOT_FOR = {("frames.json", "gateway"): {"not_base64"}, ("frames.json", "any gateway"): {"not_base64"}}


def texts_of(name: str) -> str:
    """A test's source, with that of the modules of tests which it imports, and of those."""
    seen: dict[Path, str] = {}
    waiting = [ROOT / name]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen[path] = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            for module, member, _ in imports_of(tree_of(path)):
                for dotted in (module, f"{module}.{member}"):
                    if dotted.startswith("tests."):
                        waiting.append(ROOT / (dotted.replace(".", "/") + ".py"))
    return "\n".join(without_docstrings(path, text) for path, text in seen.items())


def without_docstrings(path: Path, text: str) -> str:
    """A source without texts that only speak of a file."""
    if path.suffix != ".py":
        return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    strings = (node.value for node in ast.walk(tree_of(path)) if isinstance(node, ast.Expr))
    for node in strings:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = text.replace(node.value, "")
    return text


def reads(text: str, vectors: str) -> bool:
    """Tell whether a source names a vector file, whole or by its stem."""
    stem = vectors.removesuffix(".json")
    return re.search(rf"[\"'/]{re.escape(vectors)}[\"']|\(['\"]{re.escape(stem)}['\"]\)", text) is not None


def takes(text: str, part: str) -> bool:
    """Tell whether a source takes a list out of a document, or hands its name to what does."""
    spellings = (
        rf"(?:[A-Z]|\))\[\"{part}\"\]",  # DOCUMENT["bad"], loads(...)["bad"]
        rf"\(\"{part}\"",  # messages("bad")
        rf"^    \"{part}\": ",  # the parts that a command plays
        rf"(?:VECTORS|\))\.{part}\b",  # VECTORS.bad, JSON.parse(...).bad
        rf"\{{ {part} \}} =",  # const {{ bad }} = ...
    )
    return re.search("|".join(spellings), text, re.MULTILINE) is not None


def test_each_file_of_vectors_is_in_the_table() -> None:
    assert {path.name for path in files(".json") if path.parent == VECTORS} == set(RUN_BY)


@pytest.mark.parametrize(("vectors", "who"), [(file, who) for file, all_ in RUN_BY.items() for who in all_])
def test_each_file_of_vectors_is_run_by_all_who_must_pass_it(vectors: str, who: str) -> None:
    runner = RUN_BY[vectors][who]
    assert ROOT / runner in files(), runner
    text = texts_of(runner)
    assert reads(text, vectors), f"{runner} does not read {vectors}"
    for part in set(PARTS.get(vectors, ())) - NOT_FOR.get((vectors, who), set()):
        assert takes(text, part), f"{runner} passes over {part} of {vectors}"


@pytest.mark.parametrize("vectors", sorted(PARTS))
def test_the_lists_of_each_file_are_known_and_none_is_empty(vectors: str) -> None:
    document = json.loads((VECTORS / vectors).read_text(encoding="utf-8"))
    lists = {name for name, value in document.items() if isinstance(value, list) and name != "about"}
    assert lists >= set(PARTS[vectors])
    assert lists - set(PARTS[vectors]) <= {"keys"}, "a list that nobody is asked to run"
    assert all(document[name] for name in PARTS[vectors])


def test_a_runner_that_only_speaks_of_its_vectors_is_seen(tmp_path: Path) -> None:
    script = tmp_path / "frames.test.js"
    script.write_text("/** Frames (tests/vectors/frames.json). */\nimport test from 'node:test'; // 'frames.json'\n")
    assert not reads(without_docstrings(script, script.read_text()), "frames.json")
    assert reads("new URL('../../../tests/vectors/frames.json', import.meta.url)", "frames.json")
    assert not reads("'sealed_js.json'", "sealed.json")
    assert not takes('DOCUMENT["frames"]', "batches")
    assert not takes('from gateway.frames import JSON\nwire(vector["frames"])', "frames")


# --- the scenarios for gateways say what the page says ---


def test_the_frames_of_the_scenarios_are_those_of_the_page() -> None:
    """P2.1: the tables of section 2.2."""
    told = {
        kind: {f"{name}?" if "$optional" in str(member)[:13] else name for name, member in members.items()} - {"type"}
        for kind, members in WIRE["frames"].items()
    }
    page = frame_tables()["gateway"]
    page["event"] = (page["event"] - {"data", "data_b64"}) | {"data?", "data_b64?"}  # one of both
    page["reply"] = (page["reply"] - {"id", "data", "error"}) | {"id?", "data?", "error?"}  # P2.23, P2.40
    assert told == page


def test_the_codes_and_reasons_of_the_scenarios_are_those_of_the_page() -> None:
    """P2.43, P3.2."""
    assert set(WIRE["frames"]["error"]["code"]["$one_of"]) == error_codes()
    assert set(WIRE["frames"]["reply"]["error"]["$optional"]["code"]["$one_of"]) == error_codes()
    assert {int(code): reason for code, reason in WIRE["reasons"].items()} == close_reasons()


def test_the_scenarios_try_every_frame_of_a_client() -> None:
    sent = json.dumps(WIRE["scenarios"]) + json.dumps(WIRE["templates"])
    assert {kind for kind in frame_tables()["client"] if f'"type": "{kind}"' not in sent} == set()
    assert {vector["frame"]["type"] for vector in FRAMES["frames"] if vector["direction"] == "client"} == set(
        frame_tables()["client"]
    )


def test_each_scenario_has_a_name_of_its_own_and_a_clause() -> None:
    names = [scenario["name"] for scenario in WIRE["scenarios"]]
    assert len(set(names)) == len(names) > 80
    assert all(scenario["clauses"] and scenario["steps"] for scenario in WIRE["scenarios"])
    assert name_of(VECTORS) == "tests/vectors"

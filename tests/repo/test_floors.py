"""Imports go down only, and every foreign library has one door."""

import subprocess
import sys
from pathlib import Path

from tests.repo.sources import FLOORS, ROOT, files, imports_of, modules, name_of, tree_of

DOORS = {
    "aiohttp": {"gateway"},
    "click": {"gateway"},
    "cryptography": {"security"},
    "joserfc": {"security", "clients"},  # the SDK opens what a publisher sealed; it shares no code with the gateway
    "msgspec": {*FLOORS, "clients"},
    "nats": {"mesh"},
    "prometheus_client": {"gateway"},
    "tidewire_client": {"gateway", "clients"},  # `tidewire listen` is a client like any other
    "uvloop": {"gateway"},
    "websockets": {"clients"},
}
"""Where each library that is not ours may be named. One that is missing here has no door yet."""


def test_the_contracts_of_import_linter_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([str(lint), "--no-cache"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_foreign_libraries_come_in_by_their_door() -> None:
    strays = [
        f"{name_of(path)}:{line} {source}"
        for path in modules()
        for source, _, line in imports_of(tree_of(path))
        if (library := source.partition(".")[0]) not in {*sys.stdlib_module_names, *FLOORS}
        and name_of(path).partition("/")[0] not in DOORS.get(library, set())
    ]
    assert not strays, "\n".join(strays)


def test_the_sdk_and_the_examples_import_none_of_our_floors() -> None:
    strays = [
        f"{name_of(path)}:{line} {source}"
        for path in files(".py")
        if name_of(path).startswith("clients/") or name_of(path) == "examples/websockets_client.py"
        for source, _, line in imports_of(tree_of(path))
        if source.partition(".")[0] in FLOORS
    ]
    assert not strays, "\n".join(strays)


def test_nobody_postpones_annotations_or_imports_relatively() -> None:
    strays = [
        f"{name_of(path)}:{line}"
        for path in files(".py")
        for source, name, line in imports_of(tree_of(path))
        if (source, name) == ("__future__", "annotations") or source == ""
    ]
    assert not strays, "\n".join(strays)

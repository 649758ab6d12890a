"""No file says where it was made, or from where packages come."""

import re
from pathlib import Path

import pytest

from tests.repo.sources import ROOT, files, name_of

# Written so that this file does not hold what it looks for.
PLACES = re.compile(
    r"(?<![\w.])/(?:work|home|root|Users|mnt|workspace)/\w"  # folders of one machine
    r"|\b(?:pypi|pythonhosted|npmjs|registry|artifactory|nexus)\.(?:[a-z]+\.)*(?:org|com|io|net|dev|internal)\b"
    r"|--(?:extra-)?index-url|--find-links|--trusted-host"
    r"|\bissue #?\d+\b",
    re.IGNORECASE,
)


def places(text: str) -> list[str]:
    """Return the machine paths, package hosts and issue numbers in a text."""
    return [match[0] for match in PLACES.finditer(text)]


def text_files() -> list[Path]:
    """Return every file that is text."""
    return [path for path in files() if b"\0" not in path.read_bytes()]


def test_no_file_names_a_machine_or_a_package_host() -> None:
    assert ROOT / "Makefile" in text_files()
    strays = [
        f"{name_of(path)}: {place}"
        for path in text_files()
        if path != Path(__file__)
        for place in places(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not strays, "\n".join(strays)


@pytest.mark.parametrize(
    "text", ["cd /home/me", "https://{}.org/simple".format("pypi"), "pip --index-url x", "see issue 7"]
)
def test_a_place_is_seen(text: str) -> None:
    assert places(text)


def test_ordinary_paths_are_let_through() -> None:
    assert places("/var/lib/tidewire /etc/tidewire/tidewire.toml /v1/session the registry of keys") == []


def test_constraints_are_names_with_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.+!]*|#.*", line)]
    assert not wrong, "\n".join(wrong)
    assert any(line.startswith("nats-py==") for line in lines)

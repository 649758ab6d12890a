"""A rival that is not there says why, and what a person can do."""

import sysconfig
from pathlib import Path

import pytest

from bench.rivals import installed


@pytest.fixture
def nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of kept programs, and an empty one as PATH."""
    monkeypatch.setattr(installed, "KEPT", tmp_path)
    monkeypatch.setattr(installed, "CENTRIFUGO", tmp_path / "bin" / "centrifugo")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    installed.centrifugo_missing.cache_clear()
    return tmp_path


def test_without_go_centrifugo_says_so(nothing_kept: Path) -> None:
    assert "no go on PATH" in installed.centrifugo_missing()
    installed.centrifugo_missing.cache_clear()


def program(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "go").write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / "go").chmod(0o755)


def test_an_installer_that_fails_is_quoted_and_asked_once(nothing_kept: Path) -> None:
    program(nothing_kept / "path", f"echo once >> {nothing_kept}/asked; echo first >&2; echo 'no network' >&2; exit 1")
    assert [installed.centrifugo_missing() for _ in range(2)] == ["it could not be installed: no network"] * 2
    assert (nothing_kept / "asked").read_text() == "once\n"
    installed.centrifugo_missing.cache_clear()


def test_an_installer_that_works_leaves_nothing_to_say(nothing_kept: Path) -> None:
    program(nothing_kept / "path", 'echo "$GOBIN $*" > "$0.said"')
    assert installed.centrifugo_missing() == ""
    said = (nothing_kept / "path" / "go.said").read_text()
    assert said.startswith(f"{nothing_kept}/bin install github.com/centrifugal/centrifugo/v6@v6.")
    installed.centrifugo_missing.cache_clear()


def test_a_debian_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "tool", lambda program: "")
    assert installed.debian_missing("mosquitto") == "mosquitto is not installed: apt-get install mosquitto"


def test_a_program_of_this_environment_comes_first() -> None:
    assert installed.tool("python").startswith(str(Path(sysconfig.get_path("scripts"))))
    assert installed.tool("no-such-program") == ""

"""The command line: help, exit codes, messages."""

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.cli import COMMANDS, main
from gateway.commands import publish
from security.development import DevelopmentState


@pytest.mark.parametrize(
    "name", [*COMMANDS, "sessions list", "sessions show", "sessions end", "epoch show", "epoch new"]
)
def test_each_command_has_help_with_an_example_to_paste(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"  tidewire {name}" in shown
    assert "Example:" in shown


def test_help_names_every_command_and_imports_none() -> None:
    code = "import sys; from gateway.cli import main; main(['--help']); print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(name in shown for name in COMMANDS)
    assert "'aiohttp'" not in shown
    assert "'nats'" not in shown


def test_no_command_shows_help_and_counts_as_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["frob"], ["check"], ["serve", "--workers", "0"], ["up", "--port", "65536"]])
def test_wrong_usage_is_told_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Error: " in capsys.readouterr().err


def test_a_command_that_needs_the_client_package_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "gateway.commands.listen", raising=False)
    monkeypatch.setitem(sys.modules, "tidewire_client", None)  # as if it were not installed
    assert main(["listen", "--help"]) == 2
    assert "install the package in clients/python" in capsys.readouterr().err


def test_without_assertions_it_refuses_to_start() -> None:
    found = subprocess.run(
        [sys.executable, "-O", "-m", "gateway", "--help"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert (
        found.stderr == "tidewire: python runs with -O, which strips assertions that guard delivery; run without it\n"
    )


def test_check_prints_what_holds_and_names_each_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("profile = 'development'\nlisten = {plain = true}\n[[issuers]]\nname = 'a'\njwks = 'none.json'\n")
    assert main(["check", "--config", str(path)]) == 2
    shown = capsys.readouterr()
    assert "recent_bytes = 67108864" in shown.out
    assert shown.err == f"tidewire: issuers[0].jwks: {tmp_path}/none.json is no file; check the path\n"
    path.write_text("[limits]\nframe_bytes = 5\nfrobs = 1\n")
    assert main(["serve", "--config", str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "tidewire: limits.frobs: is unknown; known are " + capsys_known(),
        "tidewire: limits.frame_bytes: must be 1,024 to 1,048,576; is 5",
    ]


def capsys_known() -> str:
    from gateway.config import Limits  # noqa: PLC0415

    return ", ".join(Limits.__struct_fields__)


def test_a_token_carries_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claims = ["--claim", 'tidewire={"read": ["orders.>"]}', "--claim", "note=a text", "--session", "phone"]
    assert main(["token", "--sub", "c42", "--ttl", "15m", "--state-dir", str(tmp_path), *claims]) == 0
    payload = capsys.readouterr().out.strip().split(".")[1]
    found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (found["sub"], found["sid"], found["note"]) == ("c42", "phone", "a text")
    assert found["exp"] - found["iat"] == 900
    assert found["tidewire"] == {"read": ["orders.>"]}
    assert abs(found["iat"] - time.time()) < 60


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--sub", "c42", "--ttl", "1w"], 2),
        (["--sub", "c42.o7"], 2),
        (["--sub", "c42", "--claim", "novalue"], 2),
        (["--sub", "c42", "--claim", "iss=me"], 2),
        (["--sub", "c42", "--ttl", "25h"], 1),
        (["--sub", "c42", "--ttl", "0s"], 1),
    ],
)
def test_a_token_that_nobody_would_take_is_not_made(tmp_path: Path, arguments: list[str], code: int) -> None:
    assert main(["token", "--state-dir", str(tmp_path), *arguments]) == code


def test_commands_that_need_a_running_one_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["publish", "orders.c42.o7", "{}"], ["sessions", "list"]):
        assert main([*arguments, "--state-dir", str(tmp_path)]) == 2
        assert "start tidewire up" in capsys.readouterr().err


def test_publishing_without_nats_ends_with_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = DevelopmentState(tmp_path / "development")
    keys.prepare(time.time())
    path = tmp_path / "gateway.toml"
    path.write_text(
        "profile = 'development'\nlisten = {plain = true}\nnats = {servers = ['nats://127.0.0.1:1']}\n"
        "[[issuers]]\nname = 'a'\njwks = 'development/jwks.json'\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.commands.upstream.CONNECT_S", 0.2)
        assert main(["publish", "orders.c42.o7", "{}", "--config", str(path)]) == 4
    assert "no connection to NATS at nats://127.0.0.1:1" in capsys.readouterr().err


def test_an_unforeseen_fault_is_one_line_and_a_traceback_with_debug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(publish, "config_of", fail)
    assert main(["publish", "a", "{}"]) == 1
    assert capsys.readouterr().err == (
        "tidewire: internal fault (RuntimeError); run tidewire --debug COMMAND to see where\n"
    )
    with pytest.raises(RuntimeError):
        main(["--debug", "publish", "a", "{}"])


def test_an_event_that_is_not_json_is_refused_before_anything_is_sent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Exception, match="the event is not JSON"):
        list(publish._texts("nope", is_raw=False))
    assert list(publish._texts("nope", is_raw=True)) == [b"nope"]
    assert capsys.readouterr().err == ""

"""The folder in which everything is kept."""

import stat
from pathlib import Path

import pytest

from gateway.state_folder import NatsUrls, Running, StateFolder, one_line
from security.errors import ConfigurationError

RUNNING = Running(
    url="wss://127.0.0.1:1/v1/session",
    http="https://127.0.0.1:1",
    page="https://localhost:2/",
    ca="/ca.pem",
    nats=NatsUrls(publisher="nats://publisher:hunter2@127.0.0.1:2", gateway="nats://gateway:hunter3@127.0.0.1:2"),
    state_dir="/state",
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_one_process_holds_the_folder_and_the_next_is_told_who(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state").hold()
    with pytest.raises(ConfigurationError, match=r"is in use by another tidewire up \(pid \d+\); stop it"):
        StateFolder(tmp_path / "state").hold()
    folder.release()
    StateFolder(tmp_path / "state").hold().release()


def test_the_folder_and_its_private_files_are_the_owners_alone(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state").hold()
    folder.write_private(folder.password("gateway"), "hunter2")
    folder.say_running(RUNNING)
    assert mode(folder.path) == 0o700
    assert all(mode(file) == 0o600 for file in folder.path.iterdir())
    folder.release()


def test_where_it_runs_is_known_until_it_is_released(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path).hold()
    assert folder.running() is None
    folder.say_running(RUNNING)
    assert StateFolder(tmp_path).needs_running() == RUNNING
    folder.release()
    with pytest.raises(ConfigurationError, match=r"nothing runs in .*; start tidewire up"):
        StateFolder(tmp_path).needs_running()


def test_what_a_killed_one_left_behind_is_not_believed(tmp_path: Path) -> None:
    StateFolder(tmp_path).say_running(RUNNING)
    folder = StateFolder(tmp_path).hold()
    assert folder.running() is None
    folder.release()


def test_a_damaged_file_counts_as_nothing_running(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text("{")
    assert StateFolder(tmp_path).running() is None


def test_the_one_line_has_the_documented_names() -> None:
    assert one_line(RUNNING) == (
        '{"url": "wss://127.0.0.1:1/v1/session", "http": "https://127.0.0.1:1", '
        '"page": "https://localhost:2/", "ca": "/ca.pem", '
        '"nats": {"publisher": "nats://publisher:hunter2@127.0.0.1:2", '
        '"gateway": "nats://gateway:hunter3@127.0.0.1:2"}, "state_dir": "/state"}'
    )


def test_passwords_are_not_in_the_text_form() -> None:
    assert "hunter" not in repr(RUNNING)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"--state-dir: .* cannot be used"):
        StateFolder(tmp_path / "file" / "state").hold()

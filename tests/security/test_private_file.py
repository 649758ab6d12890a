"""Files that hold keys: who may read them, and that they are never half written (E7)."""

import os
import stat
from pathlib import Path

import pytest

from security.errors import ConfigurationError
from security.private_file import check_private_file, create_once, make_private_folder, replace


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_our_own_is_taken(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    create_once(path, b"x")
    path.chmod(mode)
    check_private_file(path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604, 0o601, 0o666])
def test_a_file_open_to_others_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    create_once(path, b"x")
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=rf"key: is readable by others \({mode:04o}\); run chmod 600"):
        check_private_file(path)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (tmp_path, pipe, tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match=str(path)):
            check_private_file(path)


def test_a_link_is_judged_by_what_it_points_to(tmp_path: Path) -> None:
    create_once(tmp_path / "key", b"x")
    (tmp_path / "link").symlink_to(tmp_path / "key")
    check_private_file(tmp_path / "link")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(ConfigurationError):
        check_private_file(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_once(path, b"x")
    os.chown(path, 12_345, 12_345)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        check_private_file(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of root's")
@pytest.mark.parametrize(("mode", "is_taken"), [(0o440, True), (0o640, True), (0o660, False), (0o644, False)])
def test_a_file_of_roots_may_be_read_by_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, *, is_taken: bool
) -> None:
    """As an orchestrator hands out secrets to a process that is not root."""
    path = tmp_path / "key"
    create_once(path, b"x")
    path.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    if is_taken:
        check_private_file(path)
    else:
        with pytest.raises(ConfigurationError, match=rf"readable by others \({mode:04o}\)"):
            check_private_file(path)


def test_created_once_the_first_content_stays(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_once(path, b"first")
    create_once(path, b"second")
    assert path.read_bytes() == b"first"
    replace(path, b"third")
    assert path.read_bytes() == b"third"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_what_cannot_be_written_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="missing/key"):
        create_once(tmp_path / "missing" / "key", b"x")


def test_a_folder_is_made_for_us_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private_folder(folder)
    make_private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        make_private_folder(folder)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError):
        make_private_folder(tmp_path / "file")

"""Key files: private, written in one step, made for development, cut down for a device."""

from pathlib import Path

import pytest

from security import keyfile
from security.errors import ConfigurationError
from security.keyring import EPOCH_S

NOW = 1_795_420_000


def test_missing_keys_are_made_once(tmp_path: Path) -> None:
    path = tmp_path / "state" / "keys.json"
    made = keyfile.ensure(path, "acme", "c42", ["contact", "health"], unix_s=NOW)
    assert {key.field_class for key in made} == {"contact", "health"}
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    again = keyfile.ensure(path, "acme", "c42", ["contact"], unix_s=NOW + 60)
    assert sorted(key.kid for key in again) == sorted(key.kid for key in made)
    assert path.read_bytes() == before


def test_an_epoch_near_its_end_gets_a_successor(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keyfile.ensure(path, "acme", "c42", ["contact"], unix_s=NOW)
    keys = keyfile.ensure(path, "acme", "c42", ["contact"], unix_s=NOW + EPOCH_S - 60)
    assert [key.epoch for key in keys] == [1, 2]
    assert [key.epoch for key in keyfile.load(path)] == [1, 2]


def test_a_key_is_new_random_bits_under_a_name_that_says_nothing() -> None:
    keys = [keyfile.generate("acme", "c42", "contact", 1, NOW) for _ in range(50)]
    assert len({key.kid for key in keys}) == len({key.jwk.raw_value for key in keys}) == 50
    assert all(len(key.kid) == 22 and "c42" not in key.kid for key in keys)


def test_a_device_gets_the_keys_of_its_person_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for person in ("c42", "c43"):
        keyfile.ensure(path, "acme", person, ["contact", "health"], unix_s=NOW)
    keyfile.ensure(path, "globex", "c42", ["contact"], unix_s=NOW)
    assert keyfile.export(path, "c42", tmp_path / "all.json") == 3
    assert keyfile.export(path, "c42", tmp_path / "device.json", tenant="acme") == 2
    owners = {key.owner for key in keyfile.load(tmp_path / "device.json")}
    assert owners == {("acme", "c42", "contact"), ("acme", "c42", "health")}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys.json"
    keyfile.ensure(path, "acme", "c42", ["contact"], unix_s=NOW)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=rf"keys\.json: is readable by others \({mode:04o}\); run chmod 600"):
        keyfile.load(path)


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.json: cannot be read"):
        keyfile.load(tmp_path / "none.json")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        keyfile.load(tmp_path)


def test_nothing_but_the_key_file_is_left_in_the_folder(tmp_path: Path) -> None:
    keyfile.ensure(tmp_path / "keys.json", "acme", "c42", ["contact"], unix_s=NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]

"""Reading the configuration and the files it names."""

from pathlib import Path

import pytest

from gateway.config_file import MAX_FILE_BYTES, load, nats_password, read_secret
from security.errors import ConfigurationError

TEXT = """
profile = "development"
[listen]
plain = true
[nats]
user = "gateway"
password_file = "password"
[[issuers]]
name = "a"
jwks = "keys.json"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gateway.toml").write_text(TEXT)
    secret = tmp_path / "password"
    secret.write_text("opensesame\n")
    secret.chmod(0o600)
    return tmp_path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return str(caught.value)


def test_a_file_is_read_and_its_paths_count_from_its_folder(folder: Path) -> None:
    config = load(folder / "gateway.toml")
    assert config.nats.password_file == str(folder / "password")
    password = nats_password(config.nats)
    assert password is not None
    assert password.reveal() == "opensesame"


def test_an_empty_or_binary_secret_is_refused(folder: Path) -> None:
    secret = folder / "password"
    for content, cause in ((b" \n", "is empty"), (b"\xff\xfe", "is not UTF-8 text")):
        secret.write_bytes(content)
        with pytest.raises(ConfigurationError, match=cause):
            read_secret(secret, "nats.password_file")


def test_a_file_that_is_not_toml_is_refused_by_place_without_its_text(folder: Path) -> None:
    path = folder / "bad.toml"
    path.write_text('[listen]\nport = hunter2"\n')
    told = refusal(path)
    assert "is not TOML: at line 2" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "content", [b"\xff", b"a = " + b"[" * 20_000, b"\x00", b"a" * (MAX_FILE_BYTES + 1), b"a = " + b"9" * 5_000]
)
def test_bytes_that_are_no_configuration_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    assert str(path) in refusal(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "is no file" in refusal(tmp_path / "none.toml")
    assert "is no file" in refusal(tmp_path)

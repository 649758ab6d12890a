"""What is wrong with named files."""

import json
import time
from pathlib import Path

import pytest

from gateway.config_file import load
from gateway.config_parse import parse
from gateway.named_files import named_files
from security.development import DevelopmentState

KEY = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "k1",
    "alg": "ES256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
"""The public key of RFC 7515 A.3."""
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
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [KEY]}))
    secret = tmp_path / "password"
    secret.write_text("opensesame\n")
    secret.chmod(0o600)
    return tmp_path


def test_sound_files_have_no_problem(folder: Path) -> None:
    assert list(named_files(load(folder / "gateway.toml"))) == []


def test_a_secret_open_to_others_is_refused_with_the_remedy(folder: Path) -> None:
    (folder / "password").chmod(0o640)
    told = list(named_files(load(folder / "gateway.toml")))
    path = folder / "password"
    assert told == [f"nats.password_file: {path}: is readable by others (0640); run chmod 600"]


def test_missing_files_are_told_by_the_field_that_names_them(folder: Path) -> None:
    (folder / "password").unlink()
    (folder / "keys.json").unlink()
    told = [line.split(":")[0] for line in named_files(load(folder / "gateway.toml"))]
    assert told == ["nats.password_file", "issuers[0].jwks"]


def test_a_key_set_that_is_not_one_is_told(folder: Path) -> None:
    (folder / "keys.json").write_text('{"keys": []}')
    told = list(named_files(load(folder / "gateway.toml")))
    assert len(told) == 1
    assert told[0].startswith("issuers[0].jwks: ")


def test_production_refuses_what_a_development_folder_holds(tmp_path: Path) -> None:
    keys = DevelopmentState(tmp_path / "development")
    keys.prepare(time.time())
    document = {
        "listen": {"certificate": str(keys.certificate), "key": str(keys.key)},
        "nats": {"servers": ["tls://nats.example:4222"]},
        "issuers": [
            {"name": "tidewire-development", "jwks": str(keys.jwks)},
            {"name": "another", "jwks": str(keys.jwks)},
        ],
    }
    told = [line.split(":")[0] for line in named_files(parse(document))]
    assert told == ["listen.certificate", "issuers[0].name", "issuers[0].jwks", "issuers[1].jwks"]
    assert list(named_files(parse({**document, "profile": "development"}))) == []

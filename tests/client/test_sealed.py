"""Opening sealed fields on the device: known answers, the tamper list, and whatever a stranger may write."""

import base64
import copy
import json
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import OctKey
from tidewire_client import jose
from tidewire_client.keys import DeviceKeys, WrongKeyFile
from tidewire_client.sealed import open_sealed

from tests.client import sealed_vectors as made
from tests.client.opening import open_vector
from tests.examples import examples

DOCUMENT = json.loads(made.PATH.read_text())
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]
KEYS = DeviceKeys.from_jwks(json.dumps({"keys": made.KEYS}))
SEALED = made.CLEAR | {"$sealed": {"contact": made.GOOD_CONTACT, "health": made.GOOD_HEALTH}}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_each_vector_opens_as_expected(vector: dict[str, Any]) -> None:
    """P5.1, P5.2, P5.3, P5.4, P5.5, P5.6: the number before a vector's name is its row of the tamper list."""
    before = copy.deepcopy(vector["data"])
    opened = open_vector(vector)
    assert {"data": opened.data, "opened": list(opened.opened), "shut": opened.shut} == vector["expect"]
    assert vector["data"] == before, "the event's own data does not change"


def test_the_vectors_are_what_their_source_says() -> None:
    assert made.PATH.read_text() == made.document()


def test_the_vectors_are_byte_for_byte_what_joserfc_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    for compact, field_class, fields in (
        (made.GOOD_CONTACT, "contact", made.CONTACT),
        (made.GOOD_HEALTH, "health", made.HEALTH),
    ):
        iv = base64.urlsafe_b64decode(compact.split(".")[2])
        monkeypatch.setattr("secrets.token_bytes", lambda length, iv=iv: iv[:length])
        key = OctKey(secret := base64.urlsafe_b64decode(made.jwk(field_class)["k"] + "="), secret)
        header, plaintext = made.header(field_class), made.compact_json(fields)
        assert jwe.encrypt_compact(header, plaintext, key, registry=jose._REGISTRY) == compact


def test_the_vectors_name_every_row_of_the_tamper_list_but_the_grants() -> None:
    rows = {name.split(" ")[0] for name in (vector["name"] for vector in VECTORS)}
    assert rows >= {str(row) for row in range(1, 27)} - {"17", "18", "19"}


def test_no_two_vectors_share_a_name() -> None:
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS) > 100


def test_without_joserfc_a_class_stays_shut_and_the_clear_part_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """P5.6."""
    monkeypatch.setitem(sys.modules, "tidewire_client.jose", None)
    opened = open_sealed(SEALED, subject=made.SUBJECT, message_id=made.MESSAGE_ID, keys=KEYS)
    assert opened.data == made.CLEAR
    assert opened.shut == {"contact": "no_joserfc", "health": "no_joserfc"}


def test_wiped_keys_open_nothing() -> None:
    keys = DeviceKeys.from_jwks(json.dumps({"keys": made.KEYS}))
    keys.wipe()
    assert open_sealed(SEALED, subject=made.SUBJECT, message_id=made.MESSAGE_ID, keys=keys).opened == ()


def test_a_field_of_the_plaintext_is_not_shared_with_the_event() -> None:
    opened = open_sealed(SEALED, subject=made.SUBJECT, message_id=made.MESSAGE_ID, keys=KEYS)
    opened.data["contact"]["phone"] = "changed"
    assert made.CLEAR["contact"] == {"name": "Ada"}


def test_declared_fields_one_above_the_other_are_both_taken_away() -> None:
    opened = open_sealed(
        {"a": {"b": 1}}, subject="s", message_id="m", keys=KEYS, expected={"x": ["/a", "/a/b"], "y": ["/a/b"]}
    )
    assert (opened.data, opened.shut) == ({}, {"x": "in_clear", "y": "missing"})


def test_a_string_without_an_end_takes_no_second_of_the_cpu() -> None:
    plaintext = b'{"/a":' + b"[" * 33 + b'"' + b'\\"' * 24_000  # a try for each quote would take 10 s
    data = {"$sealed": {"contact": made.jwe(made.header("contact"), plaintext, made.jwk("contact"))}}
    before = time.process_time()
    opened = open_sealed(data, subject=made.SUBJECT, message_id=made.MESSAGE_ID, keys=KEYS)
    assert time.process_time() - before < 1
    assert opened.shut == {"contact": "limit"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@examples(200)
@given(data=JSON, sealed=JSON | st.dictionaries(st.sampled_from(["contact", "health"]), JSON))
def test_any_json_opens_or_stays_shut_and_nothing_raises(data: Any, sealed: Any) -> None:
    if isinstance(data, dict):
        data = data | {"$sealed": sealed}
    opened = open_sealed(data, subject="s", message_id="m", keys=KEYS, expected={"contact": ["/contact/phone"]})
    assert opened.opened == ()
    assert not isinstance(opened.data, dict) or "$sealed" not in opened.data


@examples(200)
@given(place=st.integers(0, len(made.GOOD_CONTACT) - 1), letter=st.characters(max_codepoint=300))
def test_one_changed_letter_opens_nothing(place: int, letter: str) -> None:
    """P5.4."""
    text = made.GOOD_CONTACT[:place] + letter + made.GOOD_CONTACT[place + 1 :]
    data = made.CLEAR | {"$sealed": {"contact": text}}
    opened = open_sealed(data, subject=made.SUBJECT, message_id=made.MESSAGE_ID, keys=KEYS)
    assert ("contact" in opened.opened) == (text == made.GOOD_CONTACT)


@examples(200)
@given(plaintext=st.binary(min_size=1, max_size=64) | JSON.map(made.compact_json))
def test_any_plaintext_under_a_good_key_opens_or_stays_shut_and_nothing_raises(plaintext: bytes) -> None:
    text = made.jwe(made.header("contact"), plaintext, made.jwk("contact"))
    data = made.CLEAR | {"$sealed": {"contact": text}}
    opened = open_sealed(data, subject=made.SUBJECT, message_id=made.MESSAGE_ID, keys=KEYS)
    assert set(opened.opened) | set(opened.shut) == {"contact"}


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_file_is_read_and_shows_no_key(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.json", json.dumps({"keys": made.KEYS}))
    keys = DeviceKeys.from_file(path)
    key = keys.get(made.KEYS[0]["kid"])
    assert key is not None
    assert (key.tenant, key.data_subject, key.field_class) == ("acme", "c42", "contact")
    assert made.KEYS[0]["k"] not in repr(keys) + repr(key) + str(key)
    assert str(key.reveal()) not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.json", json.dumps({"keys": made.KEYS}), 0o640)
    with pytest.raises(WrongKeyFile, match=r"readable by others \(0640\); run chmod 600"):
        DeviceKeys.from_file(os.fspath(path))


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongKeyFile, match=r"none\.json: cannot be read"):
        DeviceKeys.from_file(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[", "no JSON"),
        ("[]", "no list of keys"),
        ('{"keys": {}}', "no list of keys"),
        ('{"keys": [1]}', r"keys\[0\]: is no oct key"),
        (json.dumps({"keys": [made.KEYS[0] | {"alg": "A128GCM"}]}), r"keys\[0\]: is no oct key"),
        (json.dumps({"keys": [made.KEYS[0] | {"k": "AAAA"}]}), r"keys\[0\]\.k: is not 32 bytes"),
        (json.dumps({"keys": [made.KEYS[0] | {"k": made.KEYS[0]["k"][:-1] + "B"}]}), r"keys\[0\]\.k: is not 32 bytes"),
        (json.dumps({"keys": [made.KEYS[0] | {"kid": "a b"}]}), r"keys\[0\]\.kid: is not"),
        (json.dumps({"keys": [made.KEYS[0] | {"tidewire_class": 1}]}), r"keys\[0\]\.tidewire_class: is not"),
        (json.dumps({"keys": [made.KEYS[0], made.KEYS[0]]}), "a kid is there twice"),
    ],
)
def test_a_wrong_key_file_is_refused_by_place_and_never_quoted(text: str, where: str) -> None:
    with pytest.raises(WrongKeyFile, match=where) as caught:
        DeviceKeys.from_jwks(text)
    assert made.KEYS[0]["k"] not in str(caught.value)

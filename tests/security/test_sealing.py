"""Sealing: its exact form, its limits, nothing left in clear, and that the device opens it."""

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidewire_client.keys import DeviceKeys
from tidewire_client.sealed import open_sealed

from security import keyfile, keyring
from security.errors import LimitReached
from security.policy import Policy, Rule
from security.sealing import CannotSeal, seal
from tests.examples import examples

SUBJECT = "orders.c42.o7"
MESSAGE_ID = "m-1"
NOW = 1_795_420_000.75
POLICY = Policy(
    [
        Rule("orders.{sub}.>", "/contact/phone", "contact"),
        Rule("orders.{sub}.>", "/contact/mail", "contact"),
        Rule("orders.{sub}.>", "/note", "health"),
    ]
)
DECLARED = POLICY.declared(SUBJECT)
KEYS = {name: keyfile.generate("acme", "c42", name, 1, NOW) for name in ("contact", "health")}
DEVICE = DeviceKeys.from_jwks(keyring.write_jwks(KEYS.values()))
DATA = {
    "order": "o7",
    "contact": {"name": "Ada", "phone": "+49 30 1", "mail": "ä@example.com"},
    "note": ["nuts", {"x": None}],
}


def sealed(data: object, **changes: Any) -> Any:
    arguments: dict[str, Any] = {"subject": SUBJECT, "message_id": MESSAGE_ID, "declared": DECLARED, "keys": KEYS}
    return seal(data, **(arguments | {"unix_s": NOW} | changes))


def opened(data: Any) -> Any:
    return open_sealed(data, subject=SUBJECT, message_id=MESSAGE_ID, keys=DEVICE, tenant="acme", expected=DECLARED)


def decode(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def plaintext(compact: str, field_class: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - not joserfc: a second opinion

    protected, _, iv, ciphertext, tag = compact.split(".")
    key = AESGCM(KEYS[field_class].jwk.raw_value)
    return key.decrypt(decode(iv), decode(ciphertext) + decode(tag), protected.encode())


def test_what_is_sealed_opens_on_the_device() -> None:
    before = copy.deepcopy(DATA)
    answer = opened(sealed(DATA))
    assert (answer.data, answer.opened, answer.shut) == (DATA, ("contact", "health"), {})
    assert before == DATA, "the publisher's data does not change"


def test_nothing_declared_is_left_in_clear() -> None:
    """P5.1."""
    data = sealed(DATA)
    assert POLICY.leaks(SUBJECT, data) == []
    assert POLICY.missing(SUBJECT, data) == []
    assert data.keys() == {"order", "contact", "$sealed"}
    assert data["contact"] == {"name": "Ada"}
    assert all(marker not in json.dumps(data) for marker in ("+49 30 1", "example.com", "nuts"))


def test_a_class_is_a_compact_jwe_with_exactly_the_seven_header_members() -> None:
    """P5.1, P5.2."""
    compact = sealed(DATA)["$sealed"]["contact"]
    protected, encrypted_key, iv, _, tag = compact.split(".")
    expected = {"alg": "dir", "enc": "A256GCM", "kid": KEYS["contact"].kid, "sub": SUBJECT, "mid": MESSAGE_ID}
    assert list(json.loads(decode(protected)).items()) == [
        *expected.items(),
        ("cls", "contact"),
        ("iat", 1_795_420_000),
    ]
    assert encrypted_key == ""
    assert (len(decode(iv)), len(decode(tag))) == (12, 16)
    assert plaintext(compact, "contact") == '{"/contact/mail":"ä@example.com","/contact/phone":"+49 30 1"}'.encode()


def test_pointers_are_sorted_by_code_point_whatever_order_they_are_declared_in() -> None:
    data = {"b": 1, "a": 2, "ä": 3, "B": 4, "\U00010000": 5, "\uffff": 6}
    declared = {"contact": tuple(f"/{name}" for name in data)}
    text = plaintext(sealed(data, declared=declared)["$sealed"]["contact"], "contact").decode()
    assert list(json.loads(text)) == ["/B", "/a", "/b", "/ä", "/\uffff", "/\U00010000"]


def test_padding_hides_lengths_in_steps_of_256_bytes() -> None:
    for length in (1, 200, 300):
        data = sealed({"note": "x" * length}, pad=True)
        text = plaintext(data["$sealed"]["health"], "health")
        assert len(text) == (256 if length < 256 else 512)
        assert opened(data).data["note"] == "x" * length


def test_a_declared_null_is_sealed_too() -> None:
    data = sealed({"note": None})
    assert data.keys() == {"$sealed"}
    assert opened(data).data == {"note": None}


@pytest.mark.parametrize("data", [{"order": "o7"}, {"contact": {}}, {"contact": None}, {}, [1], b"bytes", "text", None])
def test_data_without_declared_fields_stays_as_it_is(data: object) -> None:
    assert sealed(data, message_id=None) == data


def test_an_absent_class_is_left_out() -> None:
    data = sealed({"note": "x"})
    assert data["$sealed"].keys() == {"health"}
    assert POLICY.missing(SUBJECT, data) == ["contact"]


@pytest.mark.parametrize("message_id", [None, "", "a b", "ä", "x" * 257, "a\n"])
def test_there_is_no_sealing_without_a_message_id(message_id: str | None) -> None:
    with pytest.raises(CannotSeal, match="message id"):
        sealed(DATA, message_id=message_id)


@pytest.mark.parametrize("keys", [{}, {"contact": KEYS["health"], "health": KEYS["contact"]}])
def test_there_is_no_sealing_without_the_key_of_the_class(keys: dict[str, Any]) -> None:
    with pytest.raises(CannotSeal, match="no key for class contact"):
        sealed(DATA, keys=keys)


@pytest.mark.parametrize("contact", ["+49 30 1", [{"phone": "+49 30 1"}], 7, False])
def test_data_of_another_shape_than_declared_is_not_published(contact: object) -> None:
    with pytest.raises(CannotSeal, match="is no object") as caught:
        sealed({"contact": contact})
    assert "+49" not in str(caught.value)


def test_data_that_has_a_sealed_member_already_is_refused() -> None:
    with pytest.raises(CannotSeal, match="already"):
        sealed({"$sealed": {}})


def test_16_classes_are_sealed_and_17_are_refused() -> None:
    """P5.1."""
    for count in (16, 17):
        names = [f"c{place}" for place in range(count)]
        keys = {name: keyfile.generate("acme", "c42", name, 1, NOW) for name in names}
        declared = {name: (f"/{name}",) for name in names}
        data = dict.fromkeys(names, 1)
        if count == 16:
            answer = sealed(data, declared=declared, keys=keys)
            device = DeviceKeys.from_jwks(keyring.write_jwks(keys.values()))
            assert open_sealed(answer, subject=SUBJECT, message_id=MESSAGE_ID, keys=device).data == data
        else:
            with pytest.raises(LimitReached, match="sealed_classes"):
                sealed(data, declared=declared, keys=keys)


def test_64_fields_of_a_class_are_sealed_and_65_are_refused() -> None:
    """P5.3."""
    for count in (64, 65):
        data = {f"f{place}": place for place in range(count)}
        declared = {"contact": tuple(f"/{name}" for name in data)}
        if count == 64:
            answer = sealed(data, declared=declared)
            assert open_sealed(answer, subject=SUBJECT, message_id=MESSAGE_ID, keys=DEVICE).data == data
        else:
            with pytest.raises(LimitReached, match="sealed_pointers"):
                sealed(data, declared=declared)


def test_49152_bytes_of_plaintext_are_sealed_and_one_more_is_refused() -> None:
    """P5.3."""
    room = 49_152 - len('{"/note":""}')
    for pad in (False, True):
        assert opened(sealed({"note": "x" * room}, pad=pad)).data == {"note": "x" * room}
        with pytest.raises(LimitReached, match="sealed_plain_bytes"):
            sealed({"note": "x" * (room + 1)}, pad=pad)


def test_32_levels_are_sealed_and_33_are_refused() -> None:
    """P5.3."""
    value: object = 1
    for _ in range(31):
        value = [value]
    assert opened(sealed({"note": value})).data == {"note": value}
    with pytest.raises(LimitReached, match="nested deeper"):
        sealed({"note": [value]})


def test_the_longest_subject_message_id_and_class_still_fit() -> None:
    subject, message_id, name = "ä" * 128, '"' * 256, "c" * 64
    key = keyfile.generate("t" * 128, "s" * 128, name, 1, NOW)
    data = sealed({"x": 1}, subject=subject, message_id=message_id, declared={name: ("/x",)}, keys={name: key})
    device = DeviceKeys.from_jwks(keyring.write_jwks([key]))
    assert open_sealed(data, subject=subject, message_id=message_id, keys=device).data == {"x": 1}


def test_no_iv_comes_twice() -> None:
    ivs = {sealed({"note": 1})["$sealed"]["health"].split(".")[2] for _ in range(4096)}
    assert len(ivs) == 4096


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)  # no encoder takes lone surrogates
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@examples(150)
@given(phone=VALUES, mail=VALUES, note=VALUES, pad=st.booleans())
def test_any_values_come_back_as_they_were(phone: object, mail: object, note: object, *, pad: bool) -> None:
    data = {"contact": {"phone": phone, "mail": mail}, "note": note, "order": "o7"}
    answer = opened(sealed(data, pad=pad))
    assert (answer.data, answer.shut) == (data, {})

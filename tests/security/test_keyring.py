"""Sealing keys: whose, for what, for how long, and in which file format."""

import json
import pickle

import pytest

from security import keyring
from security.errors import ConfigurationError, LimitReached
from security.keyring import EPOCH_MESSAGES, EPOCH_S, KeyRing, SealingKey

NOW = 1_795_420_000
SECRET = bytes(range(32))


def key(
    kid: str = "k1", *, epoch: int = 1, created: int = NOW, tenant: str = "acme", cls: str = "contact"
) -> SealingKey:
    return SealingKey(kid, SECRET, tenant=tenant, data_subject="c42", field_class=cls, epoch=epoch, created=created)


def test_the_newest_epoch_that_has_begun_seals() -> None:
    ring = KeyRing([key("k2", epoch=2, created=NOW + 10), key("k1"), key("k0", epoch=0, created=NOW - 10)])
    assert ring.sealing_key("acme", "c42", "contact", NOW + 9).kid == "k1"
    assert ring.sealing_key("acme", "c42", "contact", NOW + 10).kid == "k2"


def test_every_epoch_opens() -> None:
    ring = KeyRing([key("k1"), key("k2", epoch=2)])
    assert [held.kid for held in (ring.opening("k1"), ring.opening("k2")) if held] == ["k1", "k2"]
    assert ring.opening("k3") is None


@pytest.mark.parametrize("owner", [("globex", "c42", "contact"), ("acme", "c43", "contact"), ("acme", "c42", "health")])
def test_a_key_seals_for_its_tenant_person_and_class_alone(owner: tuple[str, str, str]) -> None:
    with pytest.raises(ConfigurationError, match="no sealing key"):
        KeyRing([key()]).sealing_key(*owner, NOW)


def test_an_epoch_ends_after_seven_days() -> None:
    ring = KeyRing([key()])
    assert EPOCH_S == 604_800
    ring.sealing_key("acme", "c42", "contact", NOW + EPOCH_S - 1)
    with pytest.raises(LimitReached, match=r"sealing\.epoch_s"):
        ring.sealing_key("acme", "c42", "contact", NOW + EPOCH_S)


def test_an_epoch_ends_by_count_and_the_next_one_goes_on() -> None:
    assert EPOCH_MESSAGES == 1_048_576
    ring = KeyRing([key()], epoch_messages=3)
    for _ in range(3):
        ring.sealing_keys("acme", "c42", ["contact"], NOW)
    with pytest.raises(LimitReached, match=r"sealing\.epoch_messages"):
        ring.sealing_key("acme", "c42", "contact", NOW)
    ring.add(key("k2", epoch=2))
    assert ring.sealing_key("acme", "c42", "contact", NOW).kid == "k2"


def test_an_older_epoch_never_takes_over() -> None:
    ring = KeyRing([key("k2", epoch=2, created=NOW - EPOCH_S), key("k1", epoch=1, created=NOW)])
    with pytest.raises(LimitReached):
        ring.sealing_key("acme", "c42", "contact", NOW)


@pytest.mark.parametrize("other", [key("k1", epoch=2), key("k2", epoch=1)])
def test_a_kid_or_an_epoch_that_is_there_twice_is_refused(other: SealingKey) -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        KeyRing([key(), other])


def test_no_key_is_shown_or_pickled() -> None:
    shown = repr(key()) + str(key()) + f"{key()}" + repr(KeyRing([key()])) + repr([key()])
    assert repr(SECRET)[2:-1] not in shown
    assert SECRET.hex() not in shown
    assert json.loads(keyring.write_jwks([key()]))["keys"][0]["k"] not in shown
    with pytest.raises(TypeError):
        pickle.dumps(key())


def test_a_jwk_set_comes_back_as_it_was_written() -> None:
    keys = [key("k1"), key("k2", epoch=2), key("k3", cls="health")]
    read = keyring.parse_jwks(keyring.write_jwks(keys), "keys.json")
    assert [(k.kid, k.owner, k.epoch, k.created, k.jwk.raw_value) for k in read] == [
        (k.kid, k.owner, k.epoch, k.created, SECRET) for k in keys
    ]


ROW = json.loads(keyring.write_jwks([key()]))["keys"][0]


def test_a_row_has_the_members_of_rfc_7517_and_our_own() -> None:
    assert ROW == {
        "kty": "oct",
        "alg": "A256GCM",
        "kid": "k1",
        "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "tidewire_tenant": "acme",
        "tidewire_subject": "c42",
        "tidewire_class": "contact",
        "tidewire_epoch": 1,
        "tidewire_created": NOW,
    }


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "it has no list of keys"),
        ({"keys": 1}, "it has no list of keys"),
        ({"keys": [ROW, 1]}, r"keys\[1\]: is no oct key"),
        ({"keys": [ROW | {"kty": "RSA"}]}, r"keys\[0\]: is no oct key"),
        ({"keys": [ROW | {"alg": "A128GCM"}]}, r"keys\[0\]: is no oct key"),
        ({"keys": [ROW | {"k": ROW["k"][:-1]}]}, r"keys\[0\]\.k: is not 32 bytes"),
        ({"keys": [ROW | {"k": 1}]}, r"keys\[0\]\.k: is not 32 bytes"),
        ({"keys": [ROW | {"kid": ""}]}, r"keys\[0\]: sealing key: kid, tenant"),
        ({"keys": [ROW | {"kid": None}]}, r"keys\[0\]: kid is missing"),
        ({"keys": [ROW | {"tidewire_subject": "a.b"}]}, r"keys\[0\]: sealing key: kid, tenant"),
        ({"keys": [ROW | {"tidewire_epoch": True}]}, r"keys\[0\]: tidewire_epoch is missing or no whole number"),
        ({"keys": [ROW | {"tidewire_epoch": -1}]}, r"keys\[0\]: .*whole numbers from 0"),
        ({"keys": [ROW | {"tidewire_created": "1"}]}, r"keys\[0\]: tidewire_created is missing"),
    ],
)
def test_a_wrong_key_file_is_refused_by_place_and_never_quoted(document: object, place: str) -> None:
    with pytest.raises(ConfigurationError, match=r"keys\.json.*" + place) as caught:
        keyring.parse_jwks(json.dumps(document).encode(), "keys.json")
    assert ROW["k"][:-1] not in str(caught.value)


def test_what_is_no_strict_json_is_no_key_file() -> None:
    with pytest.raises(ConfigurationError, match="is no JWK Set"):
        keyring.parse_jwks(b'{"keys":[],"keys":[]}', "keys.json")

"""Secret: shows itself to nobody who does not ask by name."""

import copy
import json
import pickle

import msgspec
import pytest

from security.secret import Secret

CANARY = "canary-5f2c"


def test_a_secret_is_hidden_in_every_text_form() -> None:
    secret = Secret(CANARY)
    forms = [repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", f"{secret:>20}", "%s" % secret, repr([secret])]  # noqa: UP031
    assert all("***" in form and CANARY not in form for form in forms)
    assert secret.reveal() == CANARY


@pytest.mark.parametrize("store", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode])
def test_a_secret_is_not_pickled_copied_or_encoded(store: object) -> None:
    assert callable(store)
    with pytest.raises(TypeError) as refused:
        store(Secret(CANARY))
    assert CANARY not in str(refused.value)


def test_secrets_compare_by_value_and_have_no_hash() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    with pytest.raises(TypeError):
        hash(Secret("a"))


def test_a_secret_has_no_dictionary_to_look_into() -> None:
    assert not hasattr(Secret(CANARY), "__dict__")

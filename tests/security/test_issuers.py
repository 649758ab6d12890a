"""Issuers: what cannot be meant so, whose key an id names, and when keys are fetched (A3, A4)."""

from typing import Any

import pytest
from joserfc.jwk import ECKey

from security.errors import ConfigurationError
from security.issuers import Issuer, Issuers, JwksSchedule
from security.keys import KeySet, parse_jwks
from tests.security.attack_tokens import dump


def key_set(*kids: str) -> KeySet:
    members = [{**ECKey.generate_key("P-256").as_dict(private=False), "kid": kid} for kid in kids]
    keys = parse_jwks(dump({"keys": members}), algorithms=("ES256",), from_file=False)
    assert isinstance(keys, KeySet)
    return keys


def issuer(name: str, *kids: str) -> Issuer:
    return Issuer(name=name, audience="tidewire", keys=key_set(*kids) if kids else KeySet())


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"name": ""}, "name"),
        ({"audience": ""}, "audience"),
        ({"typ": ""}, "typ"),
        ({"algorithms": ()}, "algorithms"),
        ({"algorithms": ("none",)}, "algorithms"),
        ({"algorithms": ("HS256", "RS256")}, "algorithms"),
        ({"read": ("orders.{sub",)}, "read"),
        ({"read": ("orders.x{sub}.>",)}, "read"),
        ({"publish": ("*.{sub}",)}, "publish"),
        ({"request": ("$JS.API.>",)}, "request"),
        ({"deny": ("a..b",)}, "deny"),
        ({"deny": ("orders.{sub}",)}, "deny"),
    ],
)
def test_what_cannot_be_meant_names_its_field(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        Issuer(**{"name": "https://a.example", "audience": "tidewire", **settings})


def test_a_kid_names_the_issuer_configured_first_and_the_clash_is_told() -> None:
    first, later = issuer("https://a.example", "k1"), issuer("https://b.example", "k1", "k2")
    issuers = Issuers([first, later])
    found = issuers.find("k1")
    assert found is not None
    assert found[0] is first
    assert issuers.find("k2") == (later, later.keys.by_kid["k2"])
    assert issuers.find("k3") is None
    assert issuers.clashes == (("k1", first.name, later.name),)
    with pytest.raises(ConfigurationError, match="k1"):
        issuers.check()


def test_new_keys_replace_those_of_one_issuer_only() -> None:
    before = Issuers([issuer("https://a.example", "k1"), issuer("https://b.example", "k2")])
    after = before.with_keys("https://b.example", key_set("k3"))
    assert [after.find(kid) is not None for kid in ("k1", "k2", "k3")] == [True, False, True]
    assert before.find("k2") is not None
    named = after.named("https://b.example")
    assert named is not None
    assert list(named.keys.by_kid) == ["k3"]
    assert after.named("https://c.example") is None
    after.check()


def test_one_name_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        Issuers([issuer("https://a.example"), issuer("https://a.example")]).check()


def test_keys_are_fetched_at_once_then_every_ten_minutes_one_at_a_time() -> None:
    schedule = JwksSchedule(now=100.0)
    assert schedule.tick(100.0)
    assert not schedule.tick(100.0)
    schedule.fetched(101.0)
    assert schedule.due == 701.0
    assert not schedule.tick(700.9)
    assert schedule.tick(701.0)
    assert not schedule.unknown_kid(701.0)


def test_a_failed_fetch_is_tried_again_sooner() -> None:
    schedule = JwksSchedule(now=0.0)
    assert schedule.tick(0.0)
    schedule.failed(5.0)
    assert not schedule.tick(34.9)
    assert schedule.tick(35.0)


def test_an_unknown_kid_fetches_at_most_once_in_30_s() -> None:
    schedule = JwksSchedule(now=0.0)
    schedule.tick(0.0)
    schedule.fetched(0.0)
    assert schedule.unknown_kid(1.0)
    assert not schedule.unknown_kid(1.0)
    schedule.fetched(2.0)
    assert not schedule.unknown_kid(30.9)
    assert schedule.unknown_kid(31.0)


def test_keys_are_stale_before_the_first_fetch_and_after_a_day_without_one() -> None:
    schedule = JwksSchedule(now=0.0)
    assert schedule.is_stale(0.0)
    schedule.tick(0.0)
    schedule.fetched(10.0)
    schedule.tick(700.0)
    schedule.failed(701.0)
    assert not schedule.is_stale(86_410.0)
    assert schedule.is_stale(86_410.1)

"""The configuration that `tidewire up` writes."""

import tomllib
from typing import Any

from gateway.config import Config
from gateway.config_parse import parse
from gateway.config_text import effective
from gateway.settings import policy
from gateway.up_config import development_config

ORIGINS = ("https://localhost:8444", "https://127.0.0.1:8444")


def written(**further: Any) -> Config:
    return development_config(
        port=0,
        nats_url="nats://127.0.0.1:4222",
        password_file="/state/gateway.password",
        certificate="/state/server.pem",
        key="/state/server.pem",
        issuer="tidewire-development",
        audience="tidewire",
        jwks="/state/jwks.json",
        **further,
    )


CONFIG = written()
WITH_PAGE = written(origins=ORIGINS)


def test_what_is_written_is_a_sound_configuration() -> None:
    assert parse(tomllib.loads(effective(CONFIG))) == CONFIG


def test_the_shops_sensitive_fields_are_declared_with_the_customer_as_data_subject() -> None:
    declared = policy(CONFIG)
    assert declared.declared("orders.c42.o7") == {"contact": ("/address", "/phone")}
    assert declared.data_subject("orders.c42.o7") == "c42"


def test_no_page_may_connect_but_those_that_are_named() -> None:
    assert CONFIG.listen.origins == ()
    assert parse(tomllib.loads(effective(WITH_PAGE))).listen.origins == ORIGINS


def test_it_listens_on_this_machine_only_and_with_tls() -> None:
    assert CONFIG.listen.host == "127.0.0.1"
    assert not CONFIG.listen.plain

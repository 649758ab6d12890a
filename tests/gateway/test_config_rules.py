"""What fields must not say together."""

from typing import Any

import pytest

from gateway.config_parse import parse
from security.errors import ConfigurationError

PRODUCTION: dict[str, Any] = {
    "listen": {"certificate": "cert.pem", "key": "key.pem"},
    "nats": {"servers": ["tls://nats.example:4222"], "user": "gateway", "password_file": "password"},
    "issuers": [{"name": "https://issuer.example", "jwks": "https://issuer.example/jwks"}],
}
DEVELOPMENT: dict[str, Any] = {
    "profile": "development",
    "listen": {"plain": True},
    "issuers": [{"name": "a", "jwks": "keys.json"}],
}


@pytest.mark.parametrize("document", [PRODUCTION, DEVELOPMENT])
def test_a_sound_configuration_has_no_problem(document: dict[str, Any]) -> None:
    assert parse(document).issuers


@pytest.mark.parametrize(
    ("base", "section", "change", "path"),
    [
        (PRODUCTION, "listen", {"plain": True}, "listen.plain"),
        (PRODUCTION, "listen", {"certificate": "cert.pem"}, "listen.key"),
        (PRODUCTION, "listen", {"key": "key.pem"}, "listen.certificate"),
        (PRODUCTION, "nats", {"servers": ["nats://127.0.0.1:4222"]}, "nats.servers[0]"),
        (DEVELOPMENT, "listen", {"plain": True, "host": "0.0.0.0"}, "listen.plain"),  # noqa: S104  # refused is the point
        (DEVELOPMENT, "listen", {"plain": True, "origins": ["https://shop.example/"]}, "listen.origins[0]"),
        (DEVELOPMENT, "listen", {"plain": True, "origins": ["null"]}, "listen.origins[0]"),
        (DEVELOPMENT, "nats", {"servers": ["nats://a:b@127.0.0.1"]}, "nats.servers[0]"),
        (DEVELOPMENT, "nats", {"servers": ["http://127.0.0.1"]}, "nats.servers[0]"),
        (DEVELOPMENT, "nats", {"servers": ["nats://[::1"]}, "nats.servers[0]"),
        (DEVELOPMENT, "nats", {"servers": ["nats://127.0.0.1:many"]}, "nats.servers[0]"),
        (DEVELOPMENT, "nats", {"servers": ["nats://127.0.0.1:65536"]}, "nats.servers[0]"),
        (DEVELOPMENT, "listen", {"plain": True, "origins": ["https://["]}, "listen.origins[0]"),
        (DEVELOPMENT, "listen", {"plain": True, "origins": ["https://shop.example:many"]}, "listen.origins[0]"),
        (DEVELOPMENT, "nats", {"user": "gateway"}, "nats.password_file"),
        (DEVELOPMENT, "nats", {"password_file": "p"}, "nats.user"),
        (DEVELOPMENT, "nats", {"certificate": "c"}, "nats.key"),
        (
            DEVELOPMENT,
            "nats",
            {"user": "gateway", "password_file": "p", "credentials_file": "c"},
            "nats.credentials_file",
        ),
        (PRODUCTION, "stream", {"replicas": 3}, "cursors.replicas"),
        (DEVELOPMENT, "window", {"messages": 11, "max_messages": 10}, "window.messages"),
        (DEVELOPMENT, "window", {"bytes": 2_049, "max_bytes": 2_048}, "window.bytes"),
        (DEVELOPMENT, "stream", {"max_age_s": 60, "duplicate_window_s": 61}, "stream.duplicate_window_s"),
        (DEVELOPMENT, "admission", {"replays": 3, "replays_per_tenant": 4}, "admission.replays_per_tenant"),
        (
            DEVELOPMENT,
            "limits",
            {"unauthenticated": 5, "unauthenticated_per_address": 6},
            "limits.unauthenticated_per_address",
        ),
        (DEVELOPMENT, "stream", {"subjects": ["orders..x"]}, "stream.subjects[0]"),
        (DEVELOPMENT, "issuers", [], "issuers"),
        (DEVELOPMENT, "issuers", [{"name": "a", "jwks": "k"}, {"name": "a", "jwks": "l"}], "issuers[1].name"),
        (DEVELOPMENT, "issuers", [{"name": "a", "jwks": "http://a.example/jwks"}], "issuers[0].jwks"),
        (DEVELOPMENT, "issuers", [{"name": "a", "jwks": "https://[a.example/jwks"}], "issuers[0].jwks"),
        (
            DEVELOPMENT,
            "issuers",
            [{"name": "a", "jwks": "k", "algorithms": ["HS256", "RS256"]}],
            "issuers[0].algorithms",
        ),
        (DEVELOPMENT, "issuers", [{"name": "a", "jwks": "k", "algorithms": []}], "issuers[0].algorithms"),
        (DEVELOPMENT, "issuers", [{"name": "a", "jwks": "k", "read": ["orders.{sub"]}], "issuers[0].read[0]"),
        (DEVELOPMENT, "issuers", [{"name": "a", "jwks": "k", "deny": ["orders.{sub}"]}], "issuers[0].deny[0]"),
        (
            DEVELOPMENT,
            "sealed",
            [{"subject": "orders..", "pointer": "/a", "class": "contact"}],
            "sealed[0]",
        ),
    ],
)
def test_a_contradiction_is_told_by_the_field_to_change(
    base: dict[str, Any], section: str, change: object, path: str
) -> None:
    """P1.1: plain WebSockets in development on loopback alone."""
    with pytest.raises(ConfigurationError) as caught:
        parse({**base, section: change})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [path]


def test_fields_that_may_be_equal_pass_when_they_are() -> None:
    window = {"messages": 10, "max_messages": 10, "bytes": 2_048, "max_bytes": 2_048}
    assert parse({**DEVELOPMENT, "window": window}).window.max_bytes == 2_048

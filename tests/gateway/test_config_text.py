"""A configuration as text."""

import tomllib

from gateway.config_parse import parse
from gateway.config_text import effective


def test_the_effective_configuration_reads_back_to_itself() -> None:
    document = {
        "profile": "development",
        "listen": {"plain": True, "origins": ["https://shop.example"]},
        "issuers": [
            {
                "name": 'a "quoted" \\ name',
                "jwks": "k.json",
                "tenant": "acm\u00e9 \U0001f600",
                "read": ["orders.{sub}.>"],
            },
            {"name": "b", "jwks": "https://b.example/jwks", "algorithms": ["ES256"]},
        ],
        "sealed": [{"subject": "orders.>", "pointer": "/phone", "class": "contact"}],
        "ping": {"every_s": 7, "answer_s": 0.25},
    }
    config = parse(document, "/etc/tidewire")
    text = effective(config)
    assert parse(tomllib.loads(text)) == config
    assert "# password_file is not set" in text
    assert 'class = "contact"' in text

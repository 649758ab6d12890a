"""How to connect to NATS."""

import ssl
from pathlib import Path

import pytest

from gateway.config import Nats
from gateway.nats_link import link_settings
from security.errors import ConfigurationError


def test_a_link_connects_as_the_configuration_says() -> None:
    nats = Nats(
        servers=("nats://a:1", "nats://b:2"),
        user="gateway",
        password_file="/p",
        credentials_file="/c",
        inbox_prefix="_INBOX_x",
    )
    made = link_settings(nats, name="n")
    assert (made.servers, made.user, made.password_file, made.credentials) == (nats.servers, "gateway", "/p", "/c")
    assert (made.name, made.inbox_prefix, made.tls) == ("n", "_INBOX_x", None)


def test_tls_servers_are_verified_and_so_are_all_once_an_authority_is_named(tmp_path: Path) -> None:
    made = link_settings(Nats(servers=("tls://a:1",)), name="n")
    assert made.tls is not None
    assert made.tls.verify_mode is ssl.CERT_REQUIRED
    assert made.tls.check_hostname
    with pytest.raises(ConfigurationError, match="no authority can be read"):
        link_settings(Nats(ca=str(tmp_path / "none.pem")), name="n")

"""Development keys: made once, good for this machine alone, and recognised wherever they turn up (E8)."""

import json
import socket
import ssl
import stat
import time
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from security.development import DevelopmentState, is_development_certificate
from security.development_names import (
    DEVELOPMENT_AUDIENCE,
    DEVELOPMENT_ISSUER,
    is_development_issuer,
    is_development_kid,
)
from security.errors import ConfigurationError, LimitReached
from security.issuers import Issuer, Issuers
from security.keys import KeySet, parse_jwks
from security.tokens import Claims, Refused, verify

NOW = int(time.time())  # a real time, because OpenSSL asks its own clock in the handshake
DAY_S = 86_400


def prepared(folder: Path) -> DevelopmentState:
    state = DevelopmentState(folder)
    assert state.prepare(NOW)
    return state


def issuers_of(state: DevelopmentState) -> Issuers:
    keys = parse_jwks(state.jwks.read_bytes(), algorithms=("ES256",), from_file=True)
    assert isinstance(keys, KeySet), keys
    return Issuers([Issuer(name=DEVELOPMENT_ISSUER, audience=DEVELOPMENT_AUDIENCE, keys=keys)])


def serial(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def test_a_minted_token_is_taken_by_the_guard(tmp_path: Path) -> None:
    state = prepared(tmp_path / "state")
    permissions = {"read": ["orders.c42.>"], "publish": ["cmd.c42"], "request": ["svc.c42"]}
    answer = verify(state.mint("c42", 3_600, NOW + 0.7, {"tidewire": permissions, "sid": "s1"}), NOW, issuers_of(state))
    assert isinstance(answer, Claims), answer
    assert (answer.subject, answer.issued_at, answer.expires_at, answer.sid) == ("c42", NOW, NOW + 3_600, "s1")
    assert (answer.read, answer.publish, answer.request) == (("orders.c42.>",), ("cmd.c42",), ("svc.c42",))


def test_token_ids_are_random_and_a_short_token_ends(tmp_path: Path) -> None:
    state = prepared(tmp_path / "state")
    issuers = issuers_of(state)
    one, other = (verify(state.mint("c42", 10, NOW), NOW, issuers) for _ in range(2))
    assert isinstance(one, Claims)
    assert isinstance(other, Claims)
    assert one.token_id != other.token_id
    assert verify(state.mint("c42", 10, NOW), NOW + 10, issuers) == Refused("exp", "J12", 4004)


def test_a_life_beyond_a_day_or_a_claim_of_the_issuers_is_refused(tmp_path: Path) -> None:
    state = prepared(tmp_path / "state")
    state.mint("c42", DAY_S, NOW)
    for ttl_s in (0, -1, DAY_S + 1):
        with pytest.raises(LimitReached, match="ttl"):
            state.mint("c42", ttl_s, NOW)
    for claim in ("iss", "aud", "sub", "iat", "exp"):
        with pytest.raises(ConfigurationError, match=claim):
            state.mint("c42", 60, NOW, {claim: "x"})


def test_starting_again_keeps_all_keys(tmp_path: Path) -> None:
    state = prepared(tmp_path / "state")
    before = {path: path.read_bytes() for path in state.folder.iterdir()}
    token = state.mint("c42", 60, NOW)
    again = DevelopmentState(state.folder)
    assert not again.prepare(NOW + 60)
    assert {path: path.read_bytes() for path in state.folder.iterdir()} == before
    assert isinstance(verify(token, NOW, issuers_of(again)), Claims)


def test_only_what_clients_need_is_readable_by_others(tmp_path: Path) -> None:
    state = prepared(tmp_path / "state")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.folder.iterdir()}
    private = {"issuer.json": 0o600, "authority.pem": 0o600, "server.pem": 0o600}
    assert {name: mode for name, mode in modes.items() if name in private} == private
    assert modes.keys() - private.keys() == {"jwks.json", "ca.pem"}
    assert stat.S_IMODE(state.folder.stat().st_mode) == 0o700
    assert b"PRIVATE" not in state.ca.read_bytes()
    assert "d" not in json.loads(state.jwks.read_bytes())["keys"][0]


def test_the_server_certificate_is_renewed_in_its_last_week(tmp_path: Path) -> None:
    state = prepared(tmp_path / "state")
    first = serial(state.certificate)
    assert not state.prepare(NOW + 83 * DAY_S)
    assert state.prepare(NOW + 83 * DAY_S + 1)
    assert serial(state.certificate) != first


def test_an_authority_that_ends_is_replaced_with_the_certificate(tmp_path: Path) -> None:
    state = prepared(tmp_path / "state")
    first = serial(state.ca)
    assert not state.prepare(NOW)
    assert state.prepare(NOW + 3_600 * DAY_S)
    assert serial(state.ca) != first
    assert not state.prepare(NOW + 3_600 * DAY_S)


def test_a_new_authority_signs_a_new_certificate(tmp_path: Path) -> None:
    state = prepared(tmp_path / "state")
    (state.folder / "authority.pem").unlink()
    assert state.prepare(NOW)
    certificate, authority = (
        x509.load_pem_x509_certificate(path.read_bytes()) for path in (state.certificate, state.ca)
    )
    certificate.verify_directly_issued_by(authority)


@pytest.mark.parametrize("name", ["issuer.json", "authority.pem", "server.pem"])
def test_a_damaged_or_open_file_names_itself(tmp_path: Path, name: str) -> None:
    state = prepared(tmp_path / "state")
    path = state.folder / name
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match=rf"{name}: is readable by others"):
        state.prepare(NOW)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ConfigurationError, match=rf"{name}: is damaged; remove it"):
        state.prepare(NOW)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Shake hands in memory: raises what the client finds wrong."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname=name)
    finished: set[ssl.SSLObject] = set()
    for side in (client_side, server_side) * 4:
        try:
            side.do_handshake()
            finished.add(side)
        except ssl.SSLWantReadError:
            pass
    assert finished == {client_side, server_side}


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_the_strictest_verification_takes_the_certificate(tmp_path: Path, name: str) -> None:
    state = prepared(tmp_path / "state")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(state.certificate, state.key)
    client = ssl.create_default_context(cafile=state.ca)
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    handshake(server, client, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, socket.gethostname() + ".example")


def test_the_authority_is_trusted_for_this_machine_alone(tmp_path: Path) -> None:
    state = prepared(tmp_path / "state")
    authority = x509.load_pem_x509_certificate(state.ca.read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    names = constraints.value.permitted_subtrees or ()
    assert [str(name.value) for name in names] == ["localhost", "127.0.0.1/32", "::1/128"]


def test_development_keys_are_recognised(tmp_path: Path) -> None:
    state = prepared(tmp_path / "state")
    assert is_development_certificate(state.certificate)
    assert is_development_certificate(state.ca)
    assert is_development_issuer(DEVELOPMENT_ISSUER)
    assert is_development_kid(json.loads(state.jwks.read_bytes())["keys"][0]["kid"])


def test_other_keys_are_not_taken_for_development_keys(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    assert not is_development_certificate(other)
    assert not is_development_issuer("https://id.shop.example")
    assert not is_development_kid("ec-1")
    for content in (b"", b"x"):
        other.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"other\.pem"):
            is_development_certificate(other)
    with pytest.raises(ConfigurationError, match="missing"):
        is_development_certificate(tmp_path / "missing")

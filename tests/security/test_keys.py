"""Key sets: what is taken, what is left out, and what refuses the whole set (A3)."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from security.issuers import DEFAULT_ALGORITHMS
from security.keys import JwksRefused, KeySet, parse_jwks
from tests.examples import examples
from tests.security.attack_tokens import dump

EC = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
ED = OKPKey.generate_key("Ed25519")


def public(key: ECKey | RSAKey | OKPKey, kid: str = "k", **members: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, **members}


def secret(size: int, kid: str = "k", **members: Any) -> dict[str, Any]:
    return {
        "kty": "oct",
        "k": base64.urlsafe_b64encode(bytes(range(size))).rstrip(b"=").decode(),
        "kid": kid,
        **members,
    }


def parse(
    *keys: object, algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS, from_file: bool = False
) -> KeySet | JwksRefused:
    return parse_jwks(dump({"keys": keys}), algorithms=algorithms, from_file=from_file)


def taken(answer: KeySet | JwksRefused) -> dict[str, str]:
    assert isinstance(answer, KeySet), answer
    return {kid: key.alg for kid, key in answer.by_kid.items()}


def refused(answer: KeySet | JwksRefused) -> str:
    assert isinstance(answer, JwksRefused), answer
    return answer.message


def test_the_algorithm_is_settled_by_curve_or_key_or_configuration() -> None:
    answer = parse(public(EC, "a"), public(ED, "b"), public(ED, "c", alg="Ed25519"), public(RSA, "d", alg="PS256"))
    assert taken(answer) == {"a": "ES256", "b": "EdDSA", "c": "EdDSA", "d": "PS256"}
    assert taken(parse(public(RSA), algorithms=("RS512", "ES256"))) == {"k": "RS512"}


def test_an_unsettled_algorithm_refuses_the_set() -> None:
    assert "PS256 and RS256" in refused(parse(public(RSA)))


@pytest.mark.parametrize("alg", ["ES384", "RS256", 7, ["ES256"], "none"])
def test_an_algorithm_that_is_not_its_curves_refuses_the_set(alg: object) -> None:
    assert "alg" in refused(parse(public(EC, alg=alg)))


@pytest.mark.parametrize(
    "key",
    [
        public(RSA, "x", alg="RS512"),
        public(RSA, "x", alg="RSA-OAEP"),
        public(RSA, "x", use="enc"),
        public(RSA, "x", alg="RS256", key_ops=["encrypt"]),
        public(ECKey.generate_key("P-384"), "x"),
        public(OKPKey.generate_key("X25519"), "x"),
        public(OKPKey.generate_key("Ed448"), "x"),
        {"kty": "AKP", "kid": "x"},
        {"kid": "x"},
    ],
)
def test_keys_that_are_not_for_us_are_left_out(key: dict[str, Any]) -> None:
    assert taken(parse(public(EC), key)) == {"k": "ES256"}


@pytest.mark.parametrize("kid", [None, 7, "", "k" * 129, "k\u00e9", "k\n"])
def test_a_bad_kid_refuses_the_set(kid: object) -> None:
    assert "kid" in refused(parse(public(EC, "good"), {**EC.as_dict(private=False), "kid": kid}))


def test_a_missing_or_duplicate_kid_refuses_the_set() -> None:
    assert "kid" in refused(parse(EC.as_dict(private=False)))
    assert "twice" in refused(parse(public(EC), public(ED)))
    assert "twice" in refused(parse(public(EC), {"kty": "AKP", "kid": "k"}))


@pytest.mark.parametrize("key", [EC, RSA, ED])
def test_a_private_key_refuses_the_set_and_is_not_quoted(key: ECKey | RSAKey | OKPKey) -> None:
    document = key.as_dict(private=True)
    message = refused(parse({**document, "kid": "k", "alg": "x"}))
    assert "private member `d`" in message
    assert str(document["d"]) not in message


def test_a_shared_secret_is_taken_from_a_file_alone() -> None:
    hs = ("HS256", "HS384", "HS512")
    assert taken(parse(secret(32, alg="HS256"), algorithms=hs, from_file=True)) == {"k": "HS256"}
    assert taken(parse(secret(32), algorithms=("HS256",), from_file=True)) == {"k": "HS256"}
    assert "file" in refused(parse(secret(32, alg="HS256"), algorithms=hs))
    assert "alone" in refused(
        parse(secret(32, alg="HS256"), secret(33, "l", alg="HS256"), algorithms=hs, from_file=True)
    )
    assert "alone" in refused(
        parse(secret(32, alg="HS256"), public(EC, "l"), algorithms=(*hs, "ES256"), from_file=True)
    )
    assert "leave" in refused(parse(secret(32), algorithms=hs, from_file=True))


@pytest.mark.parametrize(("alg", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_shared_secret_is_as_long_as_its_hash(alg: str, size: int) -> None:
    assert taken(parse(secret(size, alg=alg), algorithms=(alg,), from_file=True)) == {"k": alg}
    assert str(size) in refused(parse(secret(size - 1, alg=alg), algorithms=(alg,), from_file=True))


def test_a_public_key_is_no_shared_secret() -> None:
    pem = base64.urlsafe_b64encode(EC.as_pem()).rstrip(b"=").decode()
    answer = parse({"kty": "oct", "kid": "k", "alg": "HS256", "k": pem}, algorithms=("HS256",), from_file=True)
    assert "public key" in refused(answer)


def test_rsa_keys_shorter_than_2048_bits_refuse_the_set() -> None:
    short = {"kty": "RSA", "kid": "k", "alg": "RS256", "e": "AQAB"}
    modulus = base64.urlsafe_b64encode(((1 << 1023) | 1).to_bytes(128, "big")).rstrip(b"=").decode()
    assert "2048" in refused(parse({**short, "n": modulus}))


@pytest.mark.parametrize(
    "key",
    [
        public(EC, x="AAAA"),
        public(EC, x="!!"),
        public(EC, x=7),
        {"kty": "EC", "crv": "P-256", "kid": "k"},
        public(ED, x="AAAA"),
        public(RSA, alg="RS256", n=""),
        public(RSA, alg="RS256", e="AA"),
    ],
)
def test_a_key_that_is_none_refuses_the_set(key: dict[str, Any]) -> None:
    assert refused(parse(key)).startswith("keys[0]: ")


@pytest.mark.parametrize(
    "document",
    [b"", b"{}", b"[]", b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[],"keys":[]}', b'{"keys":[7]}', b"<html>", b"\xff"],
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    refused(parse_jwks(document, algorithms=DEFAULT_ALGORITHMS, from_file=True))


def test_number_and_size_hold_at_the_limit_and_one_beyond() -> None:
    keys = [public(EC, f"k{number}") for number in range(33)]
    assert len(taken(parse(*keys[:32]))) == 32
    assert "32" in refused(parse(*keys))
    document = dump({"keys": keys[:1]})
    padding = b" " * (65_536 - len(document))
    taken(parse_jwks(document + padding, algorithms=DEFAULT_ALGORITHMS, from_file=False))
    assert "long" in refused(parse_jwks(document + padding + b" ", algorithms=DEFAULT_ALGORITHMS, from_file=False))


def test_no_repr_shows_a_secret() -> None:
    answer = parse(secret(32, alg="HS256"), algorithms=("HS256",), from_file=True)
    assert isinstance(answer, KeySet)
    material = answer.by_kid["k"].material
    assert isinstance(material, OctKey)
    assert repr(answer) == "KeySet(by_kid={'k': Key(kid='k', alg='HS256')})"


@examples(200)
@given(
    st.dictionaries(
        st.sampled_from(["kty", "kid", "alg", "crv", "x", "y", "n", "e", "k", "use", "key_ops"]),
        st.none()
        | st.integers()
        | st.sampled_from(["EC", "RSA", "OKP", "oct", "P-256", "AQAB", ""])
        | st.text(max_size=5)
        | st.lists(st.text(max_size=3)),
    )
)
def test_any_key_is_taken_or_refused(changes: dict[str, Any]) -> None:
    for good in (public(EC), public(RSA, alg="RS256"), public(ED), secret(32)):
        answer = parse({**good, **changes}, algorithms=(*DEFAULT_ALGORITHMS, "HS256"), from_file=True)
        assert isinstance(answer, KeySet | JwksRefused)

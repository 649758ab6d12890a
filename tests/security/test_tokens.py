"""The guard: 56 attacks and the check that names each, every check at its edge, and any text at all (A1, A2, A4)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from security.issuers import HEADERS_MOST, Issuer, Issuers, JwksSchedule
from security.keys import KeySet, parse_jwks
from security.tokens import Claims, Refused, verify
from tests.examples import examples
from tests.security.attack_tokens import AUDIENCE, ISSUER, Attack, Forge, attacks, b64, dump, further_attacks

NOW = 1_800_000_000
FORGE = Forge(NOW)
ISSUERS = FORGE.issuers()
ATTACKS = attacks(FORGE)
FURTHER = further_attacks(FORGE)

REASONS = {
    "J1": {"size"},
    "J2": {"form"},
    "J3": {"header"},
    "J4": {"alg"},
    "J5": {"param"},
    "J6": {"typ"},
    "J7": {"kid"},
    "J8": {"signature"},
    "J9": {"payload"},
    "J10": {"iss"},
    "J11": {"aud"},
    "J12": {"exp"},
    "J13": {"time"},
    "J14": {"sub"},
    "J15": {"id", "revoked"},
    "J16": {"claims"},
    "J17": {"cnf"},
}


def refusal(token: object, unix_s: float = NOW, issuers: Issuers = ISSUERS) -> Refused:
    answer = verify(token, unix_s, issuers)
    assert isinstance(answer, Refused), "the token was taken"
    assert answer.reason in REASONS[answer.check]
    return answer


def claims(token: object, unix_s: float = NOW, issuers: Issuers = ISSUERS) -> Claims:
    answer = verify(token, unix_s, issuers)
    assert isinstance(answer, Claims), answer
    return answer


def test_a_header_is_read_once_and_only_that_of_a_signed_token_is_kept() -> None:
    issuers, token = FORGE.issuers(), FORGE.token()
    header, _, signature = token.split(".")
    forged = f"{header}.{b64(dump(FORGE.payload(sub='c43')))}.{signature}"
    assert refusal(forged, issuers=issuers).check == "J8"
    assert issuers.recall(header) is None
    first = claims(token, issuers=issuers)
    assert issuers.recall(header) == issuers.find("ec-1")
    assert claims(token, issuers=issuers) == first
    assert refusal(forged, issuers=issuers).check == "J8"  # what is kept is the key, not that it was right


def test_a_key_that_was_taken_away_is_not_remembered() -> None:
    issuers, token = FORGE.issuers(), FORGE.token()
    claims(token, issuers=issuers)
    other = parse_jwks(
        dump({"keys": [{**ECKey.generate_key("P-256").as_dict(private=False), "kid": "another"}]}),
        algorithms=("ES256",),
        from_file=False,
    )
    assert isinstance(other, KeySet)
    assert refusal(token, issuers=issuers.with_keys(ISSUER, other)).check == "J7"


def test_only_so_many_headers_are_kept() -> None:
    issuers = FORGE.issuers()
    found = issuers.find("ec-1")
    assert found is not None
    for number in range(HEADERS_MOST + 1):
        issuers.remember(f"header-{number}", found)
    assert issuers.recall("header-0") == found
    assert issuers.recall(f"header-{HEADERS_MOST}") is None


def test_the_baseline_is_taken() -> None:
    answer = claims(FORGE.token())
    assert answer.principal == (ISSUER, "c42")
    assert (answer.token_id, answer.issued_at, answer.expires_at) == ("t-1", NOW - 60, NOW + 3_540)
    assert (answer.sid, answer.tenant, answer.device, answer.read) == (None, None, None, ())


def test_the_list_has_56_numbers() -> None:
    assert {attack.number for attack in ATTACKS} == set(range(1, 57))


@pytest.mark.parametrize("attack", [*ATTACKS, *FURTHER], ids=lambda attack: f"{attack.number}-{attack.name}")
def test_each_attack_is_refused_by_the_check_named(attack: Attack) -> None:
    answer = refusal(attack.token)
    assert answer.check == attack.check
    assert answer.close == 4501


def test_an_unknown_kid_a_thousand_times_makes_one_fetch() -> None:
    schedule = JwksSchedule(now=0.0)
    schedule.tick(0.0)
    schedule.fetched(0.1)
    token = FORGE.token({"kid": "invented"})
    fetches = 0
    for turn in range(1_000):
        assert refusal(token).unknown_kid
        if schedule.unknown_kid(1.0 + turn * 0.02):
            fetches += 1
            schedule.failed(1.0 + turn * 0.02)
    assert fetches == 1


def test_only_a_well_formed_unknown_kid_asks_for_a_fetch() -> None:
    assert not refusal(FORGE.token({"kid": 7})).unknown_kid
    assert not refusal(FORGE.token({"kid": "\u00e4"})).unknown_kid
    assert not refusal(FORGE.token(payload={"aud": "billing"})).unknown_kid


def test_a_missing_kid_is_refused_with_a_one_key_set_too() -> None:
    member = {**FORGE.ec.as_dict(private=False), "kid": "ec-1"}
    keys = parse_jwks(dump({"keys": [member]}), algorithms=("ES256",), from_file=False)
    assert isinstance(keys, KeySet)
    issuers = Issuers([Issuer(name=ISSUER, audience=AUDIENCE, keys=keys)])
    claims(FORGE.token(), issuers=issuers)
    assert refusal(FORGE.token({"kid": None}), issuers=issuers).check == "J7"


@pytest.mark.parametrize(
    ("alg", "kid"), [("ES256", "ec-1"), ("RS256", "rsa-1"), ("EdDSA", "ed-1"), ("Ed25519", "ed-1")]
)
def test_each_algorithm_is_verified(alg: str, kid: str) -> None:
    key = {"ec-1": FORGE.ec, "rsa-1": FORGE.rsa, "ed-1": FORGE.ed}[kid]
    signer = "Ed25519" if kid == "ed-1" else alg
    token = FORGE.sign(dump(FORGE.header(alg=alg, kid=kid)), dump(FORGE.payload()), signer, key)
    claims(token)
    body, signature = token.rsplit(".", 1)
    assert refusal(f"{body}.{b64(bytes(len(signature) * 3 // 4))}").check == "J8"
    assert refusal(f"{body}.AAAA").check == "J8"


def test_a_shared_secret_verifies_alone_for_its_issuer() -> None:
    secret = bytes(range(32))
    document = dump({"keys": [{"kty": "oct", "kid": "hs-1", "alg": "HS256", "k": b64(secret)}]})
    keys = parse_jwks(document, algorithms=("HS256",), from_file=True)
    assert isinstance(keys, KeySet)
    inside = Issuer(name="https://inside.example", audience=AUDIENCE, algorithms=("HS256",), keys=keys)
    issuers = Issuers([*ISSUERS, inside])
    forge = Forge(NOW, inside.name)
    claims(forge.hmac({"alg": "HS256", "kid": "hs-1"}, secret), issuers=issuers)
    assert refusal(forge.hmac({"alg": "HS256", "kid": "hs-1"}, bytes(32)), issuers=issuers).check == "J8"
    # With HS256 allowed for one issuer, it still never meets another issuer's public key.
    assert refusal(FORGE.hmac({"alg": "HS256"}, FORGE.ec.as_pem()), issuers=issuers).check == "J4"


def test_a_key_of_one_issuer_does_not_speak_for_another() -> None:
    other = Forge(NOW, "https://other.example")
    member = {**other.ec.as_dict(private=False), "kid": "other-1"}
    keys = parse_jwks(dump({"keys": [member]}), algorithms=("ES256",), from_file=False)
    assert isinstance(keys, KeySet)
    issuers = Issuers([*ISSUERS, Issuer(name=other.name, audience=AUDIENCE, typ="JWT", keys=keys)])
    claims(other.token({"kid": "other-1", "typ": "JWT"}), issuers=issuers)
    assert refusal(other.token({"kid": "other-1", "typ": "JWT"}, {"iss": ISSUER}), issuers=issuers).check == "J10"
    assert refusal(other.token({"kid": "other-1"}), issuers=issuers).check == "J6"
    assert refusal(FORGE.token({"typ": "JWT"}), issuers=issuers).check == "J6"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_typ_is_compared_without_case_and_prefix(typ: str) -> None:
    claims(FORGE.token({"typ": typ}))


@pytest.mark.parametrize(
    "header",
    [{"typ": None}, {"typ": ["at+jwt"]}, {"typ": "at+jwt "}, {"typ": "application/application/at+jwt"}, {"typ": ""}],
)
def test_other_typs_are_refused(header: dict[str, Any]) -> None:
    assert refusal(FORGE.token(header)).check == "J6"


@pytest.mark.parametrize("name", ["crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc", "cty"])
def test_each_forbidden_parameter_is_refused_even_when_null(name: str) -> None:
    header = dump({**FORGE.header(), name: None})
    assert refusal(FORGE.sign(header, dump(FORGE.payload()))).check == "J5"


@pytest.mark.parametrize("token", [None, 7, b"a.b.c", ["a"], {"a": 1}, "a.b.c" + "d" * 8_188, "\u00e9.a.b"])
def test_what_is_no_short_ascii_text_is_refused_first(token: object) -> None:
    assert refusal(token).check == "J1"


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b", "aa.aa.aa.aa", "aa.aa.aa\n", " aa.aa.aa", "aa.aa.aaaaa", "aa..aa"]
)
def test_what_is_not_three_segments_is_refused_second(token: str) -> None:
    assert refusal(token).check == "J2"


def test_a_header_of_1_kib_is_taken_and_one_byte_more_is_not() -> None:
    header = dump(FORGE.header())
    padded = header[:-1] + b" " * (1_024 - len(header)) + b"}"
    claims(FORGE.sign(padded, dump(FORGE.payload())))
    assert refusal(FORGE.sign(padded[:-1] + b" }", dump(FORGE.payload()))).check == "J3"


def test_header_and_payload_nest_as_deep_as_the_limit_and_no_deeper() -> None:
    claims(FORGE.token({"x": [[[7]]]}))
    assert refusal(FORGE.token({"x": [[[[7]]]]})).check == "J3"
    claims(FORGE.token(payload={"x": [[[[[[[7]]]]]]]}))
    assert refusal(FORGE.token(payload={"x": [[[[[[[[7]]]]]]]]})).check == "J9"


def test_the_first_failure_ends_it() -> None:
    wrong = {"alg": "none", "crit": [], "typ": "JWT", "kid": "invented"}
    order = [("alg", "J4"), ("crit", "J5"), ("typ", "J6"), ("kid", "J7")]
    for member, check in order:
        answer = refusal(FORGE.token(wrong, {"iss": "x"}))
        assert (answer.check, answer.unknown_kid) == (check, check == "J7")
        del wrong[member]
    rest = {"iss": "x", "aud": "x", "exp": 0, "iat": NOW + 60, "sub": ".", "jti": ".", "tidewire": 7, "cnf": 7}
    for member, check in zip(rest.copy(), ["J10", "J11", "J12", "J13", "J14", "J15", "J16", "J17"], strict=True):
        assert refusal(FORGE.token(payload=rest)).check == check
        del rest[member]
    claims(FORGE.token(wrong, rest))


def test_a_token_of_8_kib_is_taken_and_one_character_more_is_not() -> None:  # P7.1
    # An ES256 signature is 86 characters. 6,144 bytes of payload would be 8,192 characters alone: J1 comes before J9's.
    header, payload = dump(FORGE.header()), dump(FORGE.payload())
    while (8_192 - 88 - len(b64(header))) % 4:
        header = header[:-1] + b" }"
    room = (8_192 - 88 - len(b64(header))) // 4 * 3
    padded = payload[:-1] + b" " * (room - len(payload)) + b"}"
    token = FORGE.sign(header, padded)
    assert len(token) == 8_192
    claims(token)
    assert refusal(f"{token}A").check == "J1"


@pytest.mark.parametrize(
    ("exp", "check", "close"),
    [(NOW + 1, None, 0), (NOW, "J12", 4004), (NOW - 5, "J12", 4004), (NOW - 6, "J12", 4501), (0, "J12", 4501)],
)
def test_a_token_that_just_expired_is_told_to_refresh(exp: int, check: str | None, close: int) -> None:
    token = FORGE.token(payload={"exp": exp})
    if check is None:
        claims(token)
    else:
        assert (refusal(token).check, refusal(token).close) == (check, close)


@pytest.mark.parametrize(
    "payload",
    [
        {"iat": None},
        {"iat": NOW + 6},
        {"iat": float(NOW)},
        {"iat": True},
        {"nbf": NOW + 6},
        {"nbf": str(NOW)},
        {"nbf": True},
        {"exp": NOW + 86_341},
    ],
)
def test_bad_times_are_refused(payload: dict[str, Any]) -> None:
    assert refusal(FORGE.token(payload=payload)).check == "J13"


@pytest.mark.parametrize("payload", [{"iat": NOW + 5}, {"nbf": NOW + 5}, {"nbf": 0}, {"exp": NOW + 86_340}])
def test_times_are_taken_at_their_limits(payload: dict[str, Any]) -> None:
    claims(FORGE.token(payload=payload))


@pytest.mark.parametrize(
    "aud", ["Tidewire", "", 7, [], ["billing"], ["tidewire", 7], ["tidewire"] * 17, {"tidewire": 1}]
)
def test_audiences_that_are_not_ours_are_refused(aud: object) -> None:
    assert refusal(FORGE.token(payload={"aud": aud})).check == "J11"


@pytest.mark.parametrize("aud", ["tidewire", ["tidewire"], ["billing", "tidewire"], ["x"] * 15 + ["tidewire"]])
def test_audiences_that_name_us_are_taken(aud: object) -> None:
    claims(FORGE.token(payload={"aud": aud}))


@pytest.mark.parametrize("sub", [None, 42, "a b", "auth0|x", "c42\n", "c" * 129, ">", "a/b", ["c42"]])
def test_bad_subjects_are_refused(sub: object) -> None:
    assert refusal(FORGE.token(payload={"sub": sub})).check == "J14"


@pytest.mark.parametrize(
    "payload", [{"jti": None}, {"jti": 7}, {"jti": "a.b"}, {"jti": ""}, {"sid": ""}, {"sid": 7}, {"sid": "a b"}]
)
def test_bad_ids_are_refused(payload: dict[str, Any]) -> None:
    assert refusal(FORGE.token(payload=payload)).check == "J15"


@pytest.mark.parametrize(
    "ours",
    [
        *[[], "x", 7, False, {"admin": True}, {"reads": []}, {"read": "orders.>"}, {"read": None}, {"read": [7]}],
        *[{"read": ["orders..x"]}, {"publish": ["a b"]}, {"request": ["x" * 257]}, {"read": ["a.>.b"]}],
        *[{"tenant": "a.b"}, {"tenant": None}, {"device": 7}, {"device": ""}],
    ],
)
def test_claims_of_ours_that_are_not_understood_are_refused(ours: object) -> None:
    payload = dump(FORGE.payload())[:-1] + b',"tidewire":' + json.dumps(ours).encode() + b"}"
    assert refusal(FORGE.sign(dump(FORGE.header()), payload)).check == "J16"


def test_a_null_for_our_claims_is_refused() -> None:
    payload = dump(FORGE.payload())[:-1] + b',"tidewire":null}'
    assert refusal(FORGE.sign(dump(FORGE.header()), payload)).check == "J16"


def test_everything_a_token_may_say_arrives_typed() -> None:
    ours = {"read": ["orders.c42.>"] * 32, "publish": ["cmd.c42"], "request": ["svc.*"], "tenant": "t1", "device": "d1"}
    answer = claims(
        FORGE.token(payload={"sid": "s1", "tidewire": ours, "region": "eu", "tenant": "t2", "email": "a@b.c"})
    )
    assert answer.read == ("orders.c42.>",) * 32
    assert (answer.publish, answer.request) == (("cmd.c42",), ("svc.*",))
    assert (answer.sid, answer.tenant, answer.device) == ("s1", "t1", "d1")
    assert answer.names == {"region": "eu"}


def test_no_repr_shows_who_or_what() -> None:
    token = FORGE.token(payload={"sub": "canary-1", "jti": "canary-2", "tidewire": {"tenant": "canary-3"}})
    answer = claims(token)
    assert "canary" not in repr(answer)
    assert "canary" not in repr(refusal(token + "="))


@examples(300)
@given(
    st.text(max_size=80)
    | st.binary(max_size=80)
    | st.from_regex(r"[A-Za-z0-9_-]{1,40}(\.[A-Za-z0-9_-]{0,40}){0,4}", fullmatch=True)
)
def test_any_text_or_bytes_are_refused_by_name(token: object) -> None:
    refusal(token)


JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.lists(st.text(max_size=3), max_size=2)
)


@examples(150)
@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "x"]), JUNK, max_size=3), st.binary(max_size=70))
def test_any_header_with_any_signature_is_refused_by_name(changes: dict[str, Any], signature: bytes) -> None:
    header = dump({**FORGE.header(), **changes})
    refusal(f"{b64(header)}.{b64(dump(FORGE.payload()))}.{b64(signature)}")


@examples(150)
@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "sub", "exp", "iat", "nbf", "jti", "sid", "tidewire", "cnf", "x"]),
        JUNK | st.dictionaries(st.sampled_from(["read", "tenant", "x"]), JUNK, max_size=2),
        max_size=3,
    )
)
def test_any_signed_payload_gives_claims_or_a_named_refusal(changes: dict[str, Any]) -> None:
    answer = verify(FORGE.sign(dump(FORGE.header()), dump({**FORGE.payload(), **changes})), NOW, ISSUERS)
    assert isinstance(answer, Claims) or answer.reason in REASONS[answer.check]


@examples(100)
@given(st.binary(max_size=60))
def test_any_signed_bytes_give_a_named_refusal(data: bytes) -> None:
    assert refusal(FORGE.sign(dump(FORGE.header()), data or b" ")).check == "J9"
    assert refusal(FORGE.sign(data or b" ", dump(FORGE.payload()))).check in {"J3", "J4"}


def test_leeway_beyond_30_s_is_a_bug_of_the_caller() -> None:
    with pytest.raises(AssertionError):
        verify(FORGE.token(), NOW, ISSUERS, leeway_s=31.0)


def test_es384_on_a_p256_key_is_refused_where_es384_is_allowed() -> None:
    issuers = FORGE.issuers(algorithms=("ES256", "ES384", "RS256", "EdDSA"))
    token = FORGE.sign(dump(FORGE.header(alg="ES384")), dump(FORGE.payload()), "ES384", ECKey.generate_key("P-384"))
    assert refusal(token, issuers=issuers).check == "J4"

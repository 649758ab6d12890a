"""Permissions: claims and templates united, deny by overlap, nothing reserved (A11)."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.issuers import Issuer
from security.permissions import Permissions, permissions_for
from security.subjects import is_pattern, is_reserved
from security.templates import fill, is_template
from security.tokens import Claims
from tests.examples import examples

ISSUER = Issuer(name="https://a.example", audience="tidewire")
CLAIMS = Claims(issuer=ISSUER.name, subject="c42", token_id="t-1", issued_at=0, expires_at=1)


def permissions(claims: Claims = CLAIMS, **templates: tuple[str, ...]) -> Permissions:
    return permissions_for(claims, msgspec.structs.replace(ISSUER, **templates))


def with_claims(**changes: object) -> Claims:
    return msgspec.structs.replace(CLAIMS, **changes)


def test_claims_and_templates_are_united() -> None:
    claims = with_claims(read=("news.>",), publish=("cmd.c42",))
    answer = permissions(claims, read=("orders.{sub}.>", "news.>"), request=("svc.{sub}",))
    assert answer == Permissions(read=("news.>", "orders.c42.>"), publish=("cmd.c42",), request=("svc.c42",))


def test_each_kind_stands_for_itself() -> None:
    answer = permissions(with_claims(read=("a.>",), publish=("b.>",), request=("c.>",)))
    assert [answer.allows("read", "a.x"), answer.allows("publish", "a.x"), answer.allows("request", "a.x")] == [
        True,
        False,
        False,
    ]
    assert [answer.allows("publish", "b.x"), answer.allows("request", "c.x")] == [True, True]


def test_patterns_may_be_read_but_not_published_or_requested() -> None:
    answer = permissions(with_claims(read=("a.>",), publish=("a.>",), request=("a.>",)))
    assert [answer.allows("read", "a.*.b"), answer.allows("publish", "a.*"), answer.allows("request", "a.>")] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "wanted", ["orders.*.>", "orders.>", ">", "*", "orders.c43.o1", "orders.c42", "orders..x", "", "orders.c42.a b"]
)
def test_more_than_was_given_is_refused(wanted: str) -> None:
    assert not permissions(read=("orders.{sub}.>",)).allows("read", wanted)


def test_allowed_patterns_are_not_added_up() -> None:
    assert not permissions(with_claims(read=("a.b", "a.c"))).allows("read", "a.*")


def test_deny_wins_by_overlap() -> None:
    answer = permissions(with_claims(read=("orders.>",)), deny=("orders.*.secret",))
    assert answer.allows("read", "orders.c42.open")
    assert not answer.allows("read", "orders.c42.secret")
    assert not answer.allows("read", "orders.c42.*")
    assert not answer.allows("read", "orders.>")
    assert answer.may_receive("orders.c42.open")
    assert not answer.may_receive("orders.c42.secret")


@pytest.mark.parametrize(
    "pattern", ["$JS.API.>", "$KV.cursors.x", "$SYS.a", "_INBOX.x", "_INBOX_gw.x", ">", "*.x", "tidewire.gateway.a"]
)
def test_reserved_subjects_are_refused_whatever_the_claims(pattern: str) -> None:
    answer = permissions(with_claims(read=(pattern,), publish=(pattern,), request=(pattern,)))
    assert answer.is_empty
    lax = Permissions(read=(">", "*.>", pattern), publish=(">", pattern), request=(">", pattern))
    assert not lax.allows("read", pattern)
    assert not lax.allows("publish", pattern)
    assert not lax.allows("request", pattern)
    assert not lax.may_receive(pattern)


def test_what_is_in_the_stream_is_delivered_by_pattern_whatever_its_form() -> None:
    answer = permissions(read=("orders.{sub}.>",))
    assert answer.may_receive("orders.c42." + "x" * 300)
    assert answer.may_receive("orders.c42.\ufffd")
    assert not answer.may_receive("orders.c43." + "x" * 300)
    assert not answer.may_receive("orders.c42")


def test_nothing_at_all_is_empty() -> None:
    assert permissions().is_empty
    assert not permissions(request=("svc.{sub}",)).is_empty


def test_a_missing_claim_drops_the_pattern() -> None:
    assert permissions(read=("t.{tenant}.>", "d.{device}", "x.{region}", "s.{sid}")).is_empty
    full = with_claims(tenant="t1", device="d1", sid="s1", names={"region": "eu"})
    answer = permissions(full, read=("t.{tenant}.>", "d.{device}", "x.{region}", "s.{sid}", "j.{jti}"))
    assert answer.read == ("t.t1.>", "d.d1", "x.eu", "s.s1", "j.t-1")


def test_a_claim_never_stands_in_for_one_of_ours() -> None:
    answer = permissions(with_claims(names={"sub": "c1"}), read=("orders.{sub}.>",))
    assert answer.read == ("orders.c42.>",)


def test_permissions_are_judged_by_the_issuer_of_the_claims() -> None:
    with pytest.raises(AssertionError):
        permissions_for(with_claims(issuer="https://b.example"), ISSUER)


@examples(200)
@given(st.text(max_size=8) | st.sampled_from(["*", ">", "a.b", "", "$JS", "_INBOX", "tidewire", "x" * 129]))
def test_no_value_makes_a_wildcard_a_second_token_or_a_reserved_subject(value: str) -> None:
    for template in ("orders.{x}.>", "{x}.orders", "a.{x}"):
        filled = fill(template, {"x": value})
        if filled is not None:
            assert is_pattern(filled)
            assert not is_reserved(filled)
            assert filled == template.replace("{x}", value)
            assert filled.count(".") == template.count(".")
            assert filled.count("*") + filled.count(">") == template.count(">")


@pytest.mark.parametrize("text", ["orders.{sub}.>", "orders.c42", "{tenant}.orders.*", "a.{b-c}.>"])
def test_good_templates(text: str) -> None:
    assert is_template(text)


@pytest.mark.parametrize(
    "text",
    ["", "orders.{sub", "o{sub}", "{}", "{a b}.x", "{a.b}", ">", "*.{sub}", "$JS.{sub}", "a..{sub}", "a.{{sub}}"],
)
def test_bad_templates(text: str) -> None:
    assert not is_template(text)

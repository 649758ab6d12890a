"""Permissions against every subject of a small universe: what is granted is contained, what is denied never comes."""

from functools import cache

import msgspec
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway.access import grant
from security.issuers import Issuer
from security.permissions import Kind, Permissions, permissions_for
from security.subjects import is_subject, overlaps
from security.templates import fill, is_template
from security.tokens import Claims
from tests.examples import examples
from tests.security.nats_rules import is_match, patterns_of, universe

RESERVED = ("$JS", "_INBOX_gw", "tidewire")
UNIVERSE = [*universe("abc", 4), *RESERVED, *(f"{first}.{rest}" for first in RESERVED for rest in universe("abc", 2))]
"""Decides every question about patterns of at most three tokens over two letters: ``c`` is any other token, and four
tokens are any longer subject."""

ordinary = patterns_of("a", "b", longest=2)
patterns = ordinary | ordinary | st.sampled_from(RESERVED) | st.sampled_from([f"{first}.>" for first in RESERVED])
lists = st.lists(patterns, max_size=2).map(tuple)
permissions = st.builds(Permissions, read=lists, publish=lists, deny=lists)
kinds = st.sampled_from(["read", "read", "publish", "request"])

ISSUER = Issuer(name="https://a.example", audience="tidewire")
CLAIMS = Claims(issuer=ISSUER.name, subject="c42", token_id="t-1", issued_at=0, expires_at=1)
names = st.sampled_from(["a", "b", "c42", "A", "tidewire"])
template_tokens = st.sampled_from(["a", "b", "*", "{sub}"])
templates = st.builds(
    lambda head, tail: ".".join([*head, *tail]),
    st.lists(template_tokens, min_size=1, max_size=3),
    st.sampled_from([[], [">"]]),
)


@cache
def subjects_of(pattern: str) -> frozenset[str]:
    return frozenset(subject for subject in UNIVERSE if is_match(pattern, subject))


def is_kept_from_all(subject: str) -> bool:
    """P2.8, by the first token."""
    first = subject.split(".", maxsplit=1)[0]
    return first in ("*", ">", "tidewire") or first.startswith(("$", "_INBOX"))


@examples(200)
@given(permissions, kinds, patterns)
@example(Permissions(read=("a.b", "a.c", "a.a")), "read", "a.*")
@example(Permissions(read=("a.>",), deny=("a.b",)), "read", "a.*")
@example(Permissions(read=(">",)), "read", ">")
@example(Permissions(read=("a.*",)), "read", "a.>")
@example(Permissions(read=("a.>",)), "publish", "a.b")
@example(Permissions(publish=("a.>",)), "publish", "a.b")
@example(Permissions(request=("a.>",)), "request", "a.b")
def test_what_is_allowed_lies_whole_in_one_permission_and_touches_nothing_denied(
    held: Permissions, kind: Kind, wanted: str
) -> None:
    """P2.8: and permissions of one kind say nothing of another."""
    own = {"read": held.read, "publish": held.publish, "request": held.request}[kind]
    is_contained = any(subjects_of(wanted) <= subjects_of(allowed) for allowed in own)
    is_clear = not any(subjects_of(denied) & subjects_of(wanted) for denied in held.deny)
    is_fit = not is_kept_from_all(wanted) and (kind == "read" or is_subject(wanted))
    assert held.allows(kind, wanted) is (is_contained and is_clear and is_fit)


@examples(80)
@given(permissions)
def test_an_event_is_received_where_it_may_be_read_and_nothing_denies_it(held: Permissions) -> None:
    """P4.7: the answer for each delivered subject, whatever was granted before."""
    readable = frozenset().union(*map(subjects_of, held.read)) - frozenset().union(*map(subjects_of, held.deny))
    expected = {subject for subject in readable if not is_kept_from_all(subject)}
    assert {subject for subject in UNIVERSE if held.may_receive(subject)} == expected
    assert {subject for subject in UNIVERSE if held.allows("read", subject)} == expected


@examples(80)
@given(permissions, lists, patterns)
def test_a_deny_takes_and_a_permission_gives(held: Permissions, more: tuple[str, ...], wanted: str) -> None:
    denied = msgspec.structs.replace(held, deny=held.deny + more)
    given_more = msgspec.structs.replace(held, read=held.read + more)
    assert not denied.allows("read", wanted) or held.allows("read", wanted)
    assert not held.allows("read", wanted) or given_more.allows("read", wanted)
    for denial in more:
        assert not any(denied.may_receive(subject) for subject in subjects_of(denial))


@examples(80)
@given(permissions, st.lists(patterns, max_size=5))
def test_whatever_a_session_may_hold_it_may_receive(held: Permissions, wanted: list[str]) -> None:
    """P2.20: a pattern that overlaps with more than was given is refused whole."""
    granted = grant(wanted, held)
    assert set(granted.allowed) | set(granted.denied) == set(wanted)
    for pattern in granted.allowed:
        assert all(held.may_receive(subject) for subject in subjects_of(pattern))
    for pattern in granted.denied:
        assert not held.allows("read", pattern)


@examples(120)
@given(templates, names, names)
def test_a_template_gives_each_principal_a_place_of_its_own(template: str, one: str, other: str) -> None:
    """The value stands in the place of the hole and nowhere else; no two principals meet where there is a hole."""
    assume(is_template(template))
    mine, theirs = fill(template, {"sub": one}), fill(template, {"sub": other})
    if mine is None or theirs is None:
        assert is_kept_from_all(template.replace("{sub}", one)) or is_kept_from_all(template.replace("{sub}", other))
        return
    assert not is_kept_from_all(mine)
    wide = template.replace("{sub}", "*")
    places = [place for place, token in enumerate(template.split(".")) if token == "{sub}"]
    assert subjects_of(mine) == {
        subject
        for subject in subjects_of(wide)
        if all(subject.split(".")[place : place + 1] == [one] for place in places)
    }
    assert overlaps(mine, theirs) is (one == other or not places)


@examples(80)
@given(
    st.lists(templates.filter(is_template), max_size=3),
    lists,
    lists,
    names,
    st.sampled_from(["a", "b", "c42", None, "a.b", "*", ">", "", "$JS"]),
)
def test_a_principal_has_its_claims_and_its_issuers_templates_and_no_more(
    read: list[str], claimed: tuple[str, ...], deny: tuple[str, ...], subject: str, tenant: str | None
) -> None:
    """A wrong claim drops the pattern that needs it; what is reserved comes from no side."""
    templates_read = (*read, "t.{tenant}.>")
    issuer = msgspec.structs.replace(ISSUER, read=templates_read, deny=deny)
    held = permissions_for(msgspec.structs.replace(CLAIMS, subject=subject, tenant=tenant, read=claimed), issuer)
    filled = [template.replace("{sub}", subject) for template in read]
    filled += [f"t.{tenant}.>"] if tenant in ("a", "b", "c42") else []
    expected = [pattern for pattern in [*claimed, *filled] if not is_kept_from_all(pattern)]
    assert list(held.read) == list(dict.fromkeys(expected))
    assert (held.publish, held.request, held.deny) == ((), (), deny)

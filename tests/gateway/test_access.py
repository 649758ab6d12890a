"""Which of the wanted patterns are given, and that the answer leaves none out."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.access import grant
from security.permissions import Permissions
from security.subjects import is_pattern
from tests.examples import examples

PERMISSIONS = Permissions(read=("orders.>", "news.*"), deny=("orders.secret.>",))


def test_patterns_are_sorted_by_what_becomes_of_them_each_once_in_the_order_asked() -> None:
    wanted = ["news.x", "orders.c1.>", "a..b", "other", "orders.c1.>", "", "orders.>", "news.x", "orders.secret.x"]
    granted = grant(wanted, PERMISSIONS)
    assert granted.allowed == ["news.x", "orders.c1.>"]
    assert granted.denied == ["other", "orders.>", "orders.secret.x"]
    assert granted.invalid == ["a..b", ""]


def test_nothing_wanted_is_nothing_given() -> None:
    granted = grant([], PERMISSIONS)
    assert (granted.allowed, granted.denied, granted.invalid) == ([], [], [])


def test_reserved_patterns_are_denied_whatever_is_permitted() -> None:
    """P2.8."""
    wanted = [">", "*.a", "$JS.>", "_INBOX.x", "tidewire.>"]
    assert grant(wanted, Permissions(read=(">",))).denied == wanted


def test_permission_to_publish_or_ask_is_none_to_read() -> None:
    granted = grant(["a.b"], Permissions(publish=("a.>",), request=("a.>",)))
    assert (granted.allowed, granted.denied) == ([], ["a.b"])


@examples(200)
@given(st.lists(st.text(st.sampled_from("ab.*> \0é$"), max_size=6)))
def test_every_wanted_pattern_is_in_one_list(wanted: list[str]) -> None:
    permissions = Permissions(read=("a.>", "b"))
    granted = grant(wanted, permissions)
    assert sorted([*granted.allowed, *granted.denied, *granted.invalid]) == sorted(set(wanted))
    assert all(permissions.allows("read", pattern) for pattern in granted.allowed)
    assert not any(permissions.allows("read", pattern) for pattern in granted.denied)
    assert not any(map(is_pattern, granted.invalid))


def test_a_configured_limit_makes_a_pattern_invalid_one_beyond_it() -> None:
    permissions = Permissions(read=("a.>", "é.>"))
    assert grant(["a.bb", "é.b", "a.bbb"], permissions, pattern_bytes=4).invalid == ["a.bbb"]
    assert grant(["é.bb"], permissions, pattern_bytes=4).invalid == ["é.bb"], "bytes, not characters"
    assert grant(["a.b.c", "a.b.c.d"], permissions, pattern_tokens=3).invalid == ["a.b.c.d"]

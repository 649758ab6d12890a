"""Which fields are sensitive, from Structs and from rows, and what must not travel in clear."""

from typing import Annotated, Optional

import msgspec
import pytest

from security.errors import ConfigurationError
from security.policy import Policy, Rule, Sensitive, rules_of


class Address(msgspec.Struct, rename="camel"):
    """Renamed on the wire."""

    street_name: Annotated[str, Sensitive("contact")]
    country: str


class Contact(msgspec.Struct):
    """Sensitive fields of both spellings."""

    phone: Annotated[str, Sensitive("contact")]
    mail: Annotated[str | None, Sensitive("contact")]
    old_address: Optional[Address] = None  # noqa: UP045 - both spellings must work
    address: Address | None = None


class OrderUpdate(msgspec.Struct):
    """The event."""

    order: str
    contact: Contact
    allergies: Annotated[list[str], Sensitive("health")]
    note: Annotated[str, Sensitive("health")] | None = None
    items: list[str] = []


POLICY = Policy(rules_of("orders.{sub}.>", OrderUpdate))
SUBJECT = "orders.c42.o7"


def test_a_struct_declares_its_fields_nested_and_optional_ones_too() -> None:
    assert POLICY.declared(SUBJECT) == {
        "contact": (
            "/contact/address/streetName",
            "/contact/mail",
            "/contact/old_address/streetName",
            "/contact/phone",
        ),
        "health": ("/allergies", "/note"),
    }


def test_nothing_is_declared_for_other_subjects() -> None:
    assert POLICY.declared("orders.c42") == {}
    assert POLICY.declared("stock.c42.o7") == {}
    assert POLICY.data_subject("stock.c42.o7") is None


def test_rows_and_structs_make_one_table() -> None:
    policy = Policy((*POLICY.rules, Rule("orders.*.o7", "/gift", "private"), Rule("orders.{sub}.>", "/note", "health")))
    assert policy.declared(SUBJECT)["private"] == ("/gift",)
    assert policy.declared(SUBJECT)["health"] == ("/allergies", "/note")
    assert "private" not in policy.declared("orders.c42.o8")


@pytest.mark.parametrize(
    ("pattern", "subject", "person"),
    [
        ("orders.{sub}.>", "orders.c42.o7.x", "c42"),
        ("{sub}.orders", "c42.orders", "c42"),
        ("eu.*.{customer}", "eu.shop.c_4-2", "c_4-2"),
        ("orders.*.>", "orders.c42.o7", None),
        ("orders.{sub}.>", "orders.c4@2.o7", None),
        ("orders.{sub}.>", "orders." + "c" * 129 + ".o7", None),
    ],
)
def test_the_placeholder_names_the_data_subject(pattern: str, subject: str, person: str | None) -> None:
    assert Policy([Rule(pattern, "/x", "contact")]).data_subject(subject) == person


def test_plaintext_at_a_declared_pointer_is_a_leak_null_too() -> None:
    assert POLICY.leaks(SUBJECT, {"contact": {"phone": "1", "mail": None}, "note": ""}) == [
        "/contact/mail",
        "/contact/phone",
        "/note",
    ]
    assert POLICY.leaks(SUBJECT, {"order": "o7", "contact": {}, "$sealed": {"contact": "..."}}) == []
    assert POLICY.leaks("stock.x.y", {"note": "x"}) == []
    assert POLICY.leaks(SUBJECT, b"bytes") == []
    assert POLICY.leaks(SUBJECT, [{"note": 1}]) == []


def test_a_declared_class_that_is_not_sealed_is_missing() -> None:
    assert POLICY.missing(SUBJECT, {"$sealed": {"contact": "..."}}) == ["health"]
    assert POLICY.missing(SUBJECT, {"$sealed": [1]}) == ["contact", "health"]
    assert POLICY.missing(SUBJECT, 7) == ["contact", "health"]
    assert POLICY.missing("stock.x", {}) == []


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        (Rule("orders.{sub}.{other}", "/x", "c"), "one whole token may be a placeholder"),
        (Rule("orders.x{sub}", "/x", "c"), "one whole token may be a placeholder"),
        (Rule("orders.{}", "/x", "c"), "one whole token may be a placeholder"),
        (Rule("orders..x", "/x", "c"), "is no subject pattern"),
        (Rule("orders.>.x", "/x", "c"), "is no subject pattern"),
        (Rule("orders.>", "", "c"), "is no JSON pointer"),
        (Rule("orders.>", "/items/0", "c"), "is no JSON pointer"),
        (Rule("orders.>", "/items/-", "c"), "is no JSON pointer"),
        (Rule("orders.>", "/$sealed/c", "c"), "is no JSON pointer"),
        (Rule("orders.>", "/a~2", "c"), "is no JSON pointer"),
        (Rule("orders.>", "/x", "$sealed"), "class"),
        (Rule("orders.>", "/x", ""), "class"),
        (Rule("orders.>", "/x", "c" * 65), "class"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_cause(rule: Rule, cause: str) -> None:
    with pytest.raises(ConfigurationError, match=cause):
        Policy([rule])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Rule("orders.>", "/x", "contact"), Rule("orders.{sub}.>", "/x", "health")),
        (Rule("orders.>", "/x", "contact"), Rule("orders.*", "/x/y", "contact")),
        (Rule("orders.>", "/x/y", "contact"), Rule("orders.*", "/x", "health")),
        (Rule("orders.{sub}.>", "/x", "contact"), Rule("orders.*.{sub}", "/y", "contact")),
    ],
)
def test_two_rules_that_contradict_are_refused_where_their_patterns_overlap(one: Rule, other: Rule) -> None:
    with pytest.raises(ConfigurationError, match="overlap"):
        Policy([one, other])
    apart = Rule("stock" + other.pattern.removeprefix("orders"), other.pointer, other.field_class)
    assert Policy([one, apart]).rules == (one, apart)


class Line(msgspec.Struct):
    """One line of an order."""

    buyer: Annotated[str, Sensitive("contact")]


class Listed(msgspec.Struct):
    """Sensitive fields in an array."""

    lines: list[Line]


class Mapped(msgspec.Struct):
    """Sensitive fields in a mapping."""

    lines: dict[str, Line | None]


class Marked(msgspec.Struct):
    """An array that is marked."""

    lines: Annotated[list[Line], Sensitive("contact")]


class Row(msgspec.Struct, array_like=True):
    """A Struct that is an array on the wire."""

    phone: Annotated[str, Sensitive("contact")]


class Endless(msgspec.Struct):
    """Nests in itself."""

    name: Annotated[str, Sensitive("contact")]
    child: Optional["Endless"] = None


@pytest.mark.parametrize("declared", [Listed, Mapped, Row, Endless])
def test_a_struct_whose_fields_no_pointer_reaches_is_refused(declared: type[msgspec.Struct]) -> None:
    with pytest.raises(ConfigurationError):
        rules_of("orders.>", declared)


def test_a_marked_array_is_sealed_whole() -> None:
    assert rules_of("orders.>", Marked) == (Rule("orders.>", "/lines", "contact"),)


class Tree(msgspec.Struct):
    """Nests in itself, and nothing in it is sensitive."""

    left: Optional["Tree"]
    right: Optional["Tree"]


class Planted(msgspec.Struct):
    """Has a tree, and a sensitive field."""

    tree: Tree
    name: Annotated[str, Sensitive("contact")]


def test_endless_nesting_without_sensitive_fields_is_fine() -> None:
    assert rules_of("orders.>", Planted) == (Rule("orders.>", "/name", "contact"),)

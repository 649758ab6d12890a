"""From an event to its message."""

from typing import Annotated, Any

import msgspec
import pytest

from mesh.envelope import PAYLOAD_BYTES, CannotPublish, Envelopes, Message
from security.errors import ConfigurationError, LimitReached
from security.keyring import KeyRing, SealingKey
from security.policy import Policy, Rule, Sensitive, rules_of
from security.sealing import seal

RANDOM = bytes(range(16))
NOW = 1_795_420_000.0


class Contact(msgspec.Struct):
    """A part of an order update."""

    phone: Annotated[str, Sensitive("contact")]
    city: str = "Ulm"


class Update(msgspec.Struct):
    """An order update with sensitive fields."""

    order: str
    status: str
    contact: Contact | None = None
    note: Annotated[str | None, Sensitive("note")] = None


UPDATE = Update("o7", "shipped", Contact("+49-CANARY"), "leave at the CANARY door")
POLICY = Policy(rules_of("orders.{sub}.>", Update))


def ring() -> KeyRing:
    made = [
        SealingKey(f"kid-{name}", key, tenant="default", data_subject="c42", field_class=name, epoch=1, created=0)
        for name, key in (("contact", bytes(32)), ("note", bytes([1]) * 32))
    ]
    return KeyRing(made, epoch_s=2**40)


def message(event: object, subject: str = "orders.c42.o7", envelopes: Envelopes | None = None, **more: Any) -> Message:
    return (envelopes or Envelopes()).message(subject, event, random=RANDOM, unix_s=NOW, seal=seal, **more)


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ({"a": 1}, b'{"a":1}'),
        ([1, None], b"[1,null]"),
        (None, b"null"),
        ("text", b'"text"'),
        (b"\x00\xff not JSON", b"\x00\xff not JSON"),
        (b"", b""),
        (msgspec.Raw(b'{"a":1}'), b'{"a":1}'),
    ],
)
def test_any_json_value_and_any_bytes_are_an_event(event: object, payload: bytes) -> None:
    assert message(event).payload == payload


def test_an_id_made_here_has_all_the_randomness_it_was_given() -> None:
    made = message({})
    assert made.message_id == made.headers["Nats-Msg-Id"] == RANDOM.hex()
    with pytest.raises(AssertionError):
        Envelopes().message("orders.x", {}, random=bytes(15), unix_s=NOW, seal=seal)


def test_a_given_id_is_kept() -> None:
    assert message({}, message_id="order-7:shipped").headers == {"Nats-Msg-Id": "order-7:shipped"}


@pytest.mark.parametrize("ident", ["", "a b", "a\r\nNats-Rollup: all", "\u00fc", "x" * 257, "\x00"])
def test_a_message_id_that_is_no_plain_text_is_refused(ident: str) -> None:
    with pytest.raises(CannotPublish, match="message id"):
        message({}, message_id=ident)


@pytest.mark.parametrize("subject", ["", "orders.*", "orders.>", "a..b", "a b", "x" * 257, ".".join("x" * 17)])
def test_what_is_no_subject_is_refused(subject: str) -> None:
    with pytest.raises(CannotPublish, match="no subject"):
        message({}, subject)


def test_trace_headers_are_carried_and_control_headers_are_not() -> None:
    assert message({}, headers={"traceparent": "00-ab-cd-01"}).headers["traceparent"] == "00-ab-cd-01"
    for name in ("Nats-Rollup", "nats-ttl", "Nats-Msg-Id", "a b", "", "x:y"):
        with pytest.raises(CannotPublish, match="no header"):
            message({}, headers={name: "all"})
    with pytest.raises(CannotPublish, match="printable"):
        message({}, headers={"x": "1\r\nNats-Rollup: all"})


@pytest.mark.parametrize("event", [object(), {1j: 2}, {"a": {object()}}])
def test_what_has_no_json_form_is_refused_without_showing_it(event: object) -> None:
    with pytest.raises(CannotPublish, match="no JSON form") as refused:
        message(event)
    assert "object at" not in str(refused.value)


def test_endless_nesting_is_refused() -> None:
    event: list[object] = []
    event.append(event)
    with pytest.raises(CannotPublish):
        message(event)


def test_the_limit_of_bytes_counts_headers_and_takes_exactly_itself() -> None:
    overhead = message(b"").size_bytes
    assert message(bytes(PAYLOAD_BYTES - overhead)).size_bytes == PAYLOAD_BYTES
    with pytest.raises(LimitReached, match="payload_bytes"):
        message(bytes(PAYLOAD_BYTES - overhead + 1))


def test_declared_fields_leave_the_publisher_sealed() -> None:
    made = message(UPDATE, envelopes=Envelopes(POLICY, ring()))
    data = msgspec.json.decode(made.payload)
    assert b"CANARY" not in made.payload
    assert sorted(data["$sealed"]) == ["contact", "note"]
    assert data["contact"] == {"city": "Ulm"}


def test_a_field_that_is_not_there_needs_no_key() -> None:
    contact_only = KeyRing([key for name in ("contact",) if (key := ring().opening(f"kid-{name}"))], epoch_s=2**40)
    event = {"order": "o7", "contact": {"phone": "+49"}}
    assert b"$sealed" in message(event, envelopes=Envelopes(POLICY, contact_only)).payload


def test_a_missing_key_and_a_nameless_person_stop_the_event() -> None:
    with pytest.raises(ConfigurationError, match="no sealing key"):
        message(UPDATE, envelopes=Envelopes(POLICY))
    with pytest.raises(CannotPublish, match="name no person"):
        message({"a": 1}, envelopes=Envelopes(Policy([Rule("orders.>", "/a", "contact")]), ring()))


def test_a_struct_with_sensitive_fields_needs_a_policy_that_seals_them() -> None:
    with pytest.raises(ConfigurationError, match="Update marks /contact/phone as sensitive"):
        message(UPDATE)
    with pytest.raises(ConfigurationError, match="marks"):
        message(UPDATE, "events.c42", Envelopes(POLICY, ring()))


@pytest.mark.parametrize(
    "event", [b"not JSON CANARY", b'{"note":"CANARY","note":2}', b'["CANARY"]', ["CANARY"], "CANARY"]
)
def test_what_cannot_be_taken_apart_is_not_published_where_fields_are_declared(event: object) -> None:
    with pytest.raises(CannotPublish) as refused:
        message(event, envelopes=Envelopes(POLICY, ring()))
    assert "CANARY" not in str(refused.value)


def test_bytes_that_are_a_json_object_are_sealed_too() -> None:
    made = message(b'{"note":"CANARY"}', envelopes=Envelopes(POLICY, ring()))
    assert b"CANARY" not in made.payload


def test_a_messages_text_form_shows_no_payload() -> None:
    assert "CANARY" not in repr(message({"phone": "CANARY"}))

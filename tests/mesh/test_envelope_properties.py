"""From any event to its message and from there to the device: the same again, and nothing declared in clear."""

import copy
import json
import re
from base64 import urlsafe_b64decode

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tidewire_client.keys import DeviceKeys
from tidewire_client.sealed import open_sealed

from mesh.envelope import PAYLOAD_BYTES, CannotPublish, Envelopes, Message
from mesh.event import MESSAGE_ID, headers_of, is_well_formed
from security import keyfile, keyring
from security.errors import LimitReached
from security.policy import Policy, Rule
from security.sealing import CannotSeal, seal
from tests.examples import examples
from tests.security.documents import chosen, look, objects, pointer_of, scalars, values

SUBJECT = "orders.c42.o7"
NOW = 1_795_420_000.0
CLASSES = ("contact", "note")
KEYS = [keyfile.generate("default", "c42", name, 1, NOW) for name in CLASSES]
DEVICE = DeviceKeys.from_jwks(keyring.write_jwks(KEYS))
RING = keyring.KeyRing(KEYS, epoch_s=2**40)
MARK = "+49-CANARY-"


def message(event: object, envelopes: Envelopes | None = None, **more: object) -> Message:
    arguments = {"random": bytes(16), "unix_s": NOW, "seal": seal} | more
    return (envelopes or Envelopes()).message(SUBJECT, event, **arguments)  # type: ignore[arg-type]


def block_of(made: Message) -> bytes:
    """The headers as they go over the wire (NATS ADR-4)."""
    lines = (f"{name}: {value}\r\n" for name, value in made.headers.items())
    return f"NATS/1.0\r\n{''.join(lines)}\r\n".encode()


@examples(80)
@given(values)
def test_any_value_is_published_as_its_json(event: object) -> None:
    assert json.loads(message(event).payload) == event
    assert message(message(event).payload).payload == message(event).payload, "bytes go as they are"


@examples(150)
@given(
    headers=st.dictionaries(
        st.text(st.sampled_from("abN-:\t \r\n\u00e4~"), max_size=5)
        | st.sampled_from(["Nats-X", "nAtS-Rollup", "x" * 256]),
        st.text(st.sampled_from("ab :\r\n\0\u00e4~"), max_size=5) | st.sampled_from(["x" * 4096, "x" * 4097]),
        max_size=3,
    ),
    ident=st.none() | st.text(st.sampled_from("ab~! \r\n\u00e4"), max_size=4) | st.sampled_from(["x" * 256, "x" * 257]),
)
@example(headers={"x" * 257: "1"}, ident=None)
@example(headers={"Nats": "1", "a": "", "b": "c"}, ident="x")
def test_headers_arrive_as_they_were_given_or_are_refused(headers: dict[str, str], ident: str | None) -> None:
    """Whatever is written into one, no line can be added, and none that tells the server what to do."""
    fit_names = all(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", name) for name in headers)
    fit_names = fit_names and not any(name.lower().startswith("nats-") for name in headers)
    fit_values = all(len(value) <= 4096 and all(" " <= ch <= "~" for ch in value) for value in headers.values())
    fit_ident = ident is None or (0 < len(ident) <= 256 and all("!" <= ch <= "~" for ch in ident))
    if not (fit_names and fit_values and fit_ident):
        with pytest.raises(CannotPublish):
            message({}, headers=headers, message_id=ident)
        return
    made = message({}, headers=headers, message_id=ident)
    expected = [(MESSAGE_ID, made.message_id), *((name, value.strip()) for name, value in headers.items())]
    assert is_well_formed(block_of(made))
    assert headers_of(block_of(made)) == expected
    assert ident is None or made.message_id == ident


@examples(60)
@given(
    payload=st.binary(max_size=30), headers=st.dictionaries(st.sampled_from(["a", "bc"]), st.sampled_from(["", "12"]))
)
def test_a_messages_size_is_what_nats_server_counts(payload: bytes, headers: dict[str, str]) -> None:
    made = message(payload, headers=headers)
    assert made.size_bytes == len(block_of(made)) + len(payload)
    room = Envelopes(payload_bytes=made.size_bytes)
    assert message(payload, room, headers=headers) == made
    with pytest.raises(LimitReached):
        message(payload + b"x", room, headers=headers)


@examples(150)
@given(st.data(), objects, st.booleans())
def test_what_was_declared_is_sealed_and_comes_back_on_the_device(
    data: st.DataObject,
    event: dict[str, object],
    pad: bool,  # noqa: FBT001
) -> None:
    """P5.1 to P5.5; the publisher's own data stays as it was."""
    event.pop("$sealed", None)
    wanted = [path for path in data.draw(chosen(event)) if not any(token.isdigit() for token in path)]
    classes = [data.draw(st.sampled_from(CLASSES)) for _ in wanted]
    rules = [Rule("orders.{sub}.>", pointer_of(path), name) for path, name in zip(wanted, classes, strict=True)]
    envelopes = Envelopes(Policy(rules), RING, pad=pad)
    before = copy.deepcopy(event)
    is_blocked = any(
        there and value is not None and not isinstance(value, dict)
        for path in wanted
        for there, value in (look(event, path[:length]) for length in range(1, len(path)))
    )
    if is_blocked:
        with pytest.raises(CannotSeal, match="is no object"):
            message(event, envelopes)
        assert event == before
        return
    made = message(event, envelopes)
    assert event == before
    published = msgspec.json.decode(made.payload)
    assert not any(look(published, path)[0] for path in wanted)
    expected: dict[str, list[str]] = {}
    for path, name in zip(wanted, classes, strict=True):
        expected.setdefault(name, []).append(pointer_of(path))
    answer = open_sealed(
        published,
        subject=SUBJECT,
        message_id=made.message_id,
        keys=DEVICE,
        tenant="default",
        expected=expected,
    )
    assert answer.data == before
    assert published == msgspec.json.decode(made.payload), "what came is not changed"
    for compact in published.get("$sealed", {}).values():
        assert not pad or len(urlsafe_b64decode(compact.split(".")[3] + "==")) % 256 == 0, "lengths are hidden"
    present = {name for path, name in zip(wanted, classes, strict=True) if look(before, path)[0]}
    assert set(answer.opened) == present == set(published.get("$sealed", {}))
    assert answer.shut == dict.fromkeys(sorted(set(classes) - present), "missing")


@examples(60)
@given(scalars, st.sampled_from(CLASSES), st.sampled_from(["/a", "/a/b"]))
def test_no_value_of_a_sealed_field_is_in_the_message(value: object, field_class: str, pointer: str) -> None:
    """Invariant 6; a value may look like anything, so it is marked."""
    marked = f"{MARK}{value}"
    event = {"a": marked} if pointer == "/a" else {"a": {"b": [marked]}}
    made = message(event, Envelopes(Policy([Rule("orders.{sub}.>", pointer, field_class)]), RING))
    assert MARK.encode() not in made.payload + block_of(made)
    assert MARK not in repr(made)


def test_the_largest_event_is_one_that_nats_takes() -> None:
    """``max_payload`` of nats.conf counts header block and payload."""
    made = message(bytes(PAYLOAD_BYTES - len(block_of(message(b"")))))
    assert made.size_bytes == len(block_of(made)) + len(made.payload) == PAYLOAD_BYTES == 2**20

"""What the cursor bucket keeps: read back as written, never believed when it is something else."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.contiguity import Hole
from replay.position import Position
from replay.record import Owner, Record, decode_record, encode_record, session_key
from tests.examples import examples

OWNER = Owner("https://issuer", "c42", "pixel-7", "acme")
RECORD = Record("EVENTS:1795420000123456789", 7, 9, {"orders.c42.>": 3}, OWNER, "f00d", "gw-1", 1_795_420_000)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
seqs = st.integers(0, 2**60)
owners = st.builds(Owner, issuer=texts, subject=texts, session=texts, tenant=texts)
records = st.builds(
    lambda acked, more, **rest: Record(acked=acked, through=acked + more, **rest),
    acked=seqs,
    more=st.integers(0, 2**60),
    stream=texts,
    patterns=st.dictionaries(texts, st.integers(0, 2**62), max_size=4),
    owner=owners,
    claim=texts,
    gateway=texts,
    saved_s=st.integers(0, 2**40),
    untold=st.none()
    | st.builds(
        lambda after, count, reason: Hole(after, after + 1 + count, reason), seqs, st.integers(0, 2**32), texts
    ),
)
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=3,
)


@examples(100)
@given(records)
def test_a_record_is_read_back_as_it_was_written(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


def test_a_record_holds_the_cursor_as_a_position() -> None:
    assert RECORD.position == Position("EVENTS:1795420000123456789", 7)


@examples(200)
@given(st.binary(max_size=200))
@example(b"")
@example(b"null")
@example(b"[]")
@example(b'{"of a later release":' + b"[" * 100_000)
@example(b'{"stream":"\xff"}')
def test_bytes_that_are_no_record_are_none(value: bytes) -> None:
    assert decode_record(value) is None


@examples(200)
@given(at=st.integers(0, 400), bits=st.integers(1, 255))
def test_a_damaged_record_is_read_as_a_record_or_as_nothing(at: int, bits: int) -> None:
    value = bytearray(encode_record(RECORD))
    value[at % len(value)] ^= bits
    read = decode_record(bytes(value))
    assert read is None or 0 <= read.acked <= read.through
    assert read is None or all(since >= 0 for since in read.patterns.values())


@examples(200)
@given(record=records, data=st.data(), value=json)
def test_a_record_with_a_strange_member_is_read_as_a_record_or_as_nothing(
    record: Record, data: st.DataObject, value: object
) -> None:
    """A record that is read can be written again, and says nothing impossible."""
    document = msgspec.json.decode(encode_record(record))
    inside = data.draw(st.sampled_from([document, document["owner"], document["patterns"], document.get("untold", {})]))
    inside[data.draw(st.sampled_from([*inside, "untold"]))] = value
    read = decode_record(msgspec.json.encode(document))
    if read is None:
        return
    assert decode_record(encode_record(read)) == read
    numbers = [read.acked, read.through, read.saved_s, *read.patterns.values()]
    assert all(0 <= number < 2**63 for number in numbers)
    assert read.acked <= read.through
    assert read.untold is None or 0 <= read.untold.after < read.untold.before


@pytest.mark.parametrize("length", range(0, 200, 7))
def test_a_record_that_was_cut_short_is_none(length: int) -> None:
    assert decode_record(encode_record(RECORD)[:length]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"acked": -1},
        {"acked": 10},
        {"through": 6},
        {"through": -1, "acked": -1},
        {"patterns": {"orders.c42.>": -1}},
        {"patterns": {"orders.c42.>": 1.5}},
        {"patterns": ["orders.c42.>"]},
        {"acked": "7"},
        {"owner": None},
        {"claim": 5},
        {"untold": {"after": 5, "before": 5, "reason": "expired"}},
        {"untold": {"after": -1, "before": 5, "reason": "expired"}},
        {"untold": {"after": 1, "before": 5}},
    ],
)
def test_a_record_that_makes_no_sense_is_none(change: dict[str, object]) -> None:
    document = msgspec.json.decode(encode_record(RECORD))
    assert decode_record(msgspec.json.encode(document)) == RECORD
    assert decode_record(msgspec.json.encode(document | change)) is None


@pytest.mark.parametrize("digits", [19, 20, 100, 5_000])
@pytest.mark.parametrize("field", [b'"through":9', b'"orders.c42.>":3', b'"saved_s":1795420000'])
def test_a_number_beyond_any_sequence_is_none(field: bytes, digits: int) -> None:
    """A larger one could be read and then not be written again, which would end every connection of the session."""
    value = encode_record(RECORD)
    assert value.count(field) == 1
    name = field.rpartition(b":")[0]
    assert decode_record(value.replace(field, name + b":" + b"9" * digits)) is None


def test_63_bits_are_a_number_and_64_are_not() -> None:
    """P2.6."""
    largest = msgspec.structs.replace(RECORD, through=2**63 - 1)
    assert decode_record(encode_record(largest)) == largest
    assert decode_record(encode_record(msgspec.structs.replace(RECORD, through=2**63))) is None


def test_a_field_of_a_later_release_is_ignored() -> None:
    document = msgspec.json.decode(encode_record(RECORD))
    assert decode_record(msgspec.json.encode(document | {"colour": "blue"})) == RECORD


def test_the_key_of_a_session_stays_what_it_is() -> None:
    """Stored cursors are found by it: a change of this value loses every session."""
    assert session_key(OWNER) == "s-fjjhfd3g6e65fk56yku6zpp7wr"


def test_the_tenant_is_no_part_of_the_key() -> None:
    assert session_key(msgspec.structs.replace(OWNER, tenant="other")) == session_key(OWNER)


@pytest.mark.parametrize("part", ["issuer", "subject", "session"])
def test_every_other_part_of_the_owner_makes_another_key(part: str) -> None:
    changed = msgspec.structs.replace(OWNER, **{part: getattr(OWNER, part) + "x"})
    assert session_key(changed) != session_key(OWNER)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc", "d"), ("ab", "c", "d")),
        (("a", "b", "cd"), ("a", "bc", "d")),
        (("", "ab", ""), ("ab", "", "")),
        (("a1:b", "c", "d"), ("a", "b1:c", "d")),
        (("a", "1:b", "c"), ("a1", ":b", "c")),
        (("é", "b", "c"), ("e", "\u0301b", "c")),
    ],
)
def test_parts_that_read_the_same_in_a_row_have_keys_of_their_own(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert session_key(Owner(*one)) != session_key(Owner(*other))


@examples(100)
@given(st.lists(st.tuples(st.text("a1:", max_size=4), st.text("a1:", max_size=4), st.text("a1:", max_size=4))))
def test_different_owners_have_different_keys(parts: list[tuple[str, str, str]]) -> None:
    assert len({session_key(Owner(*each)) for each in parts}) == len(set(parts))


@examples(100)
@given(owners)
def test_a_key_is_a_consumer_name_and_a_bucket_key(owner: Owner) -> None:
    key = session_key(owner)
    assert len(key) == 28
    assert key.startswith("s-")
    assert set(key[2:]) <= set("abcdefghijklmnopqrstuvwxyz234567")

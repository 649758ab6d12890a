"""Reading what any publisher may have stored: exact where it is well formed, never an exception where it is not."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.event import Delivery, header_of, headers_of, is_well_formed, read_delivery, status_of
from tests.examples import examples

SHORT = b"$JS.ACK.EVENTS.feed-1.1.42.7.1795420000123456789.3"
LONG = b"$JS.ACK.domain.acchash.EVENTS.feed-1.1.42.7.1795420000123456789.3.random"


@pytest.mark.parametrize("reply", [SHORT, LONG, LONG.removesuffix(b".random")])
def test_both_forms_of_the_ack_subject_are_read(reply: bytes) -> None:
    delivery = read_delivery(b"orders.c1.o1", reply, b"data", b"NATS/1.0\r\nA: b\r\n\r\n")
    assert isinstance(delivery, Delivery)
    event = delivery.event
    assert (event.seq, event.subject, event.time_ns) == (42, "orders.c1.o1", 1795420000123456789)
    assert (event.payload, event.header_block, event.damaged) == (b"data", b"NATS/1.0\r\nA: b\r\n\r\n", False)
    assert (delivery.consumer, delivery.consumer_seq, delivery.pending) == (b"feed-1", 7, 3)
    assert event.size_bytes == 4 + 18 + 12


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"_INBOX_gw.abc.1",
        b"$JS.ACK",
        b"$JS.API.EVENTS.feed-1.1.42.7.1795420000.3",
        b"$XX.ACK.EVENTS.feed-1.1.42.7.1795420000.3",
        b"$JS.ACK.EVENTS.feed-1.1.42.7.1795420000",
        b"$JS.ACK.EVENTS.feed-1.1.42.7.1795420000.3.x",
        b"$JS.ACK.EVENTS.feed-1.1.x.7.1795420000.3",
        b"$JS.ACK.EVENTS.feed-1.1.42..1795420000.3",
        b"$JS.ACK.EVENTS.feed-1.1.0.7.1795420000.3",
        b"$JS.ACK.EVENTS.feed-1.1.42.-7.1795420000.3",
        b"$JS.ACK.EVENTS.feed-1.1.\xff.7.1795420000.3",
        b"$JS.ACK.EVENTS.feed-1.1." + b"9" * 5_000 + b".7.1795420000.3",
    ],
)
def test_what_is_no_delivery_is_none(reply: bytes) -> None:
    assert read_delivery(b"orders.c1.o1", reply, b"", b"") is None


def test_a_subject_that_is_not_utf_8_is_shown_with_replacements_and_marked() -> None:
    delivery = read_delivery(b"orders.\xff.o1", SHORT, b"", b"")
    assert delivery is not None
    assert (delivery.event.subject, delivery.event.damaged) == ("orders.\ufffd.o1", True)


def test_a_header_never_makes_a_delivery_something_else() -> None:
    delivery = read_delivery(b"orders.c1", SHORT, b"", b"NATS/1.0 404 No Messages\r\nStatus: 404\r\n\r\n")
    assert delivery is not None
    assert delivery.event.seq == 42


def test_an_event_shows_no_payload() -> None:
    delivery = read_delivery(b"orders.c1", SHORT, b"CANARY", b"NATS/1.0\r\nA: CANARY\r\n\r\n")
    assert delivery is not None
    assert "CANARY" not in repr(delivery.event)
    assert "seq=42" in repr(delivery.event)


@pytest.mark.parametrize(
    ("block", "headers", "well_formed"),
    [
        (b"", [], True),
        (b"NATS/1.0\r\n\r\n", [], True),
        (b"NATS/1.0\r\nA: b\r\na:c\r\nA:  d \r\n\r\n", [("A", "b"), ("a", "c"), ("A", "d")], True),
        (b"NATS/1.0\r\nA: b:c\r\nnothing\r\n\r\n", [("A", "b:c")], True),
        (b"NATS/1.0\r\nA:\r\n\r\n", [("A", "")], True),
        (b"NATS/1.0\r\nA\xff: \xfe\r\n\r\n", [("A\ufffd", "\ufffd")], False),
        (b"NATS/1.0 \xff\xff\xff bad\r\n\r\n", [], False),
        (b"NATS/1.0", [], False),
        (b"NATS/1.0\r\nA: b\r\n", [("A", "b")], False),
        (b"HTTP/1.1\r\nA: b\r\n\r\n", [("A", "b")], False),
    ],
)
def test_headers_are_read_as_far_as_they_can_be(
    block: bytes,
    headers: list[tuple[str, str]],
    well_formed: bool,  # noqa: FBT001
) -> None:
    assert headers_of(block) == headers
    assert is_well_formed(block) is well_formed


def test_one_header_is_found_by_its_exact_name() -> None:
    block = b"NATS/1.0\r\nB: A\r\nA: 1\r\nA: 2\r\n\r\n"
    assert (header_of(block, "A"), header_of(block, "B"), header_of(block, "b")) == ("1", "A", None)
    assert header_of(b"", "A") is None
    assert header_of(b"NATS/1.0\r\nB: A\r\n\r\n", "A") is None


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (b"NATS/1.0 404 No Messages\r\n\r\n", (404, "No Messages")),
        (b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n", (100, "Idle Heartbeat")),
        (b"NATS/1.0 503\r\n\r\n", (503, "")),
        (b"NATS/1.0\r\nStatus: 404\r\n\r\n", (0, "")),
        (b"NATS/1.0 x y\r\n\r\n", (0, "")),
        ("NATS/1.0 ٤٠٤\r\n\r\n".encode(), (0, "")),
        (b"NATS/1.0 \xff\xff\xff bad\r\n\r\n", (0, "")),
        (b"NATS/1.0 409 \xff\r\n\r\n", (409, "\ufffd")),
        (b"NATS/1.0 " + b"9" * 5_000, (0, "")),
        (b"NATS/1.0 1000 x", (0, "")),
        (b"", (0, "")),
    ],
)
def test_a_status_is_read_from_the_first_line_alone(block: bytes, status: tuple[int, str]) -> None:
    assert status_of(block) == status


parts = st.sampled_from(
    [b"NATS/1.0", b" ", b"404", b"\r\n", b":", b"A", b"\xff", b"Status", b".", b"$JS", b"ACK", b"7"]
)
noise = st.one_of(st.binary(max_size=60), st.lists(parts, max_size=20).map(b"".join))


@examples(300)
@given(noise, noise)
@example(b"NATS/1.0 " + b"1" * 5_000, SHORT)
@example(b"\xed\xa0\x80", b".".join([b"$JS", b"ACK"] + [b"-1"] * 7))
def test_garbage_never_raises(block: bytes, reply: bytes) -> None:
    code, description = status_of(block)
    assert code >= 0
    description.encode()
    for name, value in headers_of(block):
        assert (name + value).encode() is not None
    if is_well_formed(block) and block:
        block.decode()
    delivery = read_delivery(block, reply, block, block)
    if delivery is not None:
        assert delivery.event.damaged == (b"\xef\xbf\xbd" in delivery.event.subject.encode() and not is_utf_8(block))
        assert delivery.event.seq > 0
        assert delivery.consumer_seq > 0


def is_utf_8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True

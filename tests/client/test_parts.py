"""The small pure parts of the client: patterns, frames, ledger, closing, user."""

from base64 import urlsafe_b64encode

import msgspec
import pytest
from tidewire_client.closing import Verdict, verdict_of_close, verdict_of_status
from tidewire_client.frames import (
    Ack,
    BadFrame,
    Codec,
    Connect,
    Encoding,
    EventFrame,
    Incoming,
    Live,
    Refresh,
    Welcome,
    data_bytes,
)
from tidewire_client.ledger import Ledger
from tidewire_client.patterns import check_pattern, matches
from tidewire_client.user import user_of

ENCODINGS: tuple[Encoding, ...] = ("json", "msgpack")


@pytest.mark.parametrize(
    ("pattern", "subject", "is_match"),
    [
        ("orders.c42.o7", "orders.c42.o7", True),
        ("orders.c42", "orders.c42.o7", False),
        ("orders.c42.o7", "orders.c42", False),
        ("orders.>", "orders.c42.o7", True),
        ("orders.>", "orders", False),
        ("orders.*", "orders.c42", True),
        ("orders.*", "orders.c42.o7", False),
        ("*.c42.>", "orders.c42.o7", True),
        (">", "orders", True),
        ("orders.c*", "orders.c42", False),
    ],
)
def test_patterns_match_as_in_nats(pattern: str, subject: str, is_match: bool) -> None:  # noqa: FBT001
    assert matches(pattern, subject) is is_match


def test_what_cannot_be_a_pattern_is_refused_at_the_call() -> None:
    for bad in ("", ".", "a..b", "a.", ">.a", "a b", "a\n", "a\x00", ".".join("a" * 17), "a" * 257, "\u00e4" * 129):
        with pytest.raises(ValueError, match="pattern"):
            check_pattern(bad)
    for good in ("a", ">", "a.*.>", ".".join("a" * 16), "a" * 256):
        check_pattern(good)


def encoded(value: object, encoding: Encoding) -> bytes:
    return msgspec.json.encode(value) if encoding == "json" else msgspec.msgpack.encode(value)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_message_is_one_frame_or_a_batch(encoding: Encoding) -> None:
    """P1.4."""
    codec = Codec(encoding)
    live = {"type": "live", "seq": 7, "new_field": [1]}
    assert codec.decode(encoded(live, encoding)) == [Live(7)]
    assert codec.decode(encoded([live, live], encoding)) == [Live(7), Live(7)]
    assert msgspec.json.decode(Codec("json").encode(Ack(2**60))) == {"type": "ack", "seq": 2**60}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_frames_of_unknown_type_are_passed_over(encoding: Encoding) -> None:
    """P2.3."""
    codec = Codec(encoding)
    assert codec.decode(encoded({"type": "presence", "seq": "x"}, encoding)) == []
    batch = [{"type": "presence"}, {"type": "live", "seq": 7}, {"type": "presence"}]
    assert codec.decode(encoded(batch, encoding)) == [Live(7)]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_no_frame_is_named_so_without_quoting_it(encoding: Encoding) -> None:
    codec = Codec(encoding)
    wrong: list[object] = [[], [[]], 7, "live", None, {"seq": 1}, {"type": 3}, {"type": "live", "seq": "secret"}]
    wrong += [[{"type": "live", "seq": 1}, {"type": "live"}]]
    for value in wrong:
        with pytest.raises(BadFrame) as caught:
            codec.decode(encoded(value, encoding))
        assert "secret" not in str(caught.value)
    for message in (b"", b"\xc1", b"\xff\xfe", b'{"type":"live"', b"[" * 100_000):
        with pytest.raises(BadFrame):
            codec.decode(message)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_data_is_decoded_late_and_a_bad_value_harms_only_itself(encoding: Encoding) -> None:
    codec = Codec(encoding)
    frame = {"type": "event", "seq": 1, "subject": "a", "time": "t", "data": {"x": [1, None, "\u00fc"]}}
    [event] = codec.decode(encoded(frame, encoding))
    assert isinstance(event, EventFrame)
    assert codec.value(event.data) == {"x": [1, None, "\u00fc"]}
    assert codec.value(msgspec.Raw()) is None
    assert codec.value(msgspec.Raw(b"\xc1")) == b"\xc1"
    assert codec.value(msgspec.Raw(b"[" * 5000)) != []


def test_bytes_of_a_payload_that_is_not_json() -> None:
    assert data_bytes("AP8=") == b"\x00\xff"
    with pytest.raises(BadFrame):
        data_bytes("no base64!")


def test_no_token_and_no_data_shows_in_a_repr() -> None:
    frames: list[object] = [
        Connect(token="secret", session="s", subscribe=("a",)),
        Refresh("1", "secret"),
        EventFrame(seq=1, subject="a", time="t", data=msgspec.Raw(b'"secret"')),
    ]
    assert "secret" not in repr(frames)


def test_the_welcome_of_the_protocols_example_is_read() -> None:
    text = (
        '{"type":"welcome","session":"pixel-7","stream":"EVENTS:1795420000","outcome":"resumed","from":1041,"pending":2,'
        '"expires":1795423600,"ping":25,"window":{"messages":1000,"bytes":1048576},"subjects":["orders.c42.>"]}'
    )
    frames: list[Incoming] = Codec("json").decode(text)
    [welcome] = frames
    assert isinstance(welcome, Welcome)
    assert (welcome.after, welcome.pending, welcome.window.messages) == (1041, 2, 1000)


def test_the_ledger_moves_over_finished_events_only() -> None:
    ledger = Ledger(10)
    ledger.receive(11, (1,), 5)
    ledger.receive(13, (1, 2), 5)
    ledger.receive(14, (), 5)
    ledger.reach(20)
    ledger.process(13, 1)
    ledger.process(99, 1)
    assert (ledger.settle(), ledger.processed, ledger.received) == ((0, 0), 10, 20)
    ledger.process(11, 1)
    ledger.process(11, 1)
    assert (ledger.settle(), ledger.processed) == ((1, 5), 11)
    ledger.release(2)
    assert (ledger.settle(), ledger.processed, len(ledger)) == ((3, 10), 20, 0)
    ledger.reach(15)
    assert ledger.settle() == (0, 0)


def test_every_code_of_the_protocol_has_its_verdict() -> None:
    """P3.1, P3.2."""
    come_back = {Verdict.RESUME, Verdict.BACKOFF, Verdict.RENEW, Verdict.PROTOCOL}
    for code in (None, 1000, 1001, 1006, 1011, *range(4000, 4500)):
        assert verdict_of_close(code) in come_back
    for code in range(4500, 5000):
        assert verdict_of_close(code) not in come_back
    assert verdict_of_close(4501) is Verdict.UNAUTHORIZED
    assert verdict_of_close(4004) is Verdict.RENEW
    assert [verdict_of_status(status) for status in (400, 403, 404, 502)] == [
        Verdict.PROTOCOL,
        Verdict.FORBIDDEN,
        Verdict.BACKOFF,
        Verdict.BACKOFF,
    ]


def test_users_are_told_apart_by_issuer_and_subject() -> None:
    def jwt(claims: object) -> str:
        return f"e30.{urlsafe_b64encode(msgspec.json.encode(claims)).decode().rstrip('=')}.sig"

    assert user_of(jwt({"iss": "https://i", "sub": "c42"})) == "https://i c42"
    assert user_of(jwt({"iss": "https://j", "sub": "c42"})) != user_of(jwt({"iss": "https://i", "sub": "c42"}))
    for opaque in ("", "t1", "a.b.c", "a.!!.c", jwt({"sub": 3}), jwt([])):
        assert user_of(opaque) == ""

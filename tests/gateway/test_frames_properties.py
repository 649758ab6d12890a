"""Any frame of either side is read by the other as it was meant: the gateway's codec against the Python SDK's."""

import calendar
import datetime
import json
import math
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import tidewire_client.frames as sdk
from hypothesis import example, given
from hypothesis import strategies as st

from gateway import frames
from gateway.event_frame import event_frame, read_payload
from gateway.frames import JSON, MSGPACK, BadFrame, Frame, ServerFrame, decode, encode, join
from mesh.event import MESSAGE_ID, StoredEvent
from tests.examples import examples

CODECS: dict[str, sdk.Codec] = {JSON: sdk.Codec("json"), MSGPACK: sdk.Codec("msgpack")}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["", "\0", "\ufeff", '"', "😀"])
seqs = st.integers(0, 2**63 - 1) | st.sampled_from([0, 127, 128, 2**32, 2**53, 2**53 + 1, 2**63 - 1])
counts = st.integers(1, 2**31)
unix_s = st.integers(0, 2**40)
patterns = st.lists(texts, max_size=3).map(tuple)
idents = texts | st.integers(-(2**63), 2**63 - 1)
extra = st.dictionaries(st.sampled_from(["later", "Seq", "x-trace", "__proto__"]), st.none() | texts | seqs, max_size=2)


def plain(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def wire_of(message: bytes, encoding: str) -> Any:
    return msgspec.json.decode(message) if encoding == JSON else msgspec.msgpack.decode(message)


def message_of(wire: object, encoding: str) -> bytes:
    return msgspec.json.encode(wire) if encoding == JSON else msgspec.msgpack.encode(wire)


# --- from the client ---

CLIENT_FRAMES: dict[type, st.SearchStrategy[sdk.Outgoing]] = {
    sdk.Connect: st.builds(
        sdk.Connect,
        token=texts,
        session=texts,
        subscribe=patterns,
        resume=st.none() | st.builds(sdk.Resume, texts, seqs),
        window=st.none() | st.builds(sdk.WindowSize, counts, counts),
        client=st.none() | texts,
    ),
    sdk.Ack: st.builds(sdk.Ack, seqs),
    sdk.Subscribe: st.builds(sdk.Subscribe, texts, patterns),
    sdk.Unsubscribe: st.builds(sdk.Unsubscribe, texts, patterns),
    sdk.Refresh: st.builds(sdk.Refresh, texts, texts),
    sdk.Pong: st.just(sdk.Pong()),
}
client_frames = st.one_of(*CLIENT_FRAMES.values())


def as_read(frame: sdk.Outgoing) -> Frame:
    """What the gateway must understand."""
    match frame:
        case sdk.Connect(
            token=token, session=session, subscribe=subscribe, resume=resume, window=window, client=client
        ):
            here = frames.Resume(resume.stream, resume.seq) if resume is not None else None
            wish = frames.WindowWish(window.messages, window.bytes) if window is not None else None
            return frames.Connect(session, token, list(subscribe), here, wish, "all", client)
        case sdk.Ack(seq):
            return frames.Ack(seq)
        case sdk.Subscribe(id_, subjects):
            return frames.Subscribe(id_, list(subjects))
        case sdk.Unsubscribe(id_, subjects):
            return frames.Unsubscribe(id_, list(subjects))
        case sdk.Refresh(id_, token):
            return frames.Refresh(token, id_)
        case sdk.Pong():
            return frames.Pong()


def test_every_frame_of_the_sdk_is_among_them() -> None:
    assert set(CLIENT_FRAMES) == set(sdk.Outgoing.__args__)
    assert set(SERVER_FRAMES) == set(ServerFrame.__args__)


@examples(120)
@given(client_frames, extra)
def test_the_gateway_reads_what_the_sdk_writes(frame: sdk.Outgoing, more: dict[str, object]) -> None:
    """P2.1: unknown members change nothing."""
    for encoding, codec in CODECS.items():
        message = plain(codec.encode(frame))
        assert decode(message, encoding) == [as_read(frame)]
        assert decode(message_of(wire_of(message, encoding) | more, encoding), encoding) == [as_read(frame)]


@examples(40)
@given(st.lists(client_frames, min_size=1, max_size=4), st.sampled_from([1, 2, 15, 16, 17, 255, 256, 257]))
@example([sdk.Ack(1)], 256)
@example([sdk.Ack(1)], 257)
def test_the_gateway_reads_a_batch_as_its_frames(sent: list[sdk.Outgoing], count: int) -> None:
    """P1.4."""
    batch = (sent * count)[:count]
    for encoding, codec in CODECS.items():
        encoded = [plain(codec.encode(frame)) for frame in batch]
        message = join(encoded, encoding) if count > 1 else message_of([wire_of(encoded[0], encoding)], encoding)
        expected = [as_read(frame) for frame in batch] if count <= 256 else BadFrame("batch")
        assert decode(message, encoding) == expected


@examples(100)
@given(client_frames.filter(lambda frame: not isinstance(frame, sdk.Pong)), st.data())
def test_a_frame_with_a_member_of_a_wrong_type_or_without_one_it_needs_is_bad(
    frame: sdk.Outgoing, data: st.DataObject
) -> None:
    """P2.2."""
    wire = wire_of(plain(CODECS[JSON].encode(frame)), JSON)
    member = data.draw(st.sampled_from(sorted(wire.keys() - {"type", "client"})))
    is_needed = (wire["type"], member) not in {
        *(("connect", name) for name in ("token", "subscribe", "resume", "window")),
        ("refresh", "token"),
        ("refresh", "id"),
    }
    wrong = data.draw(st.sampled_from([True, 1.5, {"x": 1}, [1], *([] if not is_needed else [...])]))
    if wrong is ...:
        del wire[member]
    else:
        wire[member] = wrong
    is_harmless = member == "window" and wrong == {"x": 1}  # a window without members takes the defaults
    for encoding in CODECS:
        result = decode(message_of(wire, encoding), encoding)
        assert isinstance(result, list) if is_harmless else result == BadFrame("fields")


# --- from the gateway ---

problems = st.builds(frames.Problem, texts, texts, st.booleans())
replies = st.fixed_dictionaries({}, optional={"seq": seqs, "denied": st.lists(texts, max_size=2), "expires": unix_s})
waits = st.none() | st.integers(0, 10**6)
SERVER_FRAMES: dict[type, st.SearchStrategy[ServerFrame]] = {
    frames.Welcome: st.builds(
        frames.Welcome,
        session=texts,
        stream=texts,
        outcome=st.sampled_from(["fresh", "resumed", "gap"]),
        from_=seqs,
        pending=st.none() | seqs,
        oldest=st.just(msgspec.UNSET) | texts,
        expires=unix_s,
        ping=st.floats(0.5, 100.0),
        window=st.builds(frames.Window, counts, counts),
        subjects=st.lists(texts, max_size=3),
        denied=st.just(msgspec.UNSET) | st.lists(texts, min_size=1, max_size=2),
    ),
    frames.Live: st.builds(frames.Live, seqs),
    frames.Gap: st.builds(frames.Gap, seqs, seqs, texts),
    frames.ReplyFrame: st.builds(frames.ReplyFrame, st.none() | idents, st.none() | replies)
    | st.builds(frames.ReplyFrame, idents, st.none(), problems),
    frames.Ping: st.just(frames.Ping()),
    frames.Pong: st.just(frames.Pong()),
    frames.Expiring: st.builds(frames.Expiring, st.integers(0, 10**6)),
    frames.ErrorFrame: st.builds(frames.ErrorFrame, texts, texts, st.booleans(), waits),
    frames.Goodbye: st.builds(frames.Goodbye, st.integers(1000, 4999), texts, st.booleans(), waits),
}
server_frames = st.one_of(*SERVER_FRAMES.values())


def as_understood(frame: ServerFrame) -> sdk.Incoming:
    """What the client must understand."""
    match frame:
        case frames.Welcome():
            return sdk.Welcome(
                session=frame.session,
                stream=frame.stream,
                outcome=frame.outcome,  # type: ignore[arg-type]  # one of three
                after=frame.from_,
                pending=frame.pending,
                oldest=None if frame.oldest is msgspec.UNSET else frame.oldest,
                expires=frame.expires,
                ping=frame.ping,
                window=sdk.WindowSize(frame.window.messages, frame.window.bytes),
                subjects=tuple(frame.subjects),
                denied=None if frame.denied is msgspec.UNSET else tuple(frame.denied),
            )
        case frames.Live(seq):
            return sdk.Live(seq)
        case frames.Gap(after, before, reason):
            return sdk.GapFrame(after=after, before=before, reason=reason)
        case frames.ReplyFrame(id_, data, problem):
            error = sdk.ErrorBody(problem.code, problem.message, problem.retry) if problem is not None else None
            known = msgspec.convert(data, sdk.ReplyData) if data is not None else None
            return sdk.Reply(id=id_, data=known, error=error)
        case frames.Ping():
            return sdk.Ping()
        case frames.Pong():
            return sdk.Pong()
        case frames.Expiring(seconds):
            return sdk.Expiring(seconds)
        case frames.ErrorFrame(code, text, retry, after):
            return sdk.Error(code=code, message=text, retry=retry, after=after)
        case frames.Goodbye(code, text, reconnect, after):
            return sdk.Goodbye(code=code, reason=text, reconnect=reconnect, after=after)


@examples(120)
@given(server_frames, extra)
def test_the_sdk_reads_what_the_gateway_writes(frame: ServerFrame, more: dict[str, object]) -> None:
    """P2.1: unknown members change nothing."""
    for encoding, codec in CODECS.items():
        message = encode(frame, encoding)
        assert codec.decode(message) == [as_understood(frame)]
        assert codec.decode(message_of(wire_of(message, encoding) | more, encoding)) == [as_understood(frame)]


@examples(50)
@given(st.lists(server_frames | st.none(), min_size=2, max_size=18))
def test_the_sdk_reads_a_batch_without_what_it_does_not_know(sent: list[ServerFrame | None]) -> None:
    """P1.4, P2.3: None stands for a frame of a type to come."""
    for encoding, codec in CODECS.items():
        unknown = message_of({"type": "later", "seq": "x"}, encoding)
        encoded = [unknown if frame is None else encode(frame, encoding) for frame in sent]
        assert codec.decode(join(encoded, encoding)) == [as_understood(frame) for frame in sent if frame is not None]


# --- events ---

payloads = st.binary(max_size=12) | st.sampled_from(
    [b"", b"null", b"{}", b"[1,2]", b'"\xff"', b"1e400", b"NaN", b"12345678901234567890123", b'{"a":{"b":[]}}', b" 1 "]
)
json_payloads = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
).map(lambda value: json.dumps(value).encode())
header_lines = st.dictionaries(
    st.sampled_from([MESSAGE_ID, "Nats-Expected", "NatsX", "x-ü"]), st.text("ab-:", max_size=4), max_size=4
)


@examples(100)
@example(payload=b"18446744073709551616", lines={}, seq=1, subject="a", time_ns=0, replay=True)
@given(
    payload=payloads | json_payloads,
    lines=header_lines,
    seq=st.integers(1, 2**63 - 1),
    subject=texts,
    time_ns=st.integers(0, 2**62) | st.integers(0, 2**32).map(lambda tenths: tenths * 100_000_000),
    replay=st.booleans(),
)
def test_the_sdk_gets_an_event_as_it_was_published(
    payload: bytes, lines: dict[str, str], seq: int, subject: str, time_ns: int, *, replay: bool
) -> None:
    """P2.33 to P2.35."""
    block = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    event = StoredEvent(seq, subject, time_ns, payload, f"NATS/1.0\r\n{block}\r\n".encode() if lines else b"")
    headers = {name: value for name, value in lines.items() if not name.startswith("Nats-")}
    for encoding, codec in CODECS.items():
        [frame] = codec.decode(event_frame(event, encoding, replay=replay))
        assert isinstance(frame, sdk.EventFrame)
        assert (frame.seq, frame.subject, frame.replay) == (seq, subject, replay)
        assert (frame.id, frame.headers or {}) == (lines.get(MESSAGE_ID), headers)
        assert nanoseconds(frame.time) == time_ns
        got = codec.value(frame.data) if frame.data_b64 is None else sdk.data_bytes(frame.data_b64)
        assert got == expected_value(payload, encoding)


def expected_value(payload: bytes, encoding: str) -> object:
    """The payload's value for whom it is JSON, as another reader has it; else its bytes."""
    try:
        value = json.loads(payload.decode(), parse_constant=refuse)
    except ValueError:
        return payload
    for number in numbers_in(value):
        is_packable = -(2**63) <= number < 2**64 if isinstance(number, int) else True
        if number in (math.inf, -math.inf) or (encoding == MSGPACK and not is_packable):
            return payload
    return value


def nanoseconds(time: str) -> int:
    """RFC 3339 in UTC with at most nine decimals, none of them a needless zero."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{0,8}[1-9])?Z", time)
    assert found is not None, time
    seconds = calendar.timegm(datetime.datetime.fromisoformat(found[1]).timetuple())
    return seconds * 10**9 + int((found[2] or ".0")[1:].ljust(9, "0"))


def refuse(name: str) -> None:
    raise ValueError(name)


def numbers_in(value: object) -> list[int | float]:
    if isinstance(value, int | float):
        return [value]
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [number for member in inside for number in numbers_in(member)]


@pytest.mark.parametrize(
    "make", [lambda depth: b"[" * depth + b"]" * depth, lambda depth: b'{"a":' * depth + b"1" + b"}" * depth]
)
def test_the_deepest_payload_is_a_value_to_the_sdk_and_a_deeper_one_bytes(make: Callable[[int], bytes]) -> None:
    """P2.35."""
    for encoding, codec in CODECS.items():
        for depth in (64, 65):
            event = StoredEvent(1, "a", 0, make(depth))
            [frame] = codec.decode(event_frame(event, encoding, replay=False))
            assert isinstance(frame, sdk.EventFrame)
            got = codec.value(frame.data) if frame.data_b64 is None else sdk.data_bytes(frame.data_b64)
            assert got == (read_payload(make(64)) if depth == 64 else make(65))

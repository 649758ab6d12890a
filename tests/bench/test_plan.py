"""What is published is recognised by the client that gets it."""

import msgspec
import pytest

from bench.plan import PAYLOAD_BYTES, payload, seen
from gateway.event_frame import event_frame
from gateway.frames import JSON, join
from mesh.event import StoredEvent


def stored(seq: int, data: bytes) -> StoredEvent:
    headers = b"NATS/1.0\r\nNats-Msg-Id: m1\r\n\r\n"
    return StoredEvent(seq, "orders.c7.x", 1_700_000_000_000_000_000, data, headers)


@pytest.mark.parametrize("replay", [False, True])
def test_events_are_seen_in_a_frame_and_in_a_batch(*, replay: bool) -> None:
    frames = [event_frame(stored(seq, payload(7, seq - 10, 99)), JSON, replay=replay) for seq in (10, 11)]
    assert [(event.seq, event.session, event.n, event.published_ns) for event in seen(frames[0])] == [(10, 7, 0, 99)]
    assert [event.n for event in seen(join(frames, JSON))] == [0, 1]


def test_other_frames_hold_no_events() -> None:
    assert seen(b'{"type":"welcome","seq":4,"subjects":["orders.c7.x"]}') == []


def test_a_payload_has_its_size_whatever_it_counts() -> None:
    assert {len(payload(session, n, 10**18)) for session in (0, 9_999) for n in (0, 10**6)} == {PAYLOAD_BYTES}
    assert msgspec.json.decode(payload(7, 3, 5))["n"] == 3

"""What the floors below are told."""

import pytest

from gateway.config import Config, Cursors, Limits, Stream
from gateway.settings import topology
from mesh.contiguity import Hole
from mesh.topology import StreamSpec, Topology, record_bytes
from replay.record import NUMBER_LIMIT, Owner, Record, encode_record
from security.subjects import is_pattern


def test_the_development_configuration_is_the_default_topology() -> None:
    assert topology(Config(profile="development")) == Topology()


def test_in_production_nobody_may_delete_or_purge_events() -> None:
    assert topology(Config()) == Topology(events=StreamSpec(deny_delete=True, deny_purge=True))


def test_every_field_of_stream_and_cursors_reaches_the_topology() -> None:
    """P4.9: the life of a cursor."""
    made = topology(
        Config(
            stream=Stream(
                name="E",
                subjects=("a.>",),
                replicas=3,
                max_age_s=60,
                max_bytes=7,
                max_consumers=8,
                duplicate_window_s=9,
            ),
            cursors=Cursors(bucket="c", replicas=3, session_idle_s=61),
            limits=Limits(payload_bytes=2_048),
        )
    )
    events = made.events
    assert (events.name, events.subjects, events.replicas, events.max_age_s) == ("E", ("a.>",), 3, 60)
    assert (events.max_bytes, events.max_consumers, events.duplicate_window_s) == (7, 8, 9)
    assert events.max_msg_bytes == 2_048
    assert (made.cursors.name, made.cursors.replicas, made.cursors.max_age_s) == ("c", 3, 61)


@pytest.mark.parametrize("character", ['"', "\\", "x", "\u00e9", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize("limits", [Limits(), Limits(subscriptions=1_000), Limits(pattern_bytes=100)])
def test_the_bucket_takes_the_largest_record_of_the_limits(limits: Limits, character: str) -> None:
    """A session that is within the limits can be stored, whatever JSON makes of its patterns."""
    patterns = {pattern(n, character, limits.pattern_bytes): NUMBER_LIMIT - 1 for n in range(limits.subscriptions)}
    longest = Record(
        stream=f"{'S' * 64}:{NUMBER_LIMIT}:{NUMBER_LIMIT}",
        acked=NUMBER_LIMIT - 1,
        through=NUMBER_LIMIT - 1,
        patterns=patterns,
        owner=Owner(*('"' * 1_000 for _ in range(4))),
        claim="c" * 16,
        gateway="g" * 16,
        saved_s=NUMBER_LIMIT - 1,
        untold=Hole(NUMBER_LIMIT - 2, NUMBER_LIMIT - 1, "stream_replaced"),
    )
    headers = len(f"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: {NUMBER_LIMIT}\r\n\r\n")
    made = topology(Config(limits=limits)).cursors
    assert made.max_value_bytes == record_bytes(limits.subscriptions, limits.pattern_bytes)
    assert len(encode_record(longest)) + headers <= made.max_value_bytes


def pattern(n: int, character: str, size: int) -> str:
    """One of many patterns of just this size."""
    room = size - len(head := f"{n:05}.".encode()) - 2
    text = f"{head.decode()}{character * (room // len(character.encode()))}"
    text += "x" * (size - 2 - len(text.encode())) + ".>"
    assert len(text.encode()) == size
    assert is_pattern(text)
    return text

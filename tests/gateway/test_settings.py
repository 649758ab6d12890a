"""What the floors below are told."""

from gateway.config import Config, Cursors, Limits, Stream
from gateway.settings import topology
from mesh.topology import StreamSpec, Topology


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

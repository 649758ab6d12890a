"""Pure: what the floors below are told, taken out of the configuration."""

from gateway.config import Config
from mesh.topology import BucketSpec, StreamSpec, Topology, record_bytes
from security.policy import Policy, Rule


def topology(config: Config) -> Topology:
    """The streams and buckets as the configuration wants them.

    In profile ``production`` nobody may delete or purge events, for good: nats-server does not take that back.
    """
    stream, cursors, limits = config.stream, config.cursors, config.limits
    is_production = config.profile == "production"
    return Topology(
        events=StreamSpec(
            name=stream.name,
            subjects=stream.subjects,
            max_age_s=stream.max_age_s,
            max_bytes=stream.max_bytes,
            max_msg_bytes=limits.payload_bytes,
            max_consumers=stream.max_consumers,
            duplicate_window_s=stream.duplicate_window_s,
            replicas=stream.replicas,
            deny_delete=is_production,
            deny_purge=is_production,
        ),
        cursors=BucketSpec(
            name=cursors.bucket,
            max_age_s=cursors.session_idle_s,
            max_value_bytes=record_bytes(limits.subscriptions, limits.pattern_bytes),
            replicas=cursors.replicas,
        ),
    )


def policy(config: Config) -> Policy:
    """Which fields of which events must be sealed, as ``[[sealed]]`` says."""
    return Policy(Rule(row.subject, row.pointer, row.field_class) for row in config.sealed)

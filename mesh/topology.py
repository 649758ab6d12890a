"""Pure: the desired streams and buckets as data, and the steps from what exists to them.

A plan is computed from what the server answers to ``STREAM.INFO`` and shown to a person before it is applied. What
would delete events, or cannot be changed on a living stream, is a refused step with its reason: a value, not an
exception.
Field names, units and meanings: NATS ADR-31 (direct get), ADR-8 (buckets) and nats-server's ``StreamConfig``.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from security.subjects import PATTERN_BYTES

SECOND_NS = 1_000_000_000
DAY_S = 86_400

PATTERNS = 128
"""Patterns that a session holds at most, where the configuration says nothing else."""
RECORD_REST_BYTES = 16_384
"""Bytes kept free for what a session's record holds beside its patterns, and for headers."""
RECORD_MOST_BYTES = 1_048_576
"""No record may take more, whatever is configured: ``max_payload`` of nats.conf."""
_SEQUENCE_DIGITS = 19
_PUNCTUATION_BYTES = 4  # "PATTERN":SEQUENCE,
_ESCAPED = 2
"""Bytes that JSON makes of one at most: a quote or a backslash; control characters are in no pattern."""


def record_bytes(patterns: int, pattern_bytes: int) -> int:
    """Bytes that a session's record may take in the bucket, with so many patterns of so many bytes, all escaped.

    Never less than for the default limits: a session from before a limit was lowered still has its record.
    """
    patterns, pattern_bytes = max(patterns, PATTERNS), max(pattern_bytes, PATTERN_BYTES)
    each = _ESCAPED * pattern_bytes + _SEQUENCE_DIGITS + _PUNCTUATION_BYTES
    return min(RECORD_REST_BYTES + patterns * each, RECORD_MOST_BYTES)


Config = Mapping[str, Any]
"""A stream's configuration as the JetStream API has it."""


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The event stream as it shall be: file storage, limits retention, the oldest events go first."""

    name: str = "EVENTS"
    """Name of the stream; nats.conf names it in the gateway's permissions."""
    subjects: tuple[str, ...] = ("orders.>", "events.>")
    """Patterns of the subjects that are stored. No stream of the same NATS account may overlap."""
    max_age_s: int = 7 * DAY_S
    """Seconds that an event is kept, at least 1: who is away for longer gets a gap."""
    max_bytes: int = -1
    """Bytes that the stream may take; the oldest events go beyond it. -1: as much as the server's store has."""
    max_msgs: int = -1
    """Events that the stream may hold; the oldest go beyond it. -1: any number."""
    max_msg_bytes: int = 1_048_576
    """Bytes of one event, headers and payload; more is refused to its publisher. Not above the server's max_payload."""
    max_consumers: int = 100_000
    """Consumers at once, mostly sessions' durables. Said here because nats-server 2.15 stops at 1,000 by itself."""
    duplicate_window_s: int = 120
    """Seconds in which a message id is stored once; a publisher's retries must stay inside."""
    replicas: Literal[1, 3, 5] = 1
    """Servers that hold each event. More than 1 needs a cluster of at least as many."""
    deny_delete: bool = False
    """Refuse deletion of single events by anyone. For production; cannot be taken back."""
    deny_purge: bool = False
    """Refuse purging by anyone. For production; cannot be taken back."""

    def config(self) -> dict[str, Any]:
        """The configuration for the JetStream API."""
        return {
            "name": self.name,
            "description": "Tidewire events",
            "subjects": list(self.subjects),
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "max_age": self.max_age_s * SECOND_NS,
            "max_bytes": self.max_bytes,
            "max_msgs": self.max_msgs,
            "max_msgs_per_subject": -1,  # a limit there eats holes into the middle of the stream
            "max_msg_size": self.max_msg_bytes,
            "max_consumers": self.max_consumers,
            "duplicate_window": self.duplicate_window_s * SECOND_NS,
            "num_replicas": self.replicas,
            "allow_direct": True,
            "allow_rollup_hdrs": False,  # else one header of a publisher purges
            "allow_msg_ttl": False,  # else one header of a publisher expires its event early
            "deny_delete": self.deny_delete,
            "deny_purge": self.deny_purge,
        }


class BucketSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A key-value bucket as it shall be: the newest value of each key, in a file."""

    name: str = "cursors"
    """Name of the bucket; its stream is ``KV_`` and this name."""
    max_age_s: int = 30 * DAY_S
    """Seconds that a value lives after it was written; for cursors the longest a session may be idle."""
    max_bytes: int = -1
    """Bytes that the bucket may take; -1: as much as the server's store has."""
    max_value_bytes: int = record_bytes(PATTERNS, PATTERN_BYTES)
    """Bytes of one value with its headers; a larger one is refused."""
    replicas: Literal[1, 3, 5] = 1
    """Servers that hold each value."""

    def config(self) -> dict[str, Any]:
        """The configuration of the bucket's stream for the JetStream API (NATS ADR-8)."""
        return {
            "name": f"KV_{self.name}",
            "description": f"Tidewire {self.name}",
            "subjects": [f"$KV.{self.name}.>"],
            "storage": "file",
            "retention": "limits",
            "discard": "new",
            "max_age": self.max_age_s * SECOND_NS,
            "max_bytes": self.max_bytes,
            "max_msgs": -1,
            "max_msgs_per_subject": 1,
            "max_msg_size": self.max_value_bytes,
            "max_consumers": -1,
            "duplicate_window": min(120, self.max_age_s) * SECOND_NS,
            "num_replicas": self.replicas,
            "allow_direct": True,
            "allow_rollup_hdrs": True,  # how a key is purged
            "deny_delete": True,
            "deny_purge": False,
        }


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """All that Tidewire keeps in NATS."""

    events: StreamSpec = StreamSpec()
    """The event stream."""
    cursors: BucketSpec = BucketSpec()
    """The bucket of the sessions' cursors."""

    def configs(self) -> list[dict[str, Any]]:
        """The configurations of all streams, in the order in which they are applied."""
        return [self.events.config(), self.cursors.config()]

    def stream_names(self) -> list[str]:
        """The names of all streams."""
        return [config["name"] for config in self.configs()]


class Change(msgspec.Struct, frozen=True):
    """One field that differs. ``refused`` says why it must not be changed; None: it may."""

    field: str
    now: Any
    wanted: Any
    refused: str | None = None

    def text(self) -> str:
        """One line for a person."""
        told = f"{self.field}: {_shown(self.field, self.now)} -> {_shown(self.field, self.wanted)}"
        return told if self.refused is None else f"{told}  REFUSED: {self.refused}"


class Create(msgspec.Struct, frozen=True):
    """The stream does not exist: make it."""

    config: Config

    def text(self) -> str:
        """Lines for a person."""
        fields = (f"\n    {field}: {_shown(field, value)}" for field, value in self.config.items() if field != "name")
        return f"create {self.config['name']}{''.join(fields)}"


class Update(msgspec.Struct, frozen=True):
    """The stream exists and may be changed as wanted. ``config`` is what exists with the changes put in."""

    config: Config
    changes: tuple[Change, ...]

    def text(self) -> str:
        """Lines for a person."""
        return f"update {self.config['name']}" + "".join(f"\n    {c.text()}" for c in self.changes)


class Keep(msgspec.Struct, frozen=True):
    """The stream is as wanted."""

    name: str

    def text(self) -> str:
        """One line for a person."""
        return f"keep   {self.name}"


class Refuse(msgspec.Struct, frozen=True):
    """The stream differs, and at least one change is refused: nothing is changed."""

    name: str
    changes: tuple[Change, ...]

    def text(self) -> str:
        """Lines for a person."""
        return f"REFUSE {self.name}" + "".join(f"\n    {c.text()}" for c in self.changes)


Step = Create | Update | Keep | Refuse


class Plan(msgspec.Struct, frozen=True):
    """The steps from what exists to what is wanted, one for each stream."""

    steps: tuple[Step, ...]

    @property
    def is_refused(self) -> bool:
        """Whether any step is refused; then none is applied."""
        return any(isinstance(step, Refuse) for step in self.steps)

    @property
    def is_done(self) -> bool:
        """Whether everything is as wanted."""
        return all(isinstance(step, Keep) for step in self.steps)

    def text(self) -> str:
        """The plan for a person, without secrets (there are none in it)."""
        return "\n".join(step.text() for step in self.steps)


def plan(desired: Topology, existing: Mapping[str, Config], *, allow_loss: bool = False) -> Plan:
    """Compare what is wanted with what exists (configurations by stream name; absent: there is no such stream).

    ``allow_loss`` lets changes pass that would delete events or let go of subjects. What a living stream cannot change
    (storage, retention, a denial taken back) is refused all the same.
    """
    return Plan(tuple(_step(config, existing.get(config["name"]), allow_loss) for config in desired.configs()))


def _step(wanted: dict[str, Any], now: Config | None, allow_loss: bool) -> Step:  # noqa: FBT001
    if now is None:
        return Create(wanted)
    changes = tuple(
        Change(field, _value(field, now), value, _refusal(field, _value(field, now), value, allow_loss=allow_loss))
        for field, value in wanted.items()
        if not _equal(field, _value(field, now), value)
    )
    if not changes:
        return Keep(wanted["name"])
    if any(change.refused for change in changes):
        return Refuse(wanted["name"], changes)
    return Update({**now, **wanted}, changes)


_ABSENT: Config = {
    "subjects": [],
    "description": "",
    "max_age": 0,
    "duplicate_window": 0,
    "discard": "old",
    "num_replicas": 1,
}
"""What an absent field of an answer means, where that is neither false nor without limit."""

_LIMITS = ("max_bytes", "max_msgs", "max_msgs_per_subject", "max_age")
"""Fields that delete events when they shrink; 0 and -1 are without limit."""

_FLAGS = ("allow_direct", "allow_rollup_hdrs", "allow_msg_ttl", "deny_delete", "deny_purge")


def _value(field: str, now: Config) -> Any:
    return now.get(field, _ABSENT.get(field, False if field in _FLAGS else -1))


def _limit(value: int) -> float:
    return float("inf") if value <= 0 else value


def _equal(field: str, now: Any, wanted: Any) -> bool:
    if field == "subjects":
        return sorted(now) == sorted(wanted)
    if field in _LIMITS or field in ("max_msg_size", "max_consumers"):
        return _limit(now) == _limit(wanted)
    return bool(now == wanted)


def _refusal(field: str, now: Any, wanted: Any, *, allow_loss: bool) -> str | None:
    """Why a change must not be made; None when it may."""
    if field in ("storage", "retention"):
        return "a living stream cannot change it; make a new stream"
    if field == "allow_msg_ttl" and now:
        return "cannot be taken back; make a new stream"
    if field in ("deny_delete", "deny_purge") and now:
        return "cannot be taken back; set it in the configuration, or make a new stream"
    if allow_loss:
        return None
    if field in _LIMITS and _limit(wanted) < _limit(now):
        return "a smaller limit deletes events that are stored"
    if field == "subjects" and (lost := sorted(set(now) - set(wanted))):
        return f"{', '.join(lost)} would not be stored any more"
    if field == "num_replicas" and wanted < now:
        return "fewer copies of each event"
    return None


def _shown(field: str, value: Any) -> str:
    if field in ("max_age", "duplicate_window") and value > 0:
        seconds = value / SECOND_NS
        return f"{seconds / DAY_S:g} days" if seconds >= DAY_S else f"{seconds:g} s"
    if field in _LIMITS or field in ("max_msg_size", "max_consumers"):
        return "no limit" if value <= 0 else f"{value:,}"
    return ", ".join(value) if isinstance(value, list) else str(value)

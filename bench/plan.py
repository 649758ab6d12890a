"""Pure: how much is done in one run, and the shape of what is published."""

import msgspec

PAYLOAD_BYTES = 300
"""Bytes of every event's payload."""
NOBODY = "orders.nobody.x"
"""A subject that no session reads."""
EVERYONE = "orders.all.x"
"""The subject that all sessions read in a broadcast; its events count from 0 and say session 0."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of one run. Everything is bounded: counts here, waits by ``patience_s``."""

    ways: tuple[str, ...] = ()
    """The ways that were asked for; empty: all."""
    run: int = 1
    """Which of the runs it is: what takes long and changes little is measured in the first alone."""
    turns: int = 4
    """Turns of each way, where ways stand side by side; what is to be published is divided among them."""
    sessions: int = 1_000
    """Connected sessions, unless a case has its own number."""
    broadcast_events: int = 160
    """Events to everyone, one at a time."""
    slowest_broadcast: bool = True
    """Whether a consumer for each session takes part in the broadcast, in which it takes longer than all others."""
    saturation_events: int = 400
    """Events to everyone, as fast as they are taken."""
    private_sessions: int = 10_000
    """Live sessions, each on a subject of its own."""
    private_events: int = 40_000
    """Events to them, one after the other."""
    private_rate: int = 2_500
    """How many of these a second."""
    private_burst: int = 80_000
    """Events to them as fast as they are taken."""
    per_session_events: int = 10_000
    """The same for a consumer per session, which is slower: for its CPU per event fewer do."""
    per_session_rate: int = 700
    """How many of these a second."""
    latency_s: float = 12.0
    """Seconds of events at half of saturation."""
    idle_sessions: int = 5_000
    """Connections that are quiet."""
    idle_rate: int = 1_000
    """Events a second before they are."""
    idle_s: float = 26.0
    """Seconds of quiet in which CPU is counted: each connection is pinged once within it."""
    replay_each: int = 50
    """Events that each session missed before it comes back."""
    replay_durable: bool = True
    """Whether replay from durables is measured, too."""
    crowd: int = 5_000
    """Sessions that come back at once, in a storm and after an absence."""
    crowd_missed: int = 20
    """Events that each of the crowd missed."""
    crowd_at_once: int = 500
    """How many of the crowd are between connecting and their upgrade at once."""
    watched: int = 200
    """Live sessions of a group, whose latency shows what something else does to them."""
    watched_rate: int = 200
    """Events a second to all watched sessions together."""
    small_window: int = 2_000
    """Events in the recent window of a gateway whose sessions were away for longer than it reaches."""
    week_missed: int = 50_000
    """Events that one client missed."""
    week_others: int = 3
    """Events of others between two of its own."""
    workers_events: int = 160
    """Events to everyone, one at a time, for one worker and for two."""
    workers_burst: int = 400
    """Events to everyone, as fast as it goes."""
    published: int = 50_000
    """Events of a publisher at full speed."""
    parked: int = 100_000
    """Sessions at rest in the cursor bucket."""
    parked_back: int = 100
    """How many of them come back, one after the other."""
    patience_s: float = 120.0
    """Seconds that any one step may take; then it fails."""

    def takes(self, way: str) -> bool:
        """Whether a way was asked for."""
        return not self.ways or way in self.ways

    def most_sessions(self) -> int:
        """How many sockets one process has open at most."""
        return max(self.sessions, self.private_sessions, self.idle_sessions, self.crowd + self.watched)


FULL = Plan()
QUICK = Plan(
    turns=2,
    sessions=200,
    broadcast_events=50,
    slowest_broadcast=False,
    private_sessions=500,
    private_events=4_000,
    private_rate=2_000,
    private_burst=8_000,
    per_session_events=1_500,
    idle_sessions=1_000,
    idle_s=10.0,
    replay_durable=False,
    patience_s=45.0,
)


def subject(session: int) -> str:
    """The private subject of a session."""
    return f"orders.c{session}.x"


def session_name(session: int) -> str:
    """The name under which its device opens it."""
    return f"bench-{session}"


def payload(session: int, n: int, now_ns: int) -> bytes:
    """The session's ``n``-th event, counted from 0, as ``PAYLOAD_BYTES`` bytes of JSON."""
    start = b'{"s":%d,"n":%d,"t":%d,"pad":"' % (session, n, now_ns)
    return start + b"x" * (PAYLOAD_BYTES - len(start) - 2) + b'"}'

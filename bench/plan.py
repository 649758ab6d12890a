"""Pure: how much is done in one run, and the shape of what is published."""

import re

import msgspec

PAYLOAD_BYTES = 300
"""Bytes of every event's payload."""
NOBODY = "orders.nobody.x"
"""A subject that no session reads."""
EVERYONE = "orders.all.x"
"""The subject that all sessions read in a broadcast; its events count from 0 and say session 0."""
_EVENT = re.compile(rb'"seq":(\d+)[^{]*?"data":\{"s":(\d+),"n":(\d+),"t":(\d+)')


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of one run. Everything is bounded: counts here, waits by ``patience_s``."""

    ways: tuple[str, ...] = ()
    """The ways that were asked for; empty: all."""
    sessions: int = 1_000
    """Connected sessions, unless a case has its own number."""
    broadcast_events: int = 60
    """Events to everyone, one at a time."""
    patience_s: float = 120.0
    """Seconds that any one step may take; then it fails."""


FULL = Plan()
QUICK = Plan(sessions=200, broadcast_events=80, patience_s=45.0)


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One event as a client saw it."""

    seq: int
    session: int
    n: int
    published_ns: int


def subject(session: int) -> str:
    """The private subject of a session."""
    return f"orders.c{session}.x"


def payload(session: int, n: int, now_ns: int) -> bytes:
    """The session's ``n``-th event, counted from 0, as ``PAYLOAD_BYTES`` bytes of JSON."""
    start = b'{"s":%d,"n":%d,"t":%d,"pad":"' % (session, n, now_ns)
    return start + b"x" * (PAYLOAD_BYTES - len(start) - 2) + b'"}'


def seen(message: bytes) -> list[Seen]:
    """The events in a WebSocket message of one frame or a batch, in order."""
    return [Seen(*map(int, match)) for match in _EVENT.findall(message)]

"""Pure: when one sweep over the stream costs less than a durable for each session, and from where it begins.

The costs are CPU of nats-server and gateway together, as measured (docs/decisions/0010-shared-reads.md).
"""

from collections.abc import Collection

EVENT_COST_S = 30e-6
"""To read one event in a sweep."""
REPLAY_COST_S = 8e-3
"""To place and read one durable, whatever it brings."""
SKIP_COST_S = 0.2e-6
"""For each event that a durable's filter passes over."""
SHARERS_LEAST = 2
"""A session alone reads through its durable, which tells an operator where it stands."""
TRICKLE_LEAST = 10
"""So many durables placed one after the other say that who comes next is not alone either."""
AHEAD_MOST = 200_000
"""Who is so many events ahead of a sweep waits for it; a session further ahead reads through its durable."""


def sweep_cost_s(start: int, floor: int) -> float:
    """What a sweep from ``start`` to ``floor`` costs, in seconds."""
    return (floor - start) * EVENT_COST_S


def fits(start: int, floor: int, recent_events: int, recent_bytes: int, events_most: int, bytes_most: int) -> bool:
    """Whether all from ``start`` to ``floor`` can be held at once, where its events are as the recent window's."""
    events = floor - start
    return events <= events_most and events * recent_bytes <= bytes_most * max(1, recent_events)


def best_start(waiting: Collection[int], placed: Collection[int], floor: int) -> int | None:
    """The position from which a sweep up to ``floor`` saves most, of those of the sessions that wait; None: nowhere.

    ``placed`` are positions from which durables were placed, one shortly after the other. As many are taken to come
    after those who wait: a crowd that trickles in pays for durables about what a sweep costs, and then for the sweep.
    """
    best, saved_most, replays_s = None, 0.0, 0.0
    for sharers, position in enumerate(sorted([*waiting, *placed], reverse=True), 1):
        replays_s += REPLAY_COST_S + (floor - position) * SKIP_COST_S
        saved_s = replays_s - sweep_cost_s(position, floor)
        if sharers >= SHARERS_LEAST and saved_s > saved_most:
            best, saved_most = position, saved_s
    served = [position for position in waiting if best is not None and position >= best]
    least = 1 if len(placed) >= TRICKLE_LEAST else SHARERS_LEAST
    return min(served) if len(served) >= least else None

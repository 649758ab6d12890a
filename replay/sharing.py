"""Pure: when one sweep over the stream costs less than a durable for each session, and from where it begins.

The costs are CPU of nats-server and gateway together (docs/decisions/0010-shared-reads.md says how they were measured).
"""

from collections.abc import Iterable

EVENT_COST_S = 25e-6
"""To read one event in a sweep."""
REPLAY_COST_S = 8e-3
"""To place and read one durable, whatever it brings."""
SKIP_COST_S = 0.2e-6
"""For each event that a durable's filter passes over."""
SHARERS_LEAST = 2
"""A session alone reads through its durable, which tells an operator where it stands."""
AHEAD_MOST = 200_000
"""Who is so many events ahead of a sweep waits for it; a session further ahead reads through its durable."""


def best_start(positions: Iterable[int], floor: int) -> int | None:
    """The position from which a sweep up to ``floor`` saves most, of those of the sessions that wait.

    None: it saves nothing.
    """
    best, saved_most, replays_s = None, 0.0, 0.0
    for sharers, position in enumerate(sorted(positions, reverse=True), 1):
        events = floor - position
        replays_s += REPLAY_COST_S + events * SKIP_COST_S
        saved_s = replays_s - events * EVENT_COST_S
        if sharers >= SHARERS_LEAST and saved_s > saved_most:
            best, saved_most = position, saved_s
    return best

"""Pure: how long to wait before a worker that died is started again."""

FIRST_S = 0.1
"""Seconds before the first restart: soon, since its clients are waiting."""
LONGEST_S = 10.0
"""Seconds between restarts of a worker that cannot stay up."""
STEADY_S = 10.0
"""A worker that lived this long, in seconds, is healthy again: its next death counts as the first."""


class Restarts:
    """The deaths of one worker. Its wait doubles from 0.1 s to 10 s while the worker dies young."""

    def __init__(self) -> None:
        self.total = 0
        """Restarts so far."""
        self._young = 0

    def died(self, lived_s: float) -> float:
        """Note a death after ``lived_s`` seconds of being ready; returns the seconds to wait before the restart."""
        self.total += 1
        self._young = 0 if lived_s >= STEADY_S else self._young + 1
        return min(LONGEST_S, FIRST_S * float(1 << min(max(self._young - 1, 0), 16)))

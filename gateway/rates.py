"""Pure: a token bucket: so many a second in the long run, so many at once."""


class TokenBucket:
    """Begins full. Time is monotonic seconds and never falls."""

    __slots__ = ("_at_s", "_burst", "_left", "_per_s")

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at_s = now_s

    def take(self, count: float, now_s: float) -> bool:
        """Take ``count`` if there are as many; else nothing is taken."""
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if count > self._left:
            return False
        self._left -= count
        return True

"""Pure: how long to wait before the next connection.

Full jitter under the cap, as centrifuge-js does it: jitter before the cap is lost at the cap, and then a crowd that
lost one gateway comes back in step for ever.
"""

from random import Random

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of waiting, in seconds."""

    least_s: float = 0.5
    """The least wait after a failure, and the first step of the growth."""
    max_s: float = 20.0
    """The most: growth and jitter stay at or under it."""
    quick_s: float = 0.25
    """The most before the first reconnect of a connection that had been live; spreads a crowd a little."""

    def delay_s(self, attempt: int, random: Random) -> float:
        """The wait before try ``attempt``, from 0: min(max, least + random(0, min(max, least * 2^attempt)))."""
        span = min(self.max_s, self.least_s * 2.0 ** min(attempt, 32))
        return min(self.max_s, self.least_s + random.random() * span)

    def quick_delay_s(self, random: Random) -> float:
        """The wait before the first reconnect after a good connection: 0 to ``quick_s``."""
        return random.random() * self.quick_s

    def told_delay_s(self, after_ms: float, random: Random) -> float:
        """The wait that the gateway asked for, plus up to half of it, or up to ``quick_s`` when that is more (P6.6).

        A negative wish counts as 0.
        """
        after_s = max(0.0, after_ms) / 1000
        return after_s + random.random() * max(self.quick_s, after_s / 2)

"""Pure: when to try again, and until when."""

import msgspec

from security.errors import ConfigurationError


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and for how long one event is published again, always under its one message id."""

    attempt_s: float = 2.0
    """Seconds to wait for the acknowledgement of one attempt."""
    first_wait_s: float = 0.05
    """Longest wait after the first failed attempt, in seconds; doubles with each."""
    longest_wait_s: float = 2.0
    """Longest wait between attempts, in seconds."""
    give_up_s: float = 60.0
    """Seconds after which an event that is not acknowledged has failed. Below ``duplicate_window_s`` by an attempt."""
    duplicate_window_s: float = 120.0
    """The event stream's duplicate window: an attempt later than that would be stored as a second event."""

    def __post_init__(self) -> None:
        """Refuse a policy that could store an event twice. Raises ConfigurationError."""
        if self.give_up_s + self.attempt_s > self.duplicate_window_s:
            raise ConfigurationError(
                f"give_up_s ({self.give_up_s}) and attempt_s ({self.attempt_s}) together are more than the stream's "
                f"duplicate window ({self.duplicate_window_s} s): a late retry would be stored as a second event"
            )

    def next_attempt(self, attempts: int, first: float, now: float, jitter: float) -> float | None:
        """When to try again after ``attempts`` failed ones, or None when it is too late.

        ``first`` is when the event was taken and ``now`` the time, both in monotonic seconds; ``jitter`` is random,
        from 0 to 1 (full jitter: all publishers wait for the same leader).
        """
        assert attempts >= 1
        at = now + jitter * min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(attempts - 1, 30))
        return at if self.may_send(first, at) else None

    def may_send(self, first: float, now: float) -> bool:
        """Whether an attempt now is early enough."""
        return now < first + self.give_up_s

"""When to try again."""

import pytest

from mesh.retry import RetryPolicy
from security.errors import ConfigurationError

RETRY = RetryPolicy(first_wait_s=0.1, longest_wait_s=2.0, give_up_s=60.0)


def test_waits_double_up_to_the_longest() -> None:
    waits = [RETRY.next_attempt(attempts, first=0.0, now=0.0, jitter=1.0) for attempts in (1, 2, 3, 5, 6, 500)]
    assert waits == [0.1, 0.2, 0.4, 1.6, 2.0, 2.0]


def test_jitter_spreads_over_the_whole_wait() -> None:
    assert RETRY.next_attempt(1, first=0.0, now=7.0, jitter=0.0) == 7.0
    assert RETRY.next_attempt(2, first=0.0, now=7.0, jitter=0.5) == pytest.approx(7.1)


def test_an_attempt_at_the_deadline_is_too_late_and_one_before_is_not() -> None:
    assert RETRY.next_attempt(1, first=0.0, now=59.9, jitter=1.0) is None
    assert RETRY.next_attempt(1, first=0.0, now=59.9, jitter=0.5) is not None
    assert RETRY.may_send(10.0, 69.9)
    assert not RETRY.may_send(10.0, 70.0)


def test_a_patience_beyond_the_duplicate_window_is_refused() -> None:
    assert RetryPolicy(give_up_s=118.0, attempt_s=2.0).give_up_s == 118.0
    with pytest.raises(ConfigurationError, match="stored as a second event"):
        RetryPolicy(give_up_s=118.1, attempt_s=2.0)

"""A token bucket at its limits."""

import pytest

from gateway.rates import TokenBucket


def test_a_burst_is_taken_whole_and_not_one_more() -> None:
    bucket = TokenBucket(per_s=50, burst=200, now_s=1_000.0)
    assert [bucket.take(1, 1_000.0) for _ in range(201)] == [True] * 200 + [False]


def test_what_comes_back_is_counted_to_the_moment() -> None:
    bucket = TokenBucket(per_s=4, burst=8, now_s=0.0)
    assert bucket.take(8, 0.0)
    assert not bucket.take(1, 0.125)
    assert bucket.take(1, 0.25)
    assert not bucket.take(1, 0.25)
    assert bucket.take(2, 0.75)


def test_no_more_than_the_burst_is_ever_saved_up() -> None:
    bucket = TokenBucket(per_s=4, burst=8, now_s=0.0)
    assert not bucket.take(9, 1_000_000.0)
    assert bucket.take(8, 1_000_000.0)
    assert not bucket.take(1, 1_000_000.0)


def test_what_is_refused_costs_nothing() -> None:
    bucket = TokenBucket(per_s=1, burst=5, now_s=0.0)
    assert not any(bucket.take(6, 0.0) for _ in range(10))
    assert bucket.take(5, 0.0)


@pytest.mark.parametrize("every_s", [0.125, 0.25, 0.5])
def test_in_the_long_run_no_more_than_the_rate_passes(every_s: float) -> None:
    bucket = TokenBucket(per_s=2, burst=3, now_s=0.0)
    taken = sum(bucket.take(1, step * every_s) for step in range(int(1_000 / every_s) + 1))
    assert taken == 2_000 + 3 if every_s < 0.5 else taken == 2_001

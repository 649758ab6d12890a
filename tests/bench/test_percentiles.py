"""Percentiles are events that came, not averages."""

from bench.percentiles import percentiles


def test_a_percentile_is_one_of_the_latencies_in_milliseconds() -> None:
    assert percentiles([n * 1_000_000 for n in range(1_001)]) == {"p50_ms": 500, "p99_ms": 990, "p999_ms": 999}


def test_of_one_latency_every_percentile_is_that_one() -> None:
    assert set(percentiles([5_000_000]).values()) == {5.0}


def test_without_latencies_there_is_nothing_to_tell() -> None:
    assert percentiles([]) == {}

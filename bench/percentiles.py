"""Pure: what is told of many latencies."""

PLACES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}


def percentiles(latencies_ns: list[int]) -> dict[str, float]:
    """Milliseconds at each of ``PLACES``; empty without a latency."""
    ordered = sorted(latencies_ns)
    return {name: ordered[int(place * (len(ordered) - 1))] / 1e6 for name, place in PLACES.items()} if ordered else {}

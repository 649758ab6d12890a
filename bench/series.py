"""Pure: which figures make a picture, and how each bar is called."""

import msgspec

from bench.measurement import Measurement
from bench.results import Figure, figures


class Shown(msgspec.Struct, frozen=True):
    """A picture to be made of one or several values of one or several cases."""

    name: str
    """Of its file, without the ending."""
    title: str
    unit: str
    cases: tuple[str, ...]
    values: dict[str, str]
    """Names of values, and what each is called in the picture."""


class Series(msgspec.Struct, frozen=True):
    """What one picture shows: a bar for each way in each group."""

    name: str
    title: str
    unit: str
    ways: list[str]
    groups: dict[str, dict[str, Figure]]
    """By group, then by way; a way need not have every bar."""


SHOWN = (
    Shown(
        "broadcast",
        "CPU of a delivery, one event at a time to everyone (TLS)",
        "us of the server's CPU",
        ("broadcast", "broadcast acked"),
        {"server_us": ""},
    ),
    Shown(
        "saturation",
        "CPU of a delivery, as fast as it goes (TLS)",
        "us of the server's CPU",
        ("saturation", "saturation, ten at a time"),
        {"server_us": ""},
    ),
    Shown(
        "private",
        "CPU of a delivery, each event to one of many sessions (TLS)",
        "us of CPU",
        ("private",),
        {"server_us": "server", "broker_us": "nats-server"},
    ),
    Shown(
        "latency",
        "From publisher to client at half of saturation",
        "ms",
        ("latency",),
        {"p50_ms": "median", "p99_ms": "p99", "p999_ms": "p99.9"},
    ),
    Shown("memory", "Memory of an idle TLS connection", "KiB", ("idle",), {"rss_kb": ""}),
    Shown("storm", "A crowd comes back at once", "s until all are live", ("storm", "absence"), {"seconds": ""}),
    Shown("publishing", "One publisher, acknowledged", "events/s", ("publishing",), {"events_per_s": ""}),
)


def series(found: list[Measurement]) -> list[Series]:
    """What there are figures for."""
    every = figures(found)
    made = []
    for shown in SHOWN:
        groups: dict[str, dict[str, Figure]] = {}
        for case in shown.cases:
            for value, called in shown.values.items():
                group = ", ".join(filter(None, (case if len(shown.cases) > 1 else "", called)))
                bars = {way: each[value] for (name, way), each in every.items() if name == case and value in each}
                if bars:
                    groups[group] = bars
        if groups:
            ways = list(dict.fromkeys(way for bars in groups.values() for way in bars))
            made.append(Series(shown.name, shown.title, shown.unit, ways, groups))
    return made

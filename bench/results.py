"""Pure: what several runs measured, as data; medians and spreads of it."""

import statistics

import msgspec

from bench.measurement import Measurement

Medians = dict[tuple[str, str], dict[str, float]]
"""By case and way: each value's median over the runs."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with what it ran."""

    cpu: str
    cores: int
    kernel: str
    python: str
    versions: dict[str, str]
    """Of everything that takes part, by name."""
    commit: str
    load_before: float
    """Load average of the last minute, before."""
    load_after: float
    """The same, after; the run itself is in it."""
    pinned: bool
    """Whether the measured process had a core of its own."""


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of one call of ``python -m bench``."""

    command: str
    at: str
    """Day, UTC."""
    seconds: float
    """Seconds that it took in all."""
    machine: Machine
    ways: dict[str, str]
    """Ways that took part, and what was measured of each."""
    absent: dict[str, str]
    """Ways that could not run here, and why."""
    runs: list[list[Measurement]]


class Figure(msgspec.Struct, frozen=True):
    """One value over all runs."""

    median: float
    low: float
    high: float


def measurements(results: Results) -> list[Measurement]:
    """All of them, run after run."""
    return [measured for run in results.runs for measured in run]


def failures(results: Results) -> list[str]:
    """What failed, in words."""
    return [
        f"{measured.case}, {measured.way}, run {number}: {measured.failed}"
        for number, run in enumerate(results.runs, 1)
        for measured in run
        if measured.failed
    ]


def figures(found: list[Measurement]) -> dict[tuple[str, str], dict[str, Figure]]:
    """By case and way, in the order of their first appearance: each value over all runs that have it."""
    gathered: dict[tuple[str, str], dict[str, list[float]]] = {}
    for measured in found:
        if measured.failed:
            continue
        values = gathered.setdefault((measured.case, measured.way), {})
        for name, value in measured.values.items():
            values.setdefault(name, []).append(value)
    return {
        key: {name: Figure(statistics.median(each), min(each), max(each)) for name, each in values.items()}
        for key, values in gathered.items()
    }


def medians(found: list[Measurement]) -> Medians:
    """The figures' medians alone."""
    return {key: {name: figure.median for name, figure in values.items()} for key, values in figures(found).items()}

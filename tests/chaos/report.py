"""The figures of a run: a table for people, JSON for programs."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tests.chaos import trace
from tests.chaos.judge import Gaps, Silence, Verdict

if TYPE_CHECKING:
    from tests.chaos.world import World

RSS_MORE = 1.5
RSS_MORE_MB = 60.0
"""A gateway's memory is back at its level below so many times what it was, and so much for its recent window."""


class Figures(msgspec.Struct):
    """What a run counted."""

    seed: str
    seconds: float
    load_before: tuple[float, float, float]
    load_after: tuple[float, float, float] = (0.0, 0.0, 0.0)
    faults: dict[str, int] = {}
    done: dict[str, int] = {}
    skipped: dict[str, str] = {}
    devices: int = 0
    eras: list[str] = []
    events: int = 0
    perhaps: int = 0
    deliveries: int = 0
    processed: int = 0
    due: int = 0
    named_by_gap: int = 0
    fell_back_untold: int = 0
    processed_again: int = 0
    lost: int = 0
    lost_in_nats: int = 0
    repeats_on_a_connection: int = 0
    gaps: Gaps = msgspec.field(default_factory=Gaps)
    connections: int = 0
    longest_silence: Silence = Silence()
    live_after_s: float = -1.0
    rss_before_mb: list[float] = []
    rss_most_mb: float = 0.0
    rss_after_mb: list[float] = []
    violations: list[str] = []
    guilty: list[str] = []
    trace: str = ""

    def take(self, verdicts: Sequence[Verdict], longest: Silence, world: "World") -> None:
        """Add up."""
        oracle, traces = world.oracle, world.traces
        self.load_after = os.getloadavg()
        self.done, self.skipped = dict(world.counts), dict(world.skipped)
        self.devices = len(world.devices)
        self.eras = [f"{era.how}: {len(era.held)} events" for era in oracle.eras]
        self.events, self.perhaps = len(oracle.acked_s), world.source.failed
        self.deliveries, self.processed = traces.counts["deliveries"], traces.counts["Done"]
        self.connections = traces.counts["Welcomed"]
        self.repeats_on_a_connection = traces.counts["Wrong"]
        self.lost_in_nats = len(oracle.lost_in_nats)
        self.longest_silence = longest
        for verdict in verdicts:
            self.due += verdict.due
            self.named_by_gap += verdict.by_gap
            self.fell_back_untold += verdict.fell_back
            self.processed_again += verdict.again
            self.lost += len(verdict.lost)
            self.gaps.told += verdict.gaps.told
            self.gaps.justified += verdict.gaps.justified
            self.gaps.again += verdict.gaps.again
            self.gaps.unjustified += verdict.gaps.unjustified
        level_mb = max(self.rss_before_mb) * RSS_MORE + RSS_MORE_MB
        if max(self.rss_after_mb, default=0.0) > level_mb:
            told = f"{_rounded(self.rss_after_mb)} MB where {level_mb:.0f} are allowed"
            self.violations.append(f"the memory of gateways did not go back: {told}")

    def table(self) -> str:
        """Lines for a person."""
        silent = self.longest_silence
        before, after = _rounded(self.rss_before_mb), _rounded(self.rss_after_mb)
        memory = f"{before} before, {self.rss_most_mb:.0f} at most, {after} after"
        rows: list[tuple[str, object]] = [
            ("seed, seconds, devices", f"{self.seed}, {self.seconds:g}, {self.devices}"),
            ("load of the machine", f"{self.load_before[0]:.1f} before, {self.load_after[0]:.1f} after"),
            ("events stored, perhaps stored", f"{self.events}, {self.perhaps}"),
            ("deliveries on the wire, processed", f"{self.deliveries}, {self.processed}"),
            ("connections welcomed", self.connections),
            *sorted(self.done.items()),
            *((f"skipped: {kind}", why) for kind, why in self.skipped.items()),
            ("eras of the stream", "; ".join(self.eras)),
            ("due to sessions", self.due),
            ("not processed, named by a gap", self.named_by_gap),
            ("gone with an era, untold", self.fell_back_untold),
            ("processed again (crash, takeover, another stream)", self.processed_again),
            ("LOST", self.lost),
            ("lost by NATS itself", self.lost_in_nats),
            ("repeats or steps back on a connection", self.repeats_on_a_connection),
            ("gaps told, justified, of these again", f"{self.gaps.told}, {self.gaps.justified}, {self.gaps.again}"),
            ("gaps unjustified", self.gaps.unjustified),
            ("longest silence, no fault active", f"{silent.seconds:.1f} s ({silent.name})"),
            ("all live after the last fault", f"{self.live_after_s:.1f} s"),
            ("memory of gateways, MB", memory),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _rounded(values: Sequence[float]) -> str:
    return " and ".join(f"{value:.0f}" for value in values)


def keep_traces(names: Sequence[str], folder: Path, lines: dict[str, list[trace.Line]]) -> str:
    """Write the traces of these devices into the folder and give the end of the first one."""
    for name in names:
        (folder / f"{name}.trace").write_text("\n".join(trace.text(line) for line in lines[name]) + "\n")
    first = [trace.text(line) for line in lines[names[0]]] if names else []
    return "\n".join(first[-60:])

"""Pure: which cases there are, in the order in which they run."""

from collections.abc import Awaitable, Callable

from bench.cases.absence import absence
from bench.cases.broadcast import broadcast
from bench.cases.idle import idle
from bench.cases.latency import latency
from bench.cases.private import private
from bench.cases.publishing import publishing
from bench.cases.replay import replay
from bench.cases.saturation import saturation
from bench.cases.sleep import sleep
from bench.cases.storm import storm
from bench.cases.week import week
from bench.cases.workers import workers
from bench.measurement import Measurement
from bench.plan import Plan
from bench.way import Site

Case = Callable[[Site, Plan], Awaitable[list[Measurement]]]

CASES: dict[str, Case] = {
    "broadcast": broadcast,
    "saturation": saturation,
    "private": private,
    "latency": latency,
    "idle": idle,
    "replay": replay,
    "storm": storm,
    "absence": absence,
    "week": week,
    "workers": workers,
    "publishing": publishing,
    "sleep": sleep,
}
"""By name; a name is what ``--only`` takes."""
FIRST_RUN_CASES = ("private", "idle", "replay", "absence", "week", "sleep")
"""Those that take minutes and differ little from run to run."""
QUICK_CASES = ("broadcast", "private", "replay")
"""Those whose ratios are stable on any machine: ``make bench-quick``."""
QUICK_WAYS = ("floor", "tidewire", "per-session")
"""Those that are always there."""

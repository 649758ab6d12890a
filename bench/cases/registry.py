"""Pure: which cases there are, in the order in which they run."""

from collections.abc import Awaitable, Callable

from bench.cases.absence import absence
from bench.cases.broadcast import broadcast
from bench.cases.storm import storm
from bench.measurement import Measurement
from bench.plan import Plan
from bench.way import Site

Case = Callable[[Site, Plan], Awaitable[list[Measurement]]]

CASES: dict[str, Case] = {
    "broadcast": broadcast,
    "storm": storm,
    "absence": absence,
}
"""By name; a name is what ``--only`` takes."""
QUICK_CASES = ("broadcast",)
"""Those whose ratios are stable on any machine: ``make bench-quick``."""
QUICK_WAYS = ("floor", "tidewire", "per-session")
"""Those that are always there."""

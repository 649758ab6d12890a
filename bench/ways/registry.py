"""Pure: which ways there are, in the order of the tables."""

from collections.abc import Callable

from bench.way import Site, Way
from bench.ways.floor import Floor
from bench.ways.per_session import PerSession
from bench.ways.tidewire import Tidewire

WAYS: dict[str, Callable[[Site], Way]] = {
    "floor": Floor,
    "tidewire": Tidewire,
    "per-session": PerSession,
}
"""By name; a name is what ``--ways`` takes."""

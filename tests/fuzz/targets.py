"""The list of all targets."""

from tests.fuzz import stored, trust, wire
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {target.name: target for target in (*wire.TARGETS, *trust.TARGETS, *stored.TARGETS)}

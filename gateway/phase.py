"""Pure: the phases of a session."""

import enum


class Phase(enum.Enum):
    """Where a session stands; a session without a connection is parked and has no object here."""

    REPLAYING = "replaying"
    LIVE = "live"
    LAGGING = "lagging"
    ENDED = "ended"

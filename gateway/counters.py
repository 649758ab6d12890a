"""Pure: counters of a process."""

from collections import Counter


class Counters:
    """What a process counts that has no better home. Plain integers, read when somebody asks for the metrics."""

    def __init__(self) -> None:
        self.connects = 0
        self.outcomes: Counter[str] = Counter()
        self.closes: Counter[int] = Counter()
        self.tokens_refused: Counter[str] = Counter()
        self.gaps: Counter[str] = Counter()
        self.bad_frames: Counter[str] = Counter()
        self.refused_sockets: Counter[str] = Counter()
        self.events_sent = 0
        """Of sessions that have ended; the others are read from the sessions."""
        self.events_replayed = 0
        self.events_from_durables = 0
        """Events that durables have brought."""
        self.sweeps = 0
        self.events_swept = 0
        """Events that sweeps have read."""
        self.events_from_sweeps = 0
        """Events that sessions were given of what sweeps have read."""

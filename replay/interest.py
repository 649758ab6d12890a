"""Pure: the patterns a session holds, each with the sequence from which it holds.

P4.8: an event is due when its sequence is above the session's position and above that of a pattern that
matches it.
"""

from collections.abc import Mapping

from security.subjects import matches


class Interest:
    """Patterns and the sequences after which they hold."""

    __slots__ = ("since",)

    def __init__(self, since: Mapping[str, int] | None = None) -> None:
        self.since: dict[str, int] = dict(since or {})

    def is_due(self, subject: str, seq: int) -> bool:
        """Whether an event is one that a pattern here makes due (the session's own position apart)."""
        for pattern, since in self.since.items():  # noqa: SIM110  # a generator costs as much again, for each event read
            if seq > since and matches(pattern, subject):
                return True
        return False

    def start_after(self, position: int, head: int) -> int:
        """The position from which a replay must really begin: nothing is due between ``position`` and it.

        ``head`` when there is no pattern at all.
        """
        return max(position, min(self.since.values(), default=max(position, head)))

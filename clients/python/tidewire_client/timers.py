"""Pure: what a session waits for, and until when. Times are monotonic seconds; nothing here reads a clock."""

import math
from collections.abc import Iterator
from typing import Literal

Timer = Literal["retry", "silence", "probe", "ack", "calm", "refresh"]


class Timers:
    """At most one time for each name."""

    def __init__(self) -> None:
        self._due: dict[Timer, float] = {}

    @property
    def due(self) -> float:
        """The earliest time; infinity when nothing is waited for."""
        return min(self._due.values(), default=math.inf)

    def is_set(self, timer: Timer) -> bool:
        """Whether something waits for this timer."""
        return timer in self._due

    def set(self, timer: Timer, at: float) -> None:
        """Let a timer fall due at ``at``, also when it had another time."""
        self._due[timer] = at

    def set_unless_set(self, timer: Timer, at: float) -> None:
        """Let a timer fall due at ``at``; one that runs keeps its time."""
        self._due.setdefault(timer, at)

    def is_due(self, timer: Timer, now: float) -> bool:
        """Whether this timer has fallen due and was not taken yet."""
        return self._due.get(timer, math.inf) <= now

    def hasten(self, timer: Timer, now: float, within_s: float) -> None:
        """Let a timer fall due in ``within_s`` at the latest; one that is due earlier, and not past, keeps its time."""
        at = now + within_s
        self._due[timer] = at if self.is_due(timer, now) else min(at, self._due.get(timer, at))

    def stop(self, timer: Timer) -> None:
        """Let a timer not fall due any more. One that does not run changes nothing."""
        self._due.pop(timer, None)

    def stop_all(self, *, but: Timer | None = None) -> None:
        """Stop every timer, and let only ``but`` keep its time."""
        self._due = {timer: at for timer, at in self._due.items() if timer == but}

    def take(self, now: float) -> Iterator[tuple[Timer, float]]:
        """Stop and yield what is due, earliest first. What one of them stops or sets anew is not yielded any more."""
        for timer, at in sorted(self._due.items(), key=lambda item: item[1]):
            if at <= now and self._due.get(timer) == at:
                del self._due[timer]
                yield timer, at

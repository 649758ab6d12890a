"""Things on their way in a simulated network or server: each takes its time, none overtakes another."""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random

SAME_TIME_S = 1e-9
"""The event loop calls a timer that much too early."""


class Passage:
    """A way on which steps travel in order; arriving is being called."""

    def __init__(self, delay: Callable[[], float]) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._steps: deque[tuple[float, Callable[[], None]]] = deque()
        self._newest_s = 0.0
        self._held_until_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def held_s(self) -> float:
        """Seconds for which nothing arrives."""
        return max(0.0, self._held_until_s - self._loop.time() - SAME_TIME_S)

    def send(self, step: Callable[[], None]) -> None:
        """Let a step arrive after its delay, and after all that were sent before it."""
        self._newest_s = max(self._newest_s, self._loop.time() + self._delay())
        self._steps.append((self._newest_s, step))
        if self._timer is None:
            self._arm()

    def hold(self, for_s: float) -> None:
        """Let nothing arrive for so long; ``float("inf")`` until ``release``."""
        self._held_until_s = max(self._held_until_s, self._loop.time() + for_s)
        self._arm()

    def release(self) -> None:
        """End a hold."""
        self._held_until_s = 0.0
        self._arm()

    def flush(self) -> None:
        """Let everything that is on its way arrive now."""
        while self._steps:
            self._steps.popleft()[1]()

    def lose(self, random: Random) -> None:
        """The way breaks: by chance some of the first steps arrive, the others never do."""
        arriving = random.randint(0, len(self._steps))
        steps, self._steps = list(self._steps)[:arriving], deque()
        for _, step in steps:
            step()

    def clear(self) -> None:
        """What is on its way never arrives."""
        self._steps.clear()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._steps and self._held_until_s != float("inf"):
            self._timer = self._loop.call_at(max(self._steps[0][0], self._held_until_s), self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        while self._steps and self._steps[0][0] <= self._loop.time() + SAME_TIME_S and not self.held_s:
            self._steps.popleft()[1]()
        if self._timer is None:
            self._arm()

"""Shell: so many steps in one turn of the event loop, and no more: a crowd's handshakes hold up nobody's events."""

import asyncio
from collections import deque
from collections.abc import Callable

Step = Callable[[], None]


class Turns:
    """Takes steps, in order. Those beyond ``most`` wait for the loop's next turn."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._waiting: deque[Step] = deque()
        self._loop = asyncio.get_running_loop()

    def take(self, step: Step) -> None:
        """Take a step now, or when it is its turn. It must not raise."""
        if not self._left:
            self._waiting.append(step)
            return
        if self._left == self._most:
            self._loop.call_soon(self._begin)
        self._left -= 1
        step()

    def _begin(self) -> None:
        """A new turn: those who wait come first."""
        self._left = self._most
        waiting = self._waiting
        while waiting and self._left:
            self.take(waiting.popleft())

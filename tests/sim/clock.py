"""An asyncio loop whose time is a number: it jumps to whatever is due next, so virtual hours pass in seconds.

Nothing outside the process is waited for. Callbacks that are due at the same moment run in the order in which they
were asked for, so that a run repeats exactly. Wall time and chance, which the shells of the gateway read, are the
world's while it runs.
"""

import asyncio
import contextlib
import secrets
import selectors
import time
from collections.abc import Coroutine, Iterator
from random import Random
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")

UNIX_S = 1_795_420_000
"""Wall time at which every world begins, seconds since 1970."""
TURNS_MOST = 100_000
"""Turns of the loop in one moment of virtual time; more is a loop that never ends."""


class Stuck(AssertionError):
    """Nothing is due and nobody can go on: a wake-up was lost."""


class _NoSelector(selectors.BaseSelector):
    """Watches no file; ``select`` is where time passes."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._turns = 0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, fd, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[fileobj]

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("nothing is due any more")
        if timeout > 0:
            self.now_s += timeout
            self._turns = 0
        self._turns += 1
        if self._turns > TURNS_MOST:
            raise Stuck(f"time stands still at {self.now_s:.3f} s")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop of one world."""

    def __init__(self) -> None:
        self._virtual = _NoSelector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds since the world began."""
        return self._virtual.now_s

    def unix_s(self) -> float:
        """The gateways' wall time."""
        return UNIX_S + self.time()


def run(main: Coroutine[Any, Any, T], random: Random) -> T:
    """Run a world to its end in virtual time. ``random`` stands in for the system's chance."""
    loop = VirtualLoop()
    with _ruled_by(loop, random):
        try:
            asyncio.set_event_loop(loop)
            return loop.run_until_complete(main)
        finally:
            _end(loop)
            asyncio.set_event_loop(None)
            loop.close()


def _end(loop: VirtualLoop) -> None:
    """Cancel what is left; what that makes in its turn is cancelled too."""
    loop.set_exception_handler(lambda _loop, _context: None)
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks, timeout=1))


@contextlib.contextmanager
def _ruled_by(loop: VirtualLoop, random: Random) -> Iterator[None]:
    """Let the world's clock and dice answer those who ask the system."""
    with (
        mock.patch.object(time, "time", loop.unix_s),
        mock.patch.object(time, "time_ns", lambda: int(loop.unix_s() * 1e9)),  # noqa: PT008 - the time moves
        mock.patch.object(time, "monotonic", loop.time),
        mock.patch.object(secrets, "token_hex", lambda size=16: f"{random.getrandbits(size * 8):0{size * 2}x}"),
        mock.patch.object(secrets, "randbits", random.getrandbits),
    ):
        yield

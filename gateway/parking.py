"""Shell: durables made when a session opens and parked some time after its client has left, in the background.

A client that is back within ``park_after_s`` costs JetStream nothing. What cannot be done now is tried again later;
what never gets done costs nothing but its line in a report: replay places a durable itself before it reads.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable

from replay.durable import Durable, Durables
from replay.interest import Interest
from security.errors import LimitReached, UpstreamUnavailable

log = logging.getLogger(__name__)

RETRY_S = 5.0
"""Seconds until a failed job is tried again."""
TRIES = 3
"""How often a job is tried."""
WORKERS = 4
"""Jobs at once."""

Job = Callable[[], Awaitable[None]]


class Parking:
    """One pending job a session: the newest."""

    def __init__(self, durables: Durables, *, park_after_s: float) -> None:
        self._durables = durables
        self._park_after_s = park_after_s
        self._jobs: dict[str, tuple[int, Job, int]] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._running = 0
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._jobs) + self._running

    def make_soon(self, key: str, durable: Durable, interest: Interest) -> None:
        """Make the durable of a session that has just opened."""
        patterns = Interest(interest.since)
        self._put(key, lambda: durable.make(patterns), 0.0, TRIES)

    def park_later(
        self, key: str, durable: Durable, through: int, interest: Interest, is_ours: Callable[[], Awaitable[bool]]
    ) -> None:
        """Place the durable behind ``through`` once the client has stayed away for ``park_after_s``.

        ``is_ours`` is asked just before: a session that has gone on elsewhere is parked by whoever serves it last.
        """
        patterns = Interest(interest.since)

        async def park() -> None:
            if await is_ours():
                await durable.park(through, patterns)

        self._put(key, park, self._park_after_s, TRIES)

    def cancel(self, key: str) -> None:
        """The client is back."""
        self._jobs.pop(key, None)

    async def run(self) -> None:
        """Do what is due, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def flush(self) -> None:
        """Do everything now, once, as far as NATS lets us: before the process ends."""
        jobs, self._jobs = list(self._jobs.items()), {}
        gate = asyncio.Semaphore(WORKERS)

        async def once(key: str, job: Job) -> None:
            async with gate:
                await self._try(key, job)

        await asyncio.gather(*(once(key, job) for key, (_, job, _) in jobs))

    def _put(self, key: str, job: Job, after_s: float, tries: int) -> None:
        number = next(self._numbers)
        self._jobs[key] = (number, job, tries)
        heapq.heappush(self._heap, (self._loop.time() + after_s, number, key))
        self._wake.set()

    async def _work(self) -> None:
        while True:
            wait_s = self._heap[0][0] - self._loop.time() if self._heap else 3_600.0
            if wait_s > 0:
                self._wake.clear()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            _, number, key = heapq.heappop(self._heap)
            pending = self._jobs.get(key)
            if pending is None or pending[0] != number:
                continue
            del self._jobs[key]
            _, job, tries = pending
            if not await self._try(key, job) and tries > 1 and key not in self._jobs:
                self._put(key, job, RETRY_S, tries - 1)

    async def _try(self, key: str, job: Job) -> bool:
        self._running += 1
        try:
            await job()
        except (UpstreamUnavailable, LimitReached) as error:
            log.warning("a durable could not be placed", extra={"durable": key, "error": str(error)})
            return False
        finally:
            self._running -= 1
        return True

"""Shell: reads of durables, as many at once as admission grants."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from replay.admission import Admission

Job = Callable[[], Awaitable[None]]


class Replays:
    """One read is one turn: after each batch a session asks again, behind those who wait."""

    def __init__(self, most: int, most_per_tenant: int) -> None:
        self._admission: Admission[Hashable] = Admission(most, most_per_tenant)
        self._asked: dict[Hashable, tuple[str, Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Reads under way."""
        return self._admission.running

    @property
    def waiting(self) -> int:
        """Reads that wait for their turn."""
        return self._admission.waiting

    def ask(self, who: Hashable, tenant: str, job: Job) -> None:
        """Do ``job`` when the turn of ``who`` comes; one at a time for each."""
        self._asked[who] = tenant, job
        if self._admission.ask(who, tenant):
            self._start(who)

    def leave(self, who: Hashable) -> None:
        """``who`` has gone: its place in the queue is free. A job under way goes on."""
        if self._asked.pop(who, None) is not None:
            self._admission.leave(who)

    async def settle(self) -> None:
        """Wait for the jobs that are under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def _start(self, who: Hashable) -> None:
        tenant, job = self._asked.pop(who)
        task = asyncio.create_task(self._run(tenant, job), name="replay")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, tenant: str, job: Job) -> None:
        try:
            await job()
        finally:
            for granted in self._admission.give_back(tenant):
                self._start(granted)

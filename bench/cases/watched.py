"""Shell: live sessions with a steady trickle of events, which show what something else does to them.

Each group is a load client of its own, so that its clock is not held up by the crowd's.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from bench.cases.course import tokens
from bench.plan import Plan
from bench.process import Child
from bench.way import Site
from bench.ways.jetstream import JetStream

T = TypeVar("T")


class Watched:
    """Groups of ``plan.watched`` sessions, numbered from ``first``."""

    def __init__(self, plan: Plan, first: int, groups: list[Child], publisher: Child) -> None:
        self._plan = plan
        self._first = first
        self._groups = groups
        self._publisher = publisher
        self._rounds = 0

    async def steady(self, rounds: int) -> list[dict[str, float]]:
        """Latencies of each group over so many events to each session."""
        for _ in range(rounds):
            await self._round()
        return await self._latencies()

    async def during(self, work: Awaitable[T]) -> tuple[T, list[dict[str, float]]]:
        """Do the work; returns what it gave, and the latencies of each group meanwhile."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await self._round()
            return await task, await self._latencies()
        finally:
            task.cancel()

    async def _round(self) -> None:
        """One event to each session, at the trickle's rate."""
        count = len(self._groups) * self._plan.watched
        order = {"to": "sessions", "first": self._first, "sessions": count, "events": count}
        await self._publisher.ask(self._plan.patience_s, do="publish", rate=self._plan.watched_rate, **order)
        self._rounds += 1

    async def _latencies(self) -> list[dict[str, float]]:
        patience_s = self._plan.patience_s
        asked = {"each": self._rounds, "within_s": patience_s - 5}
        return [await group.ask(patience_s, do="expect", **asked) for group in self._groups]


@asynccontextmanager
async def watched(site: Site, plan: Plan, jetstream: JetStream, first: int, ports: list[int]) -> AsyncIterator[Watched]:
    """One group live on each of these ports; each port is a gateway's."""
    every = tokens(site, first + len(ports) * plan.watched)
    log, nats, patience_s = jetstream.folder / "watched.log", jetstream.nats, plan.patience_s
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(Child("bench.publish_process", on=site.rest_on, log=log))
        await publisher.ask(30, do="connect", url=nats.url, password=nats.password("publisher").reveal())
        groups = []
        for number, port in enumerate(ports):
            begin = first + number * plan.watched
            group = await stack.enter_async_context(Child("bench.load_client", on=site.rest_on, log=log))
            mine = every[begin : begin + plan.watched]
            await group.ask(30, do="begin", ca=str(site.keys.ca), counting=True, tokens=mine, first=begin)
            await group.ask(10, do="target", port=port)
            await group.ask(patience_s, do="open", first=0, last=plan.watched)
            await group.ask(patience_s, do="hello", first=0, last=plan.watched, within_s=patience_s - 5)
            groups.append(group)
        yield Watched(plan, first, groups, publisher)

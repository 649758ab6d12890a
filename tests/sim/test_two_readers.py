"""Gateways that read, or park, one durable at the same time: nobody misses what the other has taken.

A gateway that has not heard yet that its client is at another one reads on for it, each of its calls as late as chance
has it. The one that serves the client must get every event all the same.
"""

import asyncio
from random import Random
from typing import Any, TypeVar

import pytest

from mesh.api import Api
from mesh.link import Link
from mesh.pull import Puller, PullResult
from replay.catchup import Read
from replay.durable import Durable, Durables
from replay.interest import Interest
from replay.record import Owner, session_key
from security.subjects import matches
from tests.sim import clock
from tests.sim.nats import Nats

T = TypeVar("T")

SEEDS = 60
EVENTS = 60
LATE_S = (0.0, 0.0, 0.01, 0.1, 0.4)
SUBJECTS = ("orders.c1.o1", "orders.c1.o2", "orders.c2.o1", "events.all")
PATTERNS = (("orders.c1.>",), ("orders.c1.>", "events.all"), ("orders.c1.o1", "orders.c1.o2", "events.none"))
OWNER = Owner("sim", "c1", "phone")


class LateApi(Api):
    """Each call is made when chance has it."""

    def __init__(self, link: Link, random: Random) -> None:
        super().__init__(link)
        self._random = random

    async def call(self, verb: str, *more: Any, **named: Any) -> Any:
        await asyncio.sleep(self._random.choice(LATE_S))
        return await super().call(verb, *more, **named)


class LatePuller(Puller):
    """So is each pull."""

    random: Random

    async def pull(self, consumer: str, batch: int, **more: Any) -> PullResult:
        await asyncio.sleep(self.random.choice(LATE_S))
        return await super().pull(consumer, batch, **more)


class Meeting:
    """A client's catch-up in one gateway, while others lay hands on its durable."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._nats = Nats(random)
        self._interest = Interest(dict.fromkeys(random.choice(PATTERNS), 0))
        self._batch = random.choice([1, 3, 3, 7])

    async def run(self) -> None:
        """Read to the end; what came must be all that is due."""
        for _ in range(EVENTS):
            self._nats.publish(self._random.choice(SUBJECTS), b"{}")
        await asyncio.sleep(0.1)
        others = [asyncio.create_task(self._get_in_the_way(await self._durable())) for _ in range(2)]
        due = [seq for seq, (subject, _) in self._nats.events.items() if self._is_due(subject)]
        assert await self._read_all(await self._durable()) == due
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _is_due(self, subject: str) -> bool:
        return any(matches(pattern, subject) for pattern in self._interest.since)

    async def _durable(self) -> Durable:
        link = self._nats.link("gateway")
        await link.start()
        puller = LatePuller(link, "EVENTS")
        puller.random = self._random
        await puller.start()
        durables = Durables(LateApi(link, self._random), puller, "EVENTS", inactive_threshold_s=600)
        return durables.durable(session_key(OWNER), OWNER, self._nats.identity)

    async def _read_all(self, durable: Durable) -> list[int]:
        seqs: list[int] = []
        after = 0
        while after < EVENTS:
            result = await durable.read(after, self._interest, EVENTS, EVENTS, batch=self._batch, max_bytes=0)
            if isinstance(result, Read):
                assert not result.holes
                seqs += [event.seq for event in result.events]
                after = result.reached
            await asyncio.sleep(self._random.choice(LATE_S))
        return seqs

    async def _get_in_the_way(self, durable: Durable) -> None:
        for _ in range(self._random.randint(1, 6)):
            after = self._random.randrange(EVENTS)
            if self._random.random() < 0.2:
                await durable.park(after, self._interest)
            else:
                await durable.read(after, self._interest, EVENTS, EVENTS, batch=self._batch, max_bytes=0)
            await asyncio.sleep(self._random.choice(LATE_S))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_who_serves_the_client_gets_every_event(seed: int) -> None:
    """P4.2."""
    random = Random(seed)

    async def meet() -> None:
        await Meeting(random).run()

    clock.run(meet(), random)

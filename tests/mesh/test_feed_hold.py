"""A feed whose deliveries are dear: what is published together comes together, and nothing else changes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from mesh.api import Api
from mesh.contiguity import Hole
from mesh.embedded import EmbeddedServer
from mesh.event import StoredEvent
from mesh.feed import Feed, FeedSettings
from tests.servers import linked
from tests.system.raw_nats import RawMessage, publish_raw
from tests.until import until

LONG = FeedSettings(heartbeat_s=60.0, expires_s=300.0, silent_s=90.0, probe_s=90.0, hold_s=60.0, hold_most=3)
"""Nothing but what a test does ends the wait."""


class Dear:
    """What a feed delivers, each time by itself; it says that it was dear."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        self.told: list[list[int] | Hole] = []
        self.is_dear = True
        self.feed: Feed

    def deliver(self, events: list[StoredEvent]) -> bool:
        self.told.append([event.seq for event in events])
        return self.is_dear

    async def publish(self) -> int:
        """One event; it has come when this returns, delivered or not."""
        (seq,) = await publish_raw(self.server, RawMessage(b"orders.feed.hold", b"{}"))
        await until(lambda: self.feed.head >= seq)
        return seq


@contextlib.asynccontextmanager
async def reading(server: EmbeddedServer, settings: FeedSettings) -> AsyncIterator[Dear]:
    async with linked(server, user="gateway") as link:
        dear = Dear(server)
        feed = dear.feed = Feed(link, Api(link), settings, deliver=dear.deliver, hole=dear.told.append)
        task = asyncio.create_task(feed.run(lambda info: info.state.last_seq + 1))
        await until(feed.caught_up.is_set)
        try:
            yield dear
            assert not task.done(), task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await feed.close()


async def test_the_first_comes_at_once_and_those_behind_it_together(nats_server: EmbeddedServer) -> None:
    async with reading(nats_server, LONG) as dear:
        first = await dear.publish()
        assert dear.told == [[first]]
        seqs = [await dear.publish(), await dear.publish()]
        assert dear.told == [[first]]
        seqs.append(await dear.publish())
        assert dear.told == [[first], seqs]


async def test_the_wait_ends(nats_server: EmbeddedServer) -> None:
    async with reading(nats_server, msgspec.structs.replace(LONG, hold_s=0.01)) as dear:
        first, second = await dear.publish(), await dear.publish()
        await until(lambda: dear.told == [[first], [second]])


async def test_what_was_cheap_is_not_waited_for(nats_server: EmbeddedServer) -> None:
    async with reading(nats_server, LONG) as dear:
        dear.is_dear = False
        assert [[await dear.publish()], [await dear.publish()]] == dear.told


async def test_a_question_to_the_leader_finds_nothing_amiss_meanwhile(nats_server: EmbeddedServer) -> None:
    """What has come and waits is no event that took the place of another."""
    async with reading(nats_server, LONG) as dear:
        first, second = await dear.publish(), await dear.publish()
        assert dear.told == [[first]]
        dear.feed.look_soon()
        await until(lambda: dear.told == [[first], [second]])
        third = await dear.publish()
        fourth = await dear.publish()
        fifth = await dear.publish()
        assert dear.told[2:] == [[third, fourth, fifth]]


async def test_what_waits_comes_before_the_hole_behind_it(nats_server: EmbeddedServer) -> None:
    async with reading(nats_server, LONG) as dear:
        first, second = await dear.publish(), await dear.publish()
        dear.feed._skip(second + 2)  # as when the leader says that the newest events were deleted
        assert dear.told == [[first], [second], Hole(second, second + 3, "deleted")]


async def test_a_feed_that_ends_delivers_no_more(nats_server: EmbeddedServer) -> None:
    async with reading(nats_server, LONG) as dear:
        first = await dear.publish()
        await dear.publish()
        held = dear.feed._holding
    assert dear.told == [[first]]
    assert held is not None
    assert held.cancelled()

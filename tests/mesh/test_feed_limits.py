"""A feed whose questions cannot be asked, or whose leader lags: it goes on, and believes no single answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest

from mesh import feed as feed_module
from mesh.api import Api, ApiError, StreamInfo
from mesh.contiguity import Hole
from mesh.embedded import EmbeddedServer
from mesh.event import StoredEvent
from mesh.feed import Feed, FeedSettings
from mesh.link import Link
from security.errors import LimitReached, StreamReplaced
from tests.servers import linked
from tests.system.raw_nats import RawMessage, publish_raw
from tests.until import until

QUICK = FeedSettings(heartbeat_s=0.05, silent_s=10.0, probe_s=0.05)


class OddApi(Api):
    """The leader's answers about the stream, of which some are not what they ought to be."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.full = 0
        """So many questions find the queue full."""
        self.lagging: list[str] = []
        """Leaders that answer the next questions and have applied nothing yet; an empty name: none is known."""
        self.always_lags: str | None = None
        """A leader that answers all the others, and has applied nothing."""

    async def stream_info(self, stream: str) -> StreamInfo | ApiError:
        if self.full:
            self.full -= 1
            raise LimitReached("more than 0 JetStream calls wait")
        info = await super().stream_info(stream)
        leader = self.lagging.pop(0) if self.lagging else self.always_lags
        if leader is None or isinstance(info, ApiError):
            return info
        state = msgspec.structs.replace(info.state, last_seq=0)
        return msgspec.structs.replace(info, state=state, cluster=msgspec.structs.replace(info.cluster, leader=leader))


class Reading:
    """A running feed of all that is published from now on."""

    def __init__(self, server: EmbeddedServer, link: Link) -> None:
        self.server = server
        self.api = OddApi(link)
        self.told: list[StoredEvent | Hole] = []
        self.feed = Feed(link, self.api, QUICK, deliver=self.told.extend, hole=self.told.append)
        self.task: asyncio.Task[None] | None = None

    def start(self) -> "asyncio.Task[None]":
        self.task = asyncio.create_task(self.feed.run(lambda info: info.state.last_seq + 1))
        return self.task

    async def reads_on(self) -> None:
        """What is published now arrives, and nothing else."""
        before = len(self.told)
        seqs = await publish_raw(self.server, *(RawMessage(b"orders.feed.o%d" % n, b"{}") for n in range(3)))

        def has_come() -> bool:
            assert self.task is not None
            assert not self.task.done(), self.task
            return self.feed.head >= seqs[-1]

        await until(has_come)
        assert [each.seq for each in self.told[before:] if isinstance(each, StoredEvent)] == seqs
        assert len(self.told) == before + 3


@contextlib.asynccontextmanager
async def reading(server: EmbeddedServer) -> AsyncIterator[Reading]:
    async with linked(server, user="gateway") as link:
        made = Reading(server, link)
        try:
            yield made
        finally:
            if made.task is not None:
                made.task.cancel()
                await asyncio.gather(made.task, return_exceptions=True)
            await made.feed.close()


async def test_a_full_queue_of_calls_does_not_end_a_feed_that_begins(nats_server: EmbeddedServer) -> None:
    async with reading(nats_server) as read:
        read.api.full = 2
        task = read.start()
        async with asyncio.timeout(10):
            await read.feed.caught_up.wait()
        assert read.api.full == 0
        assert not task.done()
        await read.reads_on()


async def test_a_full_queue_of_calls_does_not_end_a_feed_that_asks_its_leader(nats_server: EmbeddedServer) -> None:
    async with reading(nats_server) as read:
        task = read.start()
        async with asyncio.timeout(10):
            await read.feed.caught_up.wait()
        read.api.full = 1
        await until(lambda: task.done() or not read.api.full)
        await read.reads_on()
        await until(lambda: read.feed.restarts == 1)


@pytest.mark.parametrize("leaders", [["a"], ["a", "b", "c"], ["", ""]])
async def test_leaders_that_lag_for_a_moment_are_not_believed(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, leaders: list[str]
) -> None:
    monkeypatch.setattr(feed_module, "FALLEN_S", 0.0)  # a second answer of the same leader would be believed at once
    async with reading(nats_server) as read:
        task = read.start()
        await read.feed.caught_up.wait()
        await read.reads_on()
        read.api.lagging = list(leaders)
        await until(lambda: task.done() or not read.api.lagging)
        await read.reads_on()


async def test_an_answer_in_between_that_is_right_clears_a_leader(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "FALLEN_S", 0.0)
    async with reading(nats_server) as read:
        task = read.start()
        await read.feed.caught_up.wait()
        await read.reads_on()
        for _ in range(2):
            read.api.lagging = ["a"]
            await until(lambda: task.done() or not read.api.lagging)
            await read.reads_on()
            asked = read.api.calls["STREAM.INFO"]
            await until(lambda asked=asked: task.done() or read.api.calls["STREAM.INFO"] > asked + 1)  # type: ignore[misc]
        await read.reads_on()


async def test_a_leader_that_insists_is_believed_after_a_while(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(feed_module, "FALLEN_S", 0.4)
    async with reading(nats_server) as read:
        task = read.start()
        await read.feed.caught_up.wait()
        await read.reads_on()
        read.api.always_lags = "a"
        begun = loop.time()
        with pytest.raises(StreamReplaced, match="fell back"):
            async with asyncio.timeout(10):
                await task
        assert loop.time() - begun >= 0.4

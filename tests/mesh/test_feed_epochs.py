"""A stream that lost its newest events and has others in their place: whoever reads it notices, and all agree."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from mesh import feed as feed_module
from mesh.api import NO_MESSAGE, Api, ApiError, StoredMessage, StreamInfo
from mesh.contiguity import Hole
from mesh.embedded import EmbeddedServer
from mesh.epoch import Witness
from mesh.epochs import EPOCH_SUBJECT, Epochs
from mesh.event import StoredEvent
from mesh.feed import Feed, FeedSettings
from mesh.kv import Bucket, Entry
from mesh.link import Link
from mesh.topology import Topology
from security.errors import StreamReplaced, UpstreamUnavailable
from tests.older_copy import OlderCopy
from tests.servers import link_settings, linked, running_server
from tests.system.raw_nats import RawMessage, publish_raw
from tests.tcp_proxy import TcpProxy
from tests.until import until

QUICK_LINK = {"heartbeat_s": 0.2, "dead_after_s": 2.0, "backoff_max_s": 0.1, "connect_s": 1.0}
QUICK = FeedSettings(heartbeat_s=0.1, silent_s=0.6, probe_s=0.2, expires_s=2.0)
UNASKING = msgspec.structs.replace(QUICK, silent_s=10.0, probe_s=60.0)
"""For tests in which the feed must not ask by itself."""


class OwnServer:
    """A server whose stream can be put back to an older state, and a way to it that can be shut."""

    def __init__(self, server: EmbeddedServer, proxy: TcpProxy, folder: Path) -> None:
        self.server = server
        self.proxy = proxy
        self.copy = OlderCopy(server, folder / "copy")

    async def publish(self, count: int) -> list[int]:
        return await publish_raw(self.server, *(RawMessage(b"orders.c1.o%d" % n, b"{}") for n in range(count)))

    async def ask(self, verb: str, body: object = None) -> None:
        async with linked(self.server) as link:
            answer = await Api(link).call(verb, "EVENTS", body, dict[str, object])
            assert isinstance(answer, dict), answer

    def shut(self) -> None:
        """Cut every connection, and let none come back."""
        self.proxy.refusing = True
        self.proxy.cut()

    async def put_back(self, *, bucket_too: bool, grown_by: int) -> None:
        """Put the copy back, and let the stream grow before anybody looks."""
        self.shut()
        await self.copy.put_back(bucket_too=bucket_too)
        await self.publish(grown_by)
        self.proxy.refusing = False

    async def lose(self, first: int, last: int) -> None:
        """Delete single events."""
        for seq in range(first, last + 1):
            await self.ask("STREAM.MSG.DELETE", {"seq": seq, "no_erase": True})


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[OwnServer]:
    async with running_server(tmp_path / "nats", topology=Topology()) as server, TcpProxy(server.port) as proxy:
        yield OwnServer(server, proxy, tmp_path)


class Gateway:
    """A link of its own, what it knows of epochs, and feeds one after the other."""

    def __init__(self, link: Link, settings: FeedSettings, api: Api) -> None:
        self.link = link
        self.api = api
        self.bucket = Bucket(link, Api(link), "cursors")
        self.epochs = Epochs(link, self.bucket)
        self.told: list[StoredEvent | Hole] = []
        self._settings = settings
        self.feed = self._made()
        self.task: asyncio.Task[None] | None = None

    def _made(self) -> Feed:
        return Feed(
            self.link,
            self.api,
            self._settings,
            deliver=self.told.extend,
            hole=self.told.append,
            epochs=self.epochs,
        )

    def start(self, first: int = 1) -> None:
        self.task = asyncio.create_task(self.feed.run(lambda _: first))

    async def reads(self, seq: int, first: int = 1) -> None:
        """Begin where nothing was begun, and read up to a sequence."""
        if self.task is None:
            self.start(first)

        def is_there() -> bool:
            assert self.task is not None
            if self.task.done():
                self.task.result()
            return self.feed.head >= seq

        await until(is_there)

    def is_paused(self) -> bool:
        """Whether nothing came since the last heartbeat; an older pause that is being asked about does not count."""
        return self.feed._paused[-1:] == [self.feed._newest]

    async def replaced(self) -> str:
        """What the feed says of a stream that fell back."""
        assert self.task is not None
        with pytest.raises(StreamReplaced) as raised:
            async with asyncio.timeout(10):
                await self.task
        return str(raised.value)

    async def reads_anew(self, seq: int) -> str:
        """A new feed up to a sequence, over what the one before told; the new identity."""
        await self.feed.close()
        self.feed, self.task = self._made(), None
        self.told.clear()
        await self.reads(seq)
        assert self.seqs == list(range(1, seq + 1))
        return self.feed.identity

    async def keep(self) -> None:
        """Write down what was read last."""
        assert self.feed.epoch is not None
        assert await self.epochs.keep(self.feed.epoch, self.feed.witness)

    @property
    def seqs(self) -> list[int]:
        return [each.seq for each in self.told if isinstance(each, StoredEvent)]


@contextlib.asynccontextmanager
async def gateway(
    own: OwnServer, settings: FeedSettings = QUICK, api: type[Api] = Api, url: str | None = None
) -> AsyncIterator[Gateway]:
    wanted = link_settings(own.server, user="gateway")
    async with Link(msgspec.structs.replace(wanted, servers=(url or own.proxy.url,), **QUICK_LINK)) as link:
        made = Gateway(link, settings, api(link))
        try:
            yield made
        finally:
            if made.task is not None:
                made.task.cancel()
                await asyncio.gather(made.task, return_exceptions=True)
            with contextlib.suppress(UpstreamUnavailable):
                await made.feed.close()


@pytest.mark.parametrize("bucket_too", [False, True])
@pytest.mark.parametrize("grown_by", [5, 9])
async def test_a_stream_that_fell_back_and_grew_past_the_feed_is_noticed(
    own: OwnServer, *, bucket_too: bool, grown_by: int
) -> None:
    await own.publish(5)
    await own.copy.take()
    async with gateway(own) as one:
        await own.publish(5)
        await one.reads(10)
        before = one.feed.identity
        await own.put_back(bucket_too=bucket_too, grown_by=grown_by)
        assert "has another event there" in await one.replaced()
        assert one.seqs == list(range(1, 11)), "nothing of the other events was told"
        assert await one.reads_anew(5 + grown_by) != before


async def test_gateways_that_notice_at_the_same_time_have_one_epoch(own: OwnServer) -> None:
    await own.publish(5)
    await own.copy.take()
    async with gateway(own) as one, gateway(own) as two:
        await own.publish(5)
        await asyncio.gather(one.reads(10), two.reads(10))
        before = one.feed.identity
        assert two.feed.identity == before
        await own.put_back(bucket_too=False, grown_by=9)
        await asyncio.gather(one.replaced(), two.replaced())
        identities = set(await asyncio.gather(one.reads_anew(14), two.reads_anew(14)))
        assert len(identities) == 1
        assert before not in identities


@pytest.mark.parametrize("grown_by", [2, 9])
async def test_a_gateway_that_starts_afterwards_knows_from_the_bucket(
    own: OwnServer, monkeypatch: pytest.MonkeyPatch, grown_by: int
) -> None:
    monkeypatch.setattr(feed_module, "FALLEN_S", 0.2)
    await own.publish(5)
    await own.copy.take()
    async with gateway(own) as one:
        await own.publish(5)
        await one.reads(10)
        before = one.feed.identity
        await one.keep()
    await own.put_back(bucket_too=False, grown_by=grown_by)
    async with gateway(own) as late:
        late.start()
        assert "fell back" in await late.replaced()
        assert late.told == []
        assert await late.reads_anew(5 + grown_by) != before


async def test_a_gateway_that_starts_on_an_unchanged_stream_has_the_same_identity(own: OwnServer) -> None:
    await own.publish(5)
    async with gateway(own) as one:
        await one.reads(5)
        await one.keep()
        before = one.feed.identity
    await own.server.kill()
    await own.server.start()
    await own.publish(2)
    async with gateway(own) as late:
        await late.reads(7)
        assert late.feed.identity == before


async def test_what_only_another_gateway_had_read_is_missed_too(own: OwnServer) -> None:
    async with gateway(own, url=own.server.url) as one, gateway(own) as behind:
        await own.publish(3)
        await asyncio.gather(one.reads(3), behind.reads(3))
        own.shut()
        await own.publish(2)
        await own.copy.take()
        await own.publish(5)
        await one.reads(10)
        await one.keep()
        assert one.task is not None
        one.task.cancel()
        await own.put_back(bucket_too=False, grown_by=9)
        assert "below 10 and has another" in await behind.replaced()
        assert behind.seqs == [1, 2, 3]


async def test_who_hears_of_a_new_epoch_reads_anew_at_once(own: OwnServer) -> None:
    async with gateway(own, UNASKING) as one:
        await own.publish(3)
        await one.reads(3)
        await one.link.tap(EPOCH_SUBJECT, lambda *_: one.feed.look_soon())
        assert one.feed.epoch is not None
        await Epochs(one.link, one.bucket).begin(one.feed.epoch.created)
        assert "another epoch" in await one.replaced()
        await one.reads_anew(3)


async def test_who_heard_nothing_learns_of_a_new_epoch_by_asking(own: OwnServer) -> None:
    async with gateway(own) as one:
        await own.publish(3)
        await one.reads(3)
        assert one.feed.epoch is not None
        await Epochs(one.link, one.bucket).begin(one.feed.epoch.created)
        assert "another epoch" in await one.replaced()


async def test_a_feed_that_is_stopped_tells_nothing_more(own: OwnServer) -> None:
    async with gateway(own, UNASKING) as one:
        await own.publish(3)
        await one.reads(3)
        one.feed.stop("told so")
        await own.publish(3)
        assert await one.replaced() == "told so"
        assert one.seqs == [1, 2, 3]


async def test_a_hole_that_is_none_any_more_is_noticed(own: OwnServer) -> None:
    await own.publish(5)
    await own.copy.take()
    async with gateway(own) as one:
        await one.reads(5)
        own.shut()
        await own.publish(5)
        await own.lose(6, 10)
        own.proxy.refusing = False
        await one.reads(10)
        assert one.told[5:] == [Hole(5, 11, "deleted")]
        await own.put_back(bucket_too=False, grown_by=9)
        assert "fell back below 6, where there was none" in await one.replaced()


async def test_a_feed_that_began_on_an_empty_stream_notices(own: OwnServer) -> None:
    await own.publish(5)
    await own.copy.take()
    await own.publish(5)
    await own.ask("STREAM.PURGE")
    async with gateway(own) as one:
        await one.reads(10, first=11)
        assert one.told == []
        await own.put_back(bucket_too=False, grown_by=9)
        assert "where there was none" in await one.replaced()


async def test_a_witness_that_was_deleted_proves_nothing(own: OwnServer) -> None:
    async with gateway(own) as one:
        await own.publish(5)
        await one.reads(5)
        await one.keep()
        await own.lose(5, 5)
        own.proxy.cut()
        await own.publish(2)
        await one.reads(7)
        assert one.feed.restarts > 0
        assert one.seqs == list(range(1, 8))
        await one.keep()
        assert one.feed.witness == Witness(7, one.told[-1].time_ns if isinstance(one.told[-1], StoredEvent) else 0)


class Young(Api):
    """Its leader was just elected: it has not applied what the feed has read, and lost the office by the next look."""

    young = False
    seen = 0

    async def next_message(self, stream: str, seq: int, pattern: str) -> StoredMessage | ApiError:
        found = await super().next_message(stream, seq, pattern)
        return ApiError(404, NO_MESSAGE, "no message found") if self.young else found

    async def stream_info(self, stream: str) -> StreamInfo | ApiError:
        info = await super().stream_info(stream)
        if not self.young or isinstance(info, ApiError):
            return info
        self.seen += 1
        cluster = msgspec.structs.replace(info.cluster, leader="n1", leader_since=f"{self.seen}")
        return msgspec.structs.replace(info, cluster=cluster)


class Rewritten(Api):
    """Its stream has another event at each sequence, and nobody's connection was cut."""

    rewritten = False

    async def next_message(self, stream: str, seq: int, pattern: str) -> StoredMessage | ApiError:
        found = await super().next_message(stream, seq, pattern)
        if not self.rewritten or isinstance(found, ApiError):
            return found
        return msgspec.structs.replace(found, time="2026-11-23T08:00:00Z")


async def test_an_idle_feed_asks_for_what_it_has_read(own: OwnServer) -> None:
    async with gateway(own, api=Rewritten) as one:
        assert isinstance(one.api, Rewritten)
        await own.publish(5)
        await one.reads(5)
        one.api.rewritten = True
        assert "below 5 and has another event there" in await one.replaced()


async def test_nothing_is_read_on_while_nobody_can_say_whether_the_stream_is_the_same(own: OwnServer) -> None:
    async with gateway(own, api=Young) as one:
        api = one.api
        assert isinstance(api, Young)
        await own.publish(5)
        await one.reads(5)
        api.young = True
        own.proxy.cut()
        await own.publish(2)
        await until(lambda: api.seen >= 4)
        assert one.seqs == [1, 2, 3, 4, 5]
        api.young = False
        await one.reads(7)


async def no_answer(key: str) -> tuple[Entry | None, int]:
    """A bucket that does not answer."""
    raise UpstreamUnavailable(f"no answer for {key}")


async def test_a_feed_reads_on_while_the_bucket_does_not_answer(
    own: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(own, msgspec.structs.replace(QUICK, probe_s=60.0)) as one:
        await own.publish(2)
        await one.reads(2)
        monkeypatch.setattr(one.bucket, "get_from_leader", no_answer)
        own.proxy.cut()
        await own.publish(2)
        await one.reads(4)
        assert one.feed.epoch is not None
        monkeypatch.undo()
        await Epochs(one.link, one.bucket).begin(one.feed.epoch.created)
        assert "another epoch" in await one.replaced()


async def test_a_feed_does_not_begin_while_the_bucket_does_not_answer(
    own: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(own) as one:
        monkeypatch.setattr(one.bucket, "get_from_leader", no_answer)
        await own.publish(2)
        one.start()
        asked = one.api.calls["STREAM.INFO"]
        await until(lambda: one.api.calls["STREAM.INFO"] > asked + 2)
        assert (one.told, one.feed.identity) == ([], "")
        monkeypatch.undo()
        await one.reads(2)


async def test_what_was_read_before_a_pause_is_asked_for_once_events_come_again(own: OwnServer) -> None:
    async with gateway(own, UNASKING, api=Rewritten) as one:
        assert isinstance(one.api, Rewritten)
        for seq in range(2, 8, 2):
            asked = one.api.calls["STREAM.MSG.GET"]
            await until(lambda: one.is_paused() or seq == 2)  # noqa: B023  # awaited before the next round
            await own.publish(2)
            await one.reads(seq)
            await until(lambda: one.api.calls["STREAM.MSG.GET"] > asked or seq == 2)  # noqa: B023
        await until(one.is_paused)
        one.api.rewritten = True
        await own.publish(2)
        assert "has another event there" in await one.replaced()

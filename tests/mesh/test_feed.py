"""One sequential read of the stream on real servers: whatever happens, each event once and in order, or a hole told."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from mesh.api import Api, StreamInfo
from mesh.contiguity import Hole
from mesh.embedded import EmbeddedServer
from mesh.event import StoredEvent
from mesh.feed import Feed, FeedSettings
from mesh.link import Link, Tap
from mesh.nats_client import TapCallback
from mesh.publisher import Publisher, PublisherSettings
from mesh.retry import RetryPolicy
from mesh.topology import Topology
from security.errors import StreamReplaced
from tests.servers import fresh_stream, link_settings, linked, running_server
from tests.system.raw_nats import RawMessage, publish_raw
from tests.tcp_proxy import TcpProxy
from tests.until import until

QUICK_LINK = {"heartbeat_s": 0.2, "dead_after_s": 2.0, "backoff_max_s": 0.1, "connect_s": 1.0}
QUICK = FeedSettings(heartbeat_s=0.1, silent_s=0.6, probe_s=0.2, expires_s=2.0)
PATIENT = msgspec.structs.replace(QUICK, silent_s=10.0, probe_s=0.3)
"""For tests in which the feed must not be made again."""
UNASKING = msgspec.structs.replace(PATIENT, probe_s=60.0)
"""For tests in which what has happened must be noticed without asking the leader."""
RETRY = RetryPolicy(attempt_s=0.3, first_wait_s=0.02, longest_wait_s=0.1)


@pytest_asyncio.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    async with running_server(tmp_path_factory.mktemp("nats") / "state", topology=Topology()) as started:
        yield started


@pytest_asyncio.fixture
async def server(own: EmbeddedServer) -> EmbeddedServer:
    """A server with an empty stream."""
    await fresh_stream(own)
    return own


class Reading:
    """A running feed and what it has told, in order."""

    def __init__(self, link: Link, settings: FeedSettings) -> None:
        self.told: list[StoredEvent | Hole] = []
        self.infos: list[StreamInfo] = []
        self.feed = Feed(link, Api(link), settings, deliver=self.told.extend, hole=self.told.append)
        self.task: asyncio.Task[None] | None = None

    def start(self, first: int) -> None:
        def begin(info: StreamInfo) -> int:
            self.infos.append(info)
            return first

        self.task = asyncio.create_task(self.feed.run(begin))

    @property
    def events(self) -> list[StoredEvent]:
        return [each for each in self.told if isinstance(each, StoredEvent)]

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.events]

    @property
    def holes(self) -> list[Hole]:
        return [each for each in self.told if isinstance(each, Hole)]

    @property
    def order(self) -> list[int | Hole]:
        return [each if isinstance(each, Hole) else each.seq for each in self.told]

    async def reaches(self, seq: int) -> None:
        def is_there() -> bool:
            assert self.task is not None
            if self.task.done():
                self.task.result()
            return self.feed.head >= seq

        await until(is_there)

    async def replaced(self) -> str:
        """What the feed says of a stream that is another one."""
        assert self.task is not None
        with pytest.raises(StreamReplaced) as raised:
            async with asyncio.timeout(10):
                await self.task
        return str(raised.value)


@contextlib.asynccontextmanager
async def reading(
    server: EmbeddedServer,
    first: int = 1,
    settings: FeedSettings = QUICK,
    *,
    url: str | None = None,
    kind: Callable[..., Link] = Link,
) -> AsyncIterator[Reading]:
    async with kind(
        msgspec.structs.replace(link_settings(server, user="gateway"), servers=(url or server.url,), **QUICK_LINK)
    ) as link:
        made = Reading(link, settings)
        made.start(first)
        assert made.task is not None
        try:
            yield made
        finally:
            made.task.cancel()
            with contextlib.suppress(asyncio.CancelledError, StreamReplaced):
                await made.task
            await made.feed.close()


async def publish(server: EmbeddedServer, count: int, body: bytes = b"{}") -> list[int]:
    return await publish_raw(server, *(RawMessage(b"orders.c1.o%d" % n, body) for n in range(count)))


async def ask(server: EmbeddedServer, verb: str, body: object = None, name: str = "EVENTS") -> dict[str, object]:
    """One call as the operator; its answer must be no error."""
    async with linked(server) as link:
        answer = await Api(link).call(verb, name, body, dict[str, object])
        assert isinstance(answer, dict), answer
        return answer


async def delete(server: EmbeddedServer, *seqs: int) -> None:
    for seq in seqs:
        await ask(server, "STREAM.MSG.DELETE", {"seq": seq, "no_erase": True})


async def consumer_of(server: EmbeddedServer) -> str:
    names = (await ask(server, "CONSUMER.NAMES"))["consumers"]
    assert isinstance(names, list)
    (name,) = names
    return str(name)


async def test_a_read_from_the_middle_is_in_order_and_goes_on(server: EmbeddedServer) -> None:
    seqs = await publish(server, 50)
    async with reading(server, 21, PATIENT) as read:
        await read.reaches(50)
        assert read.seqs == seqs[20:]
        assert [event.subject for event in read.events[:2]] == ["orders.c1.o20", "orders.c1.o21"]
        assert (read.feed.pending, read.feed.restarts, read.holes) == (0, 0, [])
        assert read.feed.identity.startswith("EVENTS:1")
        assert [info.state.last_seq for info in read.infos] == [50]
        more = await publish(server, 10)
        await read.reaches(60)
        assert read.seqs == seqs[20:] + more
        assert read.feed.age_s(asyncio.get_running_loop().time()) < 5


async def test_more_events_than_one_pull_asks_for(server: EmbeddedServer) -> None:
    async with reading(server, 1, msgspec.structs.replace(PATIENT, batch=7)) as read:
        await publish(server, 500)
        await publish(server, 500)
        await read.reaches(1_000)
        assert read.seqs == list(range(1, 1_001))
        assert read.feed.restarts == 0


async def test_pulls_that_expire_are_made_again(server: EmbeddedServer) -> None:
    async with reading(server, 1, msgspec.structs.replace(PATIENT, batch=4, expires_s=0.25)) as read:
        for n in range(1, 5):
            pulls = read.feed._pulls
            await until(lambda pulls=pulls: read.feed._pulls > pulls + 1)  # type: ignore[misc]
            await publish(server, 3)
            await read.reaches(3 * n)
        assert read.seqs == list(range(1, 13))
        assert read.feed.restarts == 0


async def test_catching_up_is_told_when_all_that_was_stored_has_been_read(server: EmbeddedServer) -> None:
    await publish(server, 400)
    async with reading(server, 1, msgspec.structs.replace(PATIENT, batch=10)) as read:
        assert not read.feed.caught_up.is_set()
        async with asyncio.timeout(10):
            await read.feed.caught_up.wait()
        assert read.feed.head >= 400


async def test_an_empty_stream_is_caught_up_and_its_first_event_comes(server: EmbeddedServer) -> None:
    async with reading(server, 0, PATIENT) as read:
        async with asyncio.timeout(10):
            await read.feed.caught_up.wait()
        assert (read.feed.head, read.told) == (0, [])
        await publish(server, 1)
        await read.reaches(1)
        assert (read.seqs, read.holes) == ([1], [])


async def test_a_stream_that_is_not_there_yet_is_waited_for(server: EmbeddedServer) -> None:
    await ask(server, "STREAM.DELETE")
    async with reading(server) as read:
        await until(lambda: read.feed._api.calls["STREAM.INFO"] > 1)
        await fresh_stream(server)
        await publish(server, 2)
        await read.reaches(2)
        assert read.seqs == [1, 2]


STATUSES = (b"404 No Messages", b"408 Request Timeout", b"100 Idle Heartbeat", b"409 Consumer Deleted", b"503")
WELL_FORMED = [
    *(RawMessage(b"orders.c", body, b"NATS/1.0 %s\r\n\r\n" % s) for s in STATUSES for body in (b"1", b"")),
    *(RawMessage(b"orders.c", b"", b"NATS/1.0\r\nStatus: %s\r\n\r\n" % s) for s in STATUSES),
    RawMessage(b"orders.h", b"1", b"NATS/1.0 \xff\xff\xff bad\r\n\r\n"),
    RawMessage(b"orders.c", b"", b"NATS/1.0 408 x\r\nNats-Pending-Messages: 1000000\r\nNats-Pending-Bytes: 0\r\n\r\n"),
]
DAMAGED = [
    RawMessage(b"orders.\xff", b"1"),
    RawMessage(b"orders.\xc3.\xa4", b"", b"NATS/1.0\r\nA: b\r\n\r\n"),
    RawMessage(b"orders.h", b"1", b"NATS/1.0"),
    RawMessage(b"orders.h", b"", b"NATS/1.0"),
    RawMessage(b"orders.h", b"1", b"NATS/1.0\r\nA: \xff\r\n\r\n"),
]
NORMAL = RawMessage(b"orders.n", b"{}")


def as_stored(header: bytes | None) -> bytes:
    """What JetStream keeps of a header block: the text of a status line is dropped, with it a block of nothing else."""
    first, end, rest = (header or b"").partition(b"\r\n")
    return first if not end else b"" if rest == b"\r\n" else b"NATS/1.0\r\n" + rest


@pytest.mark.parametrize("live", [False, True])
async def test_poisons_and_the_headers_of_control_messages_are_delivered_as_events(
    server: EmbeddedServer, *, live: bool
) -> None:
    messages = [each for odd in WELL_FORMED + DAMAGED for each in (odd, NORMAL)] + WELL_FORMED + DAMAGED
    if not live:
        await publish_raw(server, *messages)
    async with reading(server, 1, msgspec.structs.replace(PATIENT, batch=20)) as read:
        if live:
            async with asyncio.timeout(10):
                await read.feed.caught_up.wait()
            await publish_raw(server, *messages)
        await read.reaches(len(messages))
        shown = [(m.subject.decode(errors="replace"), m.body, as_stored(m.header)) for m in messages]
        assert [(e.subject, e.payload, e.header_block) for e in read.events] == shown
        assert (read.feed.damaged, read.feed.restarts, read.holes) == (2 * len(DAMAGED), 0, [])


async def test_nothing_is_lost_or_repeated_when_connections_are_cut(server: EmbeddedServer) -> None:
    async with TcpProxy(server.port) as proxy:
        async with reading(server, 1, msgspec.structs.replace(QUICK, batch=100), url=proxy.url) as read:
            await read.feed.caught_up.wait()
            total = 0
            for cut in range(5):
                connections = proxy.connections
                proxy.cut_after(10_000 + 7_777 * cut)
                total += len(await publish(server, 300, b"x" * 200))
                await until(lambda seen=connections: proxy.connections > seen)  # type: ignore[misc]
                total += len(await publish(server, 100))
            await read.reaches(total)
            assert read.seqs == list(range(1, total + 1))
            assert read.holes == []
            assert read.feed.restarts >= 5


async def test_a_silent_server_makes_the_feed_read_again(server: EmbeddedServer) -> None:
    async with TcpProxy(server.port) as proxy:
        async with reading(server, 1, msgspec.structs.replace(UNASKING, silent_s=0.6), url=proxy.url) as read:
            await publish(server, 5)
            await read.reaches(5)
            proxy.stall()
            await publish(server, 5)
            await until(lambda: read.feed._broken == "silent")
            proxy.resume()
            await read.reaches(10)
            assert read.seqs == list(range(1, 11))


class QuickLink(Link):
    """Whenever it is looked at it is up: a cut is over by then."""

    @property
    def is_up(self) -> bool:
        return True


async def test_a_connection_that_is_back_before_anybody_looks_was_lost_all_the_same(server: EmbeddedServer) -> None:
    async with TcpProxy(server.port) as proxy:
        async with reading(server, 1, UNASKING, url=proxy.url, kind=QuickLink) as read:
            await publish(server, 5)
            await read.reaches(5)
            proxy.refusing = True
            proxy.cut()
            await publish(server, 5)  # delivered to nobody, and nothing comes behind it
            proxy.refusing = False
            await read.reaches(10)
            assert (read.seqs, read.feed.restarts) == (list(range(1, 11)), 1)


async def test_a_consumer_that_somebody_deleted_is_made_again(server: EmbeddedServer) -> None:
    async with reading(server, 1, UNASKING) as read:
        for n in range(1, 4):
            await publish(server, 20)
            await read.reaches(40 * n - 20)
            name = await consumer_of(server)
            await ask(server, "CONSUMER.DELETE", name=f"EVENTS.{name}")
            await publish(server, 20)
            await read.reaches(40 * n)
        assert read.seqs == list(range(1, 121))
        assert read.feed.restarts == 3


async def test_a_consumer_that_no_longer_delivers_is_found_out_by_asking_the_leader(server: EmbeddedServer) -> None:
    async with reading(server, 1, PATIENT) as read:
        await publish(server, 2)
        await read.reaches(2)
        await silence(server)
        await publish(server, 3)
        await read.reaches(5)
        assert (read.seqs, read.feed.restarts) == ([1, 2, 3, 4, 5], 1)


async def silence(server: EmbeddedServer) -> None:
    """Let the feed's consumer live on and deliver nothing."""
    info = await ask(server, "CONSUMER.INFO", name=f"EVENTS.{await consumer_of(server)}")
    config = info["config"]
    assert isinstance(config, dict)
    body = {"stream_name": "EVENTS", "config": {**config, "filter_subject": "orders.none"}, "action": "update"}
    await ask(server, "CONSUMER.CREATE", body, name=f"EVENTS.{config['name']}.orders.none")


async def test_events_that_expired_before_they_were_delivered_are_told(server: EmbeddedServer) -> None:
    async with reading(server, 1, PATIENT) as read:
        await publish(server, 2)
        await read.reaches(2)
        await silence(server)
        probed = read.feed._api.calls["STREAM.INFO"]
        await until(lambda: read.feed._api.calls["STREAM.INFO"] > probed)  # the next question is a while away
        await publish(server, 3)
        await ask(server, "STREAM.PURGE")
        await read.reaches(5)
        assert read.order == [1, 2, Hole(2, 6, "expired")]
        assert read.feed.restarts <= 1, "once, where the question came between the publish and the purge"


class LossyLink(Link):
    """Loses the delivery of sequence 5 once, repeats that of sequence 7."""

    lost = 0

    async def tap(self, subject: str, callback: TapCallback) -> Tap:
        def meddle(at: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
            seq = reply.split(b".")[5:6]
            if seq == [b"5"] and not self.lost:
                self.lost += 1
                return
            callback(at, reply, data, headers)
            if seq == [b"7"]:
                callback(at, reply, data, headers)

        return await super().tap(subject, meddle)


async def test_a_delivery_that_was_lost_is_read_again_and_a_repeated_one_ignored(server: EmbeddedServer) -> None:
    await publish(server, 10)
    async with reading(server, 1, UNASKING, kind=LossyLink) as read:
        await read.reaches(10)
        assert await consumer_of(server)  # the one before is gone
        assert (read.seqs, read.feed.restarts) == (list(range(1, 11)), 1)


async def test_a_killed_server_loses_and_repeats_nothing_for_the_feed(tmp_path: Path) -> None:
    async with running_server(tmp_path / "s", topology=Topology()) as server:
        settings = msgspec.structs.replace(link_settings(server, user="publisher"), **QUICK_LINK)
        async with reading(server) as read, Link(settings) as link:
            async with Publisher(link, settings=PublisherSettings(in_flight=50, retry=RETRY)) as publisher:
                publishing = asyncio.create_task(hand_over(publisher, 1_500))
                for reached in (100, 700):
                    await read.reaches(reached)
                    await server.kill()
                    await server.start()
                await publishing
                await publisher.drain()
            info = await ask(server, "STREAM.INFO")
            state = info["state"]
            assert isinstance(state, dict)
            await read.reaches(state["last_seq"])
            assert read.seqs == list(range(1, state["last_seq"] + 1))
            assert sorted(msgspec.json.decode(event.payload)["n"] for event in read.events) == list(range(1_500))


async def hand_over(publisher: Publisher, count: int) -> None:
    for n in range(count):
        _ = await publisher.hand_over("orders.c1.o1", {"n": n})


async def test_holes_are_told_before_the_event_behind_them(server: EmbeddedServer) -> None:
    await publish(server, 20)
    await ask(server, "STREAM.PURGE", {"seq": 4})
    await delete(server, 10, 11, 15)
    async with reading(server, 2, PATIENT) as read:
        await read.reaches(20)
        expected = [Hole(1, 4, "expired"), *range(4, 10), Hole(9, 12, "deleted"), 12, 13, 14, Hole(14, 16, "deleted")]
        assert read.order == [*expected, *range(16, 21)]
        assert read.feed.restarts == 0


async def test_a_purge_of_what_was_read_is_nothing_and_reading_goes_on(server: EmbeddedServer) -> None:
    async with reading(server, 1, PATIENT) as read:
        await publish(server, 5)
        await read.reaches(5)
        await ask(server, "STREAM.PURGE")
        await publish(server, 2)
        await read.reaches(7)
        assert read.order == list(range(1, 8))


@pytest.mark.parametrize("how", ["deleted", "expired"])
async def test_the_newest_events_gone_while_down_are_told_and_passed_over(server: EmbeddedServer, how: str) -> None:
    async with TcpProxy(server.port) as proxy:
        async with reading(server, url=proxy.url) as read:
            await publish(server, 5)
            await read.reaches(5)
            proxy.refusing = True
            proxy.cut()
            await publish(server, 5)
            if how == "deleted":
                await delete(server, 8, 9, 10)
            else:
                await ask(server, "STREAM.PURGE")
            proxy.refusing = False
            await read.reaches(10)
            told = [6, 7, Hole(7, 11, "deleted")] if how == "deleted" else [Hole(5, 11, "expired")]
            assert read.order == [1, 2, 3, 4, 5, *told]
            await publish(server, 1)
            await read.reaches(11)
            assert read.order == [1, 2, 3, 4, 5, *told, 11]


async def test_a_start_on_deleted_newest_events_is_caught_up(server: EmbeddedServer) -> None:
    await publish(server, 5)
    await delete(server, 4, 5)
    async with reading(server, 1, PATIENT) as read:
        async with asyncio.timeout(10):
            await read.feed.caught_up.wait()
        assert read.order == [1, 2, 3, Hole(3, 6, "deleted")]


async def test_a_stream_made_anew_is_another_one(server: EmbeddedServer) -> None:
    async with reading(server) as read:
        await publish(server, 3)
        await read.reaches(3)
        await ask(server, "STREAM.DELETE")
        await until(lambda: read.feed.restarts > 0)
        assert read.task is not None
        assert not read.task.done()
        await fresh_stream(server)
        await publish(server, 9)
        assert "made anew" in await read.replaced()
        assert read.seqs == [1, 2, 3]


async def test_a_store_put_back_from_an_older_copy_is_another_stream(tmp_path: Path) -> None:
    store, copy = tmp_path / "s" / "store", tmp_path / "copy"
    async with running_server(tmp_path / "s", topology=Topology()) as server:
        await publish(server, 5)
        await server.stop()
        shutil.copytree(store, copy)
        await server.start()
        async with reading(server) as read:
            await publish(server, 5)
            await read.reaches(10)
            await server.kill()
            shutil.rmtree(store)
            copy.rename(store)
            await server.start()
            assert "fell back from 10 to 5" in await read.replaced()
            assert read.seqs == list(range(1, 11))


async def test_closing_deletes_the_consumer(server: EmbeddedServer) -> None:
    async with reading(server) as read:
        await publish(server, 1)
        await read.reaches(1)
        assert await consumer_of(server)

    async def is_gone() -> bool:
        return not (await ask(server, "CONSUMER.NAMES"))["consumers"]

    await until(is_gone)

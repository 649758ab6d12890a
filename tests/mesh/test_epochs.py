"""The epoch in a real bucket: one for all who notice the same, and never an older one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from mesh.api import Api
from mesh.embedded import EmbeddedServer
from mesh.epoch import EPOCH_KEY, Witness, decode_epoch
from mesh.epochs import EPOCH_SUBJECT, Epochs
from mesh.kv import Bucket
from mesh.link import Link
from security.errors import UpstreamUnavailable
from tests.servers import linked
from tests.until import until

BORN = "2026-11-23T08:00:00Z"
BORN_LATER = "2026-11-23T09:00:00Z"
READ = Witness(7, 1)
FURTHER = Witness(9, 2)


class Clock:
    """Nanoseconds that move by one with each look, and by hand."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


class Place:
    """A bucket without an epoch, and readers of it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.bucket = Bucket(link, Api(link), "cursors")
        self.clock = Clock()
        self.told = 0

    def reader(self, bucket: Bucket | None = None, now_ns: Callable[[], int] | None = None) -> Epochs:
        return Epochs(self.link, bucket or self.bucket, now_ns=now_ns or self.clock, refresh_s=60)

    async def stored(self) -> tuple[int, Witness | None] | None:
        entry, _ = await self.bucket.get_from_leader(EPOCH_KEY)
        epoch = decode_epoch(entry.value) if entry is not None else None
        return (epoch.began_ns, epoch.witness) if epoch is not None else None

    def hear(self, *_: bytes) -> None:
        self.told += 1


@pytest.fixture
async def place(nats_server: EmbeddedServer) -> AsyncIterator[Place]:
    async with linked(nats_server, user="gateway") as link:
        made = Place(link)
        await made.bucket.delete(EPOCH_KEY)
        tap = await link.tap(EPOCH_SUBJECT, made.hear)
        yield made
        await tap.close()


async def test_the_first_reader_begins_an_epoch_and_the_others_take_it(place: Place) -> None:
    first = await place.reader().open(BORN)
    assert await place.reader().open(BORN) == first
    assert await place.stored() == (first.began_ns, None)
    await until(lambda: place.told == 1)


async def test_readers_that_begin_at_the_same_moment_have_one_epoch(place: Place) -> None:
    opened = await asyncio.gather(*(place.reader().open(BORN) for _ in range(8)))
    assert len(set(opened)) == 1


async def test_all_who_notice_that_an_epoch_is_over_have_one_newer_one(place: Place) -> None:
    readers = [place.reader() for _ in range(5)]
    old = [await reader.open(BORN) for reader in readers]
    for reader in readers:
        reader.end(old[0])
    opened = await asyncio.gather(*(reader.open(BORN) for reader in readers))
    assert len(set(opened)) == 1
    assert opened[0].began_ns > old[0].began_ns
    readers[0].end(old[0])  # heard of late
    assert await readers[0].open(BORN) == opened[0]
    await until(lambda: place.told == 2)


async def test_who_noticed_nothing_learns_it_by_asking_or_by_writing(place: Place) -> None:
    asking, writing, ending = place.reader(), place.reader(), place.reader()
    old = await asking.open(BORN)
    assert await writing.open(BORN) == await ending.open(BORN) == old
    ending.end(old)
    newer = await ending.open(BORN)
    assert not await writing.keep(old, READ)
    assert await asking.open(BORN) == newer
    assert not await asking.keep(old, READ)
    assert await place.stored() == (newer.began_ns, None), "what was read before says nothing of the new epoch"


async def test_the_highest_witness_stays(place: Place) -> None:
    first, second = place.reader(), place.reader()
    epoch = await first.open(BORN)
    assert await second.open(BORN) == epoch
    assert await first.keep(epoch, FURTHER)
    assert await second.keep(epoch, READ)
    assert await place.stored() == (epoch.began_ns, FURTHER)
    assert (await place.reader().open(BORN)).witness == FURTHER


async def test_nothing_is_written_without_news_until_the_entry_grows_old(place: Place) -> None:
    reader = place.reader()
    epoch = await reader.open(BORN)
    assert await reader.keep(epoch, READ)
    puts = place.bucket.puts
    assert await reader.keep(epoch, READ)
    assert await reader.keep(epoch, None)
    assert place.bucket.puts == puts
    place.clock.now += 60 * 10**9
    assert await reader.keep(epoch, None)
    assert place.bucket.puts == puts + 1
    assert await place.stored() == (epoch.began_ns, READ)


@pytest.mark.parametrize("bucket_has", ["nothing", "an older one"])
async def test_a_bucket_that_forgot_is_told_again(place: Place, bucket_has: str) -> None:
    reader = place.reader()
    old = await reader.open(BORN)
    entry, _ = await place.bucket.get_from_leader(EPOCH_KEY)
    assert entry is not None
    reader.end(old)
    epoch = await reader.open(BORN)
    assert await reader.keep(epoch, READ)
    if bucket_has == "nothing":
        await place.bucket.delete(EPOCH_KEY)
    else:
        await place.bucket.put(EPOCH_KEY, entry.value)
    assert await reader.keep(epoch, FURTHER)
    assert await place.stored() == (epoch.began_ns, FURTHER)


async def test_an_entry_that_cannot_be_read_is_followed_by_a_new_epoch(place: Place) -> None:
    await place.bucket.put(EPOCH_KEY, b"?")
    opened = await place.reader().open(BORN)
    assert await place.stored() == (opened.began_ns, None)


async def test_another_stream_has_another_epoch(place: Place) -> None:
    reader = place.reader()
    old = await reader.open(BORN)
    newer = await place.reader().open(BORN_LATER)
    assert (newer.created, newer.began_ns > old.began_ns) == (BORN_LATER, True)
    assert not await reader.keep(old, READ)


async def test_a_clock_that_is_behind_makes_no_older_epoch(place: Place) -> None:
    old = await place.reader().open(BORN)
    late = place.reader(now_ns=lambda: 5)
    late.end(old)
    assert (await late.open(BORN)).began_ns == old.began_ns + 1


async def test_an_operator_begins_a_new_epoch_whatever_stands(place: Place) -> None:
    reader = place.reader()
    old = await reader.open(BORN)
    assert await reader.keep(old, READ)
    begun = await place.reader().begin(BORN)
    assert (begun.began_ns > old.began_ns, begun.witness) == (True, None)
    assert await reader.open(BORN) == begun


class Deaf(Bucket):
    """Writes, and loses the answer."""

    losing = 1

    async def put(self, key: str, value: bytes, *, revision: int | None = None) -> int:
        written = await super().put(key, value, revision=revision)
        if self.losing:
            self.losing -= 1
            raise UpstreamUnavailable("no answer")
        assert isinstance(written, int)
        return written


async def test_a_write_whose_answer_was_lost_is_found_again(place: Place) -> None:
    reader = place.reader(Deaf(place.link, Api(place.link), "cursors"))
    with contextlib.suppress(UpstreamUnavailable):
        await reader.open(BORN)
    stored = await place.stored()
    assert stored is not None
    assert (await reader.open(BORN)).began_ns == stored[0]

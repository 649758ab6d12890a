"""A bucket whose reads are gathered, on a real server, and on links that fail."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mesh.api import Api
from mesh.embedded import EmbeddedServer
from mesh.kv import Entry
from mesh.kv_gathering import MOST, GatheringBucket
from mesh.link import Link
from security.errors import UpstreamUnavailable
from tests.servers import link_settings, linked
from tests.until import until


@pytest_asyncio.fixture
async def link(nats_server: EmbeddedServer) -> AsyncIterator[Link]:
    async with linked(nats_server, user="gateway") as link:
        yield link


async def gathering(link: Link, name: str = "cursors", *, timeout_s: float = 5.0) -> GatheringBucket:
    bucket = GatheringBucket(link, Api(link), name, timeout_s=timeout_s)
    await bucket.start()
    return bucket


def keys(count: int) -> list[str]:
    begin = secrets.token_hex(8)
    return [f"s-{begin}-{number}" for number in range(count)]


def calls_of(bucket: GatheringBucket) -> int:
    return bucket._api.calls["DIRECT.GET"]


async def test_a_read_alone_is_an_ordinary_one(link: Link) -> None:
    bucket, (key, none) = await gathering(link), keys(2)
    revision = await bucket.put(key, b"1")
    assert isinstance(revision, int)
    assert await bucket.get(key) == Entry(b"1", revision)
    assert await bucket.get(none) is None
    assert (bucket.gets, calls_of(bucket)) == (2, 2)


async def test_reads_of_one_moment_are_one_call_and_each_gets_its_own(link: Link) -> None:
    bucket, some = await gathering(link), keys(9)
    revisions = [await bucket.put(key, key.encode()) for key in some[:6]]
    await bucket.delete(some[5])
    got = await asyncio.gather(*(bucket.get(key) for key in reversed(some)))
    expected = [
        Entry(key.encode(), revision)
        for key, revision in zip(some[:5], revisions, strict=False)
        if isinstance(revision, int)
    ]
    assert got[::-1] == [*expected, None, None, None, None]
    assert calls_of(bucket) == 1
    assert await asyncio.gather(*(bucket.get(key) for key in some[6:])) == [None] * 3


async def test_reads_that_come_soon_after_a_call_share_the_next(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.kv_gathering.TOGETHER_S", 0.3)
    bucket, (first, *others) = await gathering(link), keys(9)
    assert await bucket.get(first) is None
    waiting = []
    for key in others:
        waiting.append(asyncio.create_task(bucket.get(key)))
        await link.request("$JS.API.STREAM.INFO.EVENTS")  # rounds of the loop, and of the network
    assert await asyncio.gather(*waiting) == [None] * 8
    assert calls_of(bucket) == 2


async def test_the_same_key_is_asked_for_once(link: Link) -> None:
    bucket, (key, other) = await gathering(link), keys(2)
    revision = await bucket.put(key, b"1")
    assert isinstance(revision, int)
    assert await asyncio.gather(*(bucket.get(key) for _ in range(3))) == [Entry(b"1", revision)] * 3
    assert bucket.gets == 1
    assert list(await asyncio.gather(bucket.get(key), bucket.get(other))) == [Entry(b"1", revision), None]


async def test_what_is_asked_for_after_a_put_is_what_was_put(link: Link) -> None:
    bucket, (key, other) = await gathering(link), keys(2)
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(bucket.get(other))
            revision = await bucket.put(key, b"%d" % number)
            assert isinstance(revision, int)
            assert await bucket.get(key) == Entry(b"%d" % number, revision)


async def test_a_crowd_is_read_in_calls_of_a_limited_size(link: Link) -> None:
    bucket, crowd = await gathering(link), keys(2 * MOST + 1)
    await asyncio.gather(*(bucket.put(key, b"x") for key in crowd))
    got = await asyncio.gather(*(bucket.get(key) for key in crowd))
    assert all(entry is not None and entry.value == b"x" for entry in got)
    assert calls_of(bucket) == 3


async def test_who_gives_up_does_not_take_the_answer_from_the_others(link: Link) -> None:
    bucket, (key, other) = await gathering(link), keys(2)
    await bucket.put(key, b"1")
    waiting = [asyncio.create_task(bucket.get(name)) for name in (key, key, other)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    entry = await waiting[1]
    assert entry is not None
    assert await waiting[2] is None


async def test_a_bucket_that_is_not_there_is_a_failure_for_each(link: Link) -> None:
    bucket = await gathering(link, "none", timeout_s=0.2)
    got = await asyncio.gather(*(bucket.get(key) for key in keys(3)), return_exceptions=True)
    assert [type(each) for each in got] == [UpstreamUnavailable] * 3
    with pytest.raises(UpstreamUnavailable):
        await bucket.get("alone")


class AnsweringLink(Link):
    """Lets nothing out, and answers a call for many keys with ``answers``; None: the connection is lost."""

    answers: tuple[tuple[bytes, bytes], ...] | None = ()

    def send(self, subject: str, payload: bytes, *, reply: str = "", headers: dict[str, str] | None = None) -> None:
        del subject, payload, headers
        if self.answers is None:
            for changed in self.changed:
                changed(False)  # noqa: FBT003  # as Link says it
            return
        for data, header_block in self.answers:
            self._taps[f"{self.inbox}.k.*"](reply.encode(), b"", data, header_block)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (((b"", b"NATS/1.0 408 Empty Request\r\n\r\n"),), "408 Empty Request"),
        (((b"", b"NATS/1.0 503\r\n\r\n"),), "503"),
        (((b"", b"NATS/1.0 503\r\nNats-Subject: $JS.API.DIRECT.GET.KV_cursors\r\n\r\n"),), "503"),
        ((), "no answer within"),
        (None, "lost"),
    ],
)
async def test_a_call_that_fails_is_a_failure_for_each(
    nats_server: EmbeddedServer, answers: tuple[tuple[bytes, bytes], ...] | None, why: str
) -> None:
    link = AnsweringLink(link_settings(nats_server, user="gateway"))
    link.answers = answers
    bucket = await gathering(link, timeout_s=0.05)
    got = await asyncio.gather(*(bucket.get(key) for key in keys(3)), return_exceptions=True)
    assert [type(each) for each in got] == [UpstreamUnavailable] * 3
    assert all(why in str(each) for each in got)


async def test_a_slow_call_does_not_hold_up_those_who_come_later(nats_server: EmbeddedServer) -> None:
    link = AnsweringLink(link_settings(nats_server, user="gateway"))
    bucket = await gathering(link)
    slow = [asyncio.create_task(bucket.get(key)) for key in ("a", "b")]
    await until(lambda: bool(bucket._calls))
    link.answers = ((b"", b"NATS/1.0 404 No Results\r\n\r\n"),)
    assert list(await asyncio.gather(bucket.get("c"), bucket.get("d"))) == [None, None]
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)

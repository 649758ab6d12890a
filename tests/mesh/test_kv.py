"""A key-value bucket on a real server, as the gateway's user sees it."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from mesh.api import Api
from mesh.embedded import EmbeddedServer
from mesh.kv import Bucket, Conflict, Entry
from mesh.link import Link, LinkSettings, Reply
from mesh.topology import BucketSpec
from security.errors import LimitReached, UpstreamUnavailable
from tests.servers import link_settings, linked


@pytest_asyncio.fixture
async def link(nats_server: EmbeddedServer) -> AsyncIterator[Link]:
    async with linked(nats_server, user="gateway") as link:
        yield link


@pytest.fixture
def bucket(link: Link) -> Bucket:
    return Bucket(link, Api(link), "cursors")


@pytest.fixture
def key() -> str:
    return f"s-{secrets.token_hex(8)}"


async def test_what_is_put_is_got_with_its_revision(bucket: Bucket, key: str) -> None:
    assert await bucket.get(key) is None
    assert await bucket.get_from_leader(key) == (None, 0)
    first = await bucket.put(key, b"1")
    assert isinstance(first, int)
    assert await bucket.get(key) == Entry(b"1", first)
    second = await bucket.put(key, b"\x00\xff")
    assert isinstance(second, int)
    assert second > first
    assert await bucket.get(key) == Entry(b"\x00\xff", second)
    assert await bucket.get_from_leader(key) == (Entry(b"\x00\xff", second), second)
    assert (bucket.gets, bucket.puts) == (5, 2)


async def test_an_empty_value_is_a_value(bucket: Bucket, key: str) -> None:
    revision = await bucket.put(key, b"")
    assert isinstance(revision, int)
    assert await bucket.get(key) == Entry(b"", revision)
    assert await bucket.get_from_leader(key) == (Entry(b"", revision), revision)


async def test_a_put_against_an_old_revision_changes_nothing(bucket: Bucket, key: str) -> None:
    first = await bucket.put(key, b"1", revision=0)
    assert isinstance(first, int)
    assert await bucket.put(key, b"x", revision=0) == Conflict()
    second = await bucket.put(key, b"2", revision=first)
    assert isinstance(second, int)
    assert await bucket.put(key, b"x", revision=first) == Conflict()
    assert await bucket.put(key, b"x", revision=second + 1_000) == Conflict()
    assert await bucket.get_from_leader(key) == (Entry(b"2", second), second)


async def test_of_many_writers_against_one_revision_one_wins(bucket: Bucket, key: str) -> None:
    revision = await bucket.put(key, b"0")
    assert isinstance(revision, int)
    results = await asyncio.gather(*(bucket.put(key, b"%d" % n, revision=revision) for n in range(20)))
    (winner,) = [n for n, result in enumerate(results) if isinstance(result, int)]
    assert await bucket.get(key) == Entry(b"%d" % winner, int(str(results[winner])))


async def test_other_keys_do_not_touch_a_revision(bucket: Bucket, key: str) -> None:
    revision = await bucket.put(key, b"1")
    assert isinstance(revision, int)
    await bucket.put(f"{key}-other", b"x")
    assert isinstance(await bucket.put(key, b"2", revision=revision), int)


async def test_a_deleted_entry_is_gone_and_its_revision_still_counts(bucket: Bucket, key: str) -> None:
    first = await bucket.put(key, b"1")
    assert isinstance(first, int)
    await bucket.delete(key)
    assert await bucket.get(key) is None
    entry, revision = await bucket.get_from_leader(key)
    assert entry is None
    assert revision > first
    assert await bucket.put(key, b"x", revision=first) == Conflict()
    again = await bucket.put(key, b"2", revision=revision)
    assert isinstance(again, int)
    assert await bucket.get(key) == Entry(b"2", again)


async def test_all_keys_are_listed(bucket: Bucket, key: str) -> None:
    mine = {f"{key}-{n}" for n in range(30)}
    await asyncio.gather(*(bucket.put(each, b"x") for each in mine))
    listed = await bucket.keys()
    assert len(listed) == len(set(listed))
    assert mine <= set(listed)
    assert key not in listed


class PagingLink(Link):
    """Lists keys as a server does that shows three at a time."""

    async def request(
        self, subject: str, payload: bytes = b"", *, headers: dict[str, str] | None = None, timeout_s: float = 5.0
    ) -> Reply:
        first = msgspec.json.decode(payload)["offset"]
        page = {f"$KV.cursors.k{n}": 1 for n in range(first, min(first + 3, 8))}
        return Reply(msgspec.json.encode({"total": 8, "state": {"subjects": page}}), b"")


async def test_keys_are_listed_page_by_page() -> None:
    link = PagingLink(LinkSettings())
    assert await Bucket(link, Api(link), "cursors").keys() == [f"k{n}" for n in range(8)]


async def test_a_bucket_that_is_not_there_is_a_failure(link: Link, key: str) -> None:
    bucket = Bucket(link, Api(link, timeout_s=0.2), "none", timeout_s=0.2)
    with pytest.raises(UpstreamUnavailable):
        await bucket.get(key)
    with pytest.raises(UpstreamUnavailable):
        await bucket.put(key, b"x")
    with pytest.raises(UpstreamUnavailable):
        await bucket.get_from_leader(key)
    with pytest.raises(UpstreamUnavailable):
        await bucket.keys()


async def test_a_value_above_the_limit_is_refused_by_name_without_the_value(bucket: Bucket, key: str) -> None:
    with pytest.raises(LimitReached, match=r"bucket cursors: .*max_msg_size") as raised:
        await bucket.put(key, b"CANARY" * 20_000)
    assert "CANARY" not in str(raised.value)
    assert await bucket.get(key) is None


async def test_a_value_of_just_the_limit_is_taken(bucket: Bucket, key: str) -> None:
    most = BucketSpec().max_value_bytes
    assert isinstance(await bucket.put(key, b"x" * most), int)
    with pytest.raises(LimitReached):
        await bucket.put(key, b"x" * (most + 1))


class MeddlingLink(Link):
    """Gives ``instead`` for every answer."""

    instead: tuple[bytes, bytes] | None = None

    def _answered(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        super()._answered(subject, reply, *(self.instead or (data, headers)))


@pytest.mark.parametrize("answer", [b"", b"no json", b"\xff", b'{"seq":"x"}', b'{"error":{"description":"\xff"}}'])
async def test_an_answer_that_is_not_jetstreams_is_a_failure(
    nats_server: EmbeddedServer, key: str, answer: bytes
) -> None:
    async with MeddlingLink(link_settings(nats_server, user="gateway")) as link:
        link.instead = (answer, b"")
        with pytest.raises(UpstreamUnavailable, match="bucket cursors"):
            await Bucket(link, Api(link), "cursors").put(key, b"x")


async def test_a_refused_read_names_the_reason(nats_server: EmbeddedServer, key: str) -> None:
    async with MeddlingLink(link_settings(nats_server, user="gateway")) as link:
        link.instead = (b"", b"NATS/1.0 408 Bad Request\r\n\r\n")
        with pytest.raises(UpstreamUnavailable, match="bucket cursors: 408 Bad Request"):
            await Bucket(link, Api(link), "cursors").get(key)

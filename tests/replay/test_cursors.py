"""The cursor bucket on a real server: who holds a session, and what is written of it."""

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from mesh.api import Api
from mesh.embedded import EmbeddedServer
from mesh.kv import Bucket, Conflict, Entry
from replay import cursors as cursors_module
from replay.cursors import Cursor, Cursors, Heard, Known
from replay.record import Owner, Record, encode_record
from security.errors import UpstreamUnavailable
from tests.servers import linked
from tests.until import until


class WeakBucket(Bucket):
    """A bucket whose next puts fail: before they reach the server, or after it has stored them.

    Or they are refused as a replicated bucket refuses them while an earlier write is under way; the others come after.
    """

    unanswered = 0
    unsent = 0
    refused = 0

    async def put(self, key: str, value: bytes, *, revision: int | None = None) -> int | Conflict:
        if self.refused:
            self.refused -= 1
            return Conflict()
        if self.unsent:
            self.unsent -= 1
            raise UpstreamUnavailable("not sent")
        put = await super().put(key, value, revision=revision)
        if self.unanswered:
            self.unanswered -= 1
            raise UpstreamUnavailable("no answer")
        return put


class Gateway:
    """A gateway's cursors, and sessions that it serves."""

    def __init__(self, bucket: WeakBucket, *, remembered: int = 100, save_within_s: float = 0.02) -> None:
        self.bucket = bucket
        self.name = ""
        """As records carry it: empty, the sessions are parked."""
        self.cursors = Cursors(bucket, save_within_s=save_within_s, remembered=remembered)
        self.lost: list[tuple[str, bool]] = []
        self.acked: dict[str, int] = {}

    def record(self, key: str, claim: str) -> Record:
        acked = self.acked.get(claim, 0)
        return Record("EVENTS:1", acked, acked, {"orders.c1.>": 0}, Owner("i", "c1", key), claim, self.name)

    async def hold(self, key: str, claim: str) -> Cursor:
        """Claim a session against what is known of it."""
        known = await self.cursors.load(key)
        revision = await self.cursors.claim(key, self.record(key, claim), known)
        assert isinstance(revision, int), "nobody else claims it"
        return Cursor(
            key, claim, revision, lambda: self.record(key, claim), lambda ended: self.lost.append((claim, ended))
        )

    async def stored(self, key: str) -> Record | None:
        """What the bucket's leader holds."""
        return (await self.cursors.load(key, from_leader=True)).record

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While its writer runs."""
        task = asyncio.create_task(self.cursors.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest_asyncio.fixture
async def two_buckets(nats_server: EmbeddedServer) -> AsyncIterator[tuple[WeakBucket, WeakBucket]]:
    async with linked(nats_server, user="gateway") as one, linked(nats_server, user="gateway") as other:
        yield WeakBucket(one, Api(one), "cursors"), WeakBucket(other, Api(other), "cursors")


@pytest.fixture
def here(two_buckets: tuple[WeakBucket, WeakBucket]) -> Gateway:
    return Gateway(two_buckets[0])


@pytest.fixture
def there(two_buckets: tuple[WeakBucket, WeakBucket]) -> Gateway:
    return Gateway(two_buckets[1])


@pytest.fixture
def key() -> str:
    return f"s-{secrets.token_hex(8)}"


async def test_a_session_that_was_never_seen_is_claimed_once(here: Gateway, there: Gateway, key: str) -> None:
    assert await here.cursors.load(key) == await there.cursors.load(key) == Known(None, 0)
    taken = [
        await each.cursors.claim(key, each.record(key, claim), Known(None, 0))
        for each, claim in ((here, "a"), (there, "b"))
    ]
    assert isinstance(taken[0], int)
    assert taken[1] == Conflict()
    assert there.cursors.conflicts == 1
    assert await there.stored(key) == here.record(key, "a")


async def test_of_two_claims_at_one_moment_one_wins(here: Gateway, there: Gateway, key: str) -> None:
    await here.hold(key, "old")
    known = await there.cursors.load(key)
    taken = await asyncio.gather(
        here.cursors.claim(key, here.record(key, "a"), known), there.cursors.claim(key, there.record(key, "b"), known)
    )
    assert sorted(isinstance(each, Conflict) for each in taken) == [False, True]
    stored = await here.stored(key)
    assert stored is not None
    assert stored.claim == ("b" if isinstance(taken[0], Conflict) else "a")


async def test_who_was_refused_a_claim_does_not_answer_from_memory(here: Gateway, there: Gateway, key: str) -> None:
    await here.hold(key, "a")
    await there.hold(key, "b")
    stale = await here.cursors.load(key)
    assert stale.record == here.record(key, "a"), "from memory"
    assert await here.cursors.claim(key, here.record(key, "c"), stale) == Conflict()
    assert (await here.cursors.load(key)).record == here.record(key, "b")


async def test_a_late_write_of_the_loser_is_refused_and_it_is_told(here: Gateway, there: Gateway, key: str) -> None:
    old = await here.hold(key, "a")
    new = await there.hold(key, "b")
    here.acked["a"], there.acked["b"] = 99, 5
    assert await there.cursors.save(new)
    assert not await here.cursors.save(old)
    assert not await here.cursors.save(old), "and never again"
    assert here.lost == [("a", False)]
    assert (old.is_lost, new.is_lost) == (True, False)
    assert await here.stored(key) == there.record(key, "b"), "the cursor has not moved"
    assert here.bucket.puts == 2, "what is lost is not written any more"
    assert (await here.cursors.load(key)).record == there.record(key, "b"), "nor answered from memory"


async def test_an_own_write_whose_answer_was_lost_is_known_by_its_claim(here: Gateway, key: str) -> None:
    cursor = await here.hold(key, "a")
    here.acked["a"], here.bucket.unanswered = 1, 1
    with pytest.raises(UpstreamUnavailable):
        await here.cursors.save(cursor)
    here.acked["a"] = 2
    assert await here.cursors.save(cursor)
    assert here.lost == []
    assert await here.stored(key) == here.record(key, "a")
    here.acked["a"] = 3
    puts = here.bucket.puts
    assert await here.cursors.save(cursor)
    assert here.bucket.puts == puts + 1, "its revision is right again"
    assert cursor.saved_through == 3


async def test_who_was_taken_over_after_a_write_without_answer_has_lost(
    here: Gateway, there: Gateway, key: str
) -> None:
    cursor = await here.hold(key, "a")
    here.bucket.unanswered = 1
    with pytest.raises(UpstreamUnavailable):
        await here.cursors.save(cursor)
    await there.hold(key, "b")
    assert not await here.cursors.save(cursor)
    assert here.lost == [("a", False)]


async def test_a_write_that_is_under_way_still_loses_no_session(here: Gateway, key: str) -> None:
    here.name = "here"
    cursor = await here.hold(key, "a")
    here.acked["a"], here.bucket.refused = 7, 2
    with pytest.raises(UpstreamUnavailable, match="under way"):
        await here.cursors.save(cursor)
    assert (cursor.is_lost, here.lost, here.cursors.conflicts) == (False, [], 0)
    assert await here.cursors.save(cursor)
    assert await here.stored(key) == here.record(key, "a")


async def test_what_could_not_be_written_for_a_write_under_way_stays_due(here: Gateway, key: str) -> None:
    here.name = "here"
    cursor = await here.hold(key, "a")
    here.acked["a"], here.bucket.refused = 7, 6
    async with here.running():
        here.cursors.save_soon(cursor)
        await until(lambda: cursor.saved_through == 7)
    assert (here.bucket.refused, here.lost) == (0, [])


async def test_a_write_under_way_that_was_another_connections_is_seen_to_be(
    here: Gateway, there: Gateway, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.name = "here"
    cursor = await here.hold(key, "a")
    here.bucket.refused = 1
    taken_over_after_looks(1, here, there, monkeypatch)
    assert not await here.cursors.save(cursor)
    assert here.lost == [("a", False)]


def taken_over_after_looks(count: int, here: Gateway, there: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the leader has been asked so often whose a record is, another connection takes the session."""
    look, looks = here.bucket.get_from_leader, itertools.count(1)

    async def looked(key: str) -> tuple[Entry | None, int]:
        seen = await look(key)
        if next(looks) == count:
            await there.hold(key, "b")
        return seen

    monkeypatch.setattr(here.bucket, "get_from_leader", looked)


@pytest.mark.parametrize(("refused", "unsent"), [(2, 0), (9, 0), (2, 3)])
async def test_the_last_record_of_a_session_waits_for_the_write_before_it(
    here: Gateway, key: str, monkeypatch: pytest.MonkeyPatch, refused: int, unsent: int
) -> None:
    """Nobody would save it again. A leader that could not store the one before gives way to another meanwhile."""
    monkeypatch.setattr(cursors_module, "SETTLE_S", 0.0)
    cursor = await here.hold(key, "a")
    here.acked["a"], here.bucket.refused, here.bucket.unsent = 7, refused, unsent
    assert await here.cursors.save(cursor)
    assert await here.stored(key) == here.record(key, "a")


async def test_the_last_record_of_a_session_that_was_taken_over_meanwhile_is_not_written(
    here: Gateway, there: Gateway, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursors_module, "SETTLE_S", 0.0)
    cursor = await here.hold(key, "a")
    here.bucket.refused = 2
    taken_over_after_looks(2, here, there, monkeypatch)
    assert not await here.cursors.save(cursor)
    assert here.lost == [("a", False)]
    assert await there.stored(key) == there.record(key, "b")


async def test_a_write_that_is_under_way_for_ever_is_not_waited_for_so_long(
    here: Gateway, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursors_module, "SETTLE_S", 0.0)
    monkeypatch.setattr(cursors_module, "SETTLE_LOOKS", 3)
    cursor = await here.hold(key, "a")
    here.bucket.refused = 1_000
    with pytest.raises(UpstreamUnavailable, match="under way"):
        await here.cursors.save(cursor)
    assert not here.lost


async def test_a_last_record_that_must_wait_holds_up_nobody_elses(here: Gateway, key: str) -> None:
    waiting, other = [await here.hold(f"{key}-{claim}", claim) for claim in "ab"]
    here.acked = {"a": 1, "b": 2}
    here.bucket.refused = 2
    async with here.running():
        here.cursors.save_soon(waiting)
        await until(lambda: here.bucket.refused == 0)
        here.cursors.save_soon(other)
        await until(lambda: (waiting.saved_through, other.saved_through) == (1, 2))


def test_what_others_say_of_a_session_is_kept_while_it_is_being_claimed(here: Gateway, key: str) -> None:
    cursors = here.cursors
    cursors.hear(key, 9, ended=False)
    with cursors.claiming(key) as first:
        assert first == Heard()
        cursors.hear(f"{key}-other", 8, ended=False)
        cursors.hear(key, 5, ended=True)
        with cursors.claiming(key) as second:
            cursors.hear(key, 7, ended=False)
            cursors.hear(key, 6, ended=True)
        cursors.hear(key, 8, ended=True)
    cursors.hear(key, 10, ended=False)
    assert (first, second) == (Heard(8, ended=True), Heard(7, ended=False))
    assert not cursors._claiming, "nothing is kept of it"


async def test_a_session_that_was_ended_is_not_written_again(here: Gateway, there: Gateway, key: str) -> None:
    cursor = await here.hold(key, "a")
    await there.bucket.delete(key)
    assert not await here.cursors.save(cursor)
    assert here.lost == [("a", True)]
    known = await here.cursors.load(key)
    assert known.record is None
    assert not known.unreadable
    await here.hold(key, "b")  # against the revision of its end
    assert await there.stored(key) == here.record(key, "b")


async def test_an_unreadable_record_is_told_and_can_be_claimed(
    here: Gateway, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    await here.bucket.put(key, b"{}")
    known = await here.cursors.load(key)
    assert (known.record, known.unreadable) == (None, True)
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.ERROR, "a stored cursor cannot be read")
    ]
    await here.hold(key, "a")
    assert await here.stored(key) == here.record(key, "a")


async def test_a_record_that_became_unreadable_ends_its_holder(here: Gateway, there: Gateway, key: str) -> None:
    cursor = await here.hold(key, "a")
    await there.bucket.put(key, b"{}")
    assert not await here.cursors.save(cursor)
    assert here.lost == [("a", False)]


async def test_a_hundred_saves_are_few_writes_and_the_last_one_stays(here: Gateway, key: str) -> None:
    cursor = await here.hold(key, "a")
    before = here.bucket.puts
    async with here.running():
        for acked in range(1, 101):
            here.acked["a"] = acked
            here.cursors.save_soon(cursor)
            await asyncio.sleep(0)
        await until(lambda: cursor.saved_through == 100)
    assert here.bucket.puts - before <= 2
    assert await here.stored(key) == here.record(key, "a")


async def test_a_save_waits_for_others_until_its_time_has_come(
    two_buckets: tuple[WeakBucket, WeakBucket], key: str
) -> None:
    gateway = Gateway(two_buckets[0], save_within_s=3_600.0)
    cursor = await gateway.hold(key, "a")
    puts = gateway.bucket.puts
    async with gateway.running():
        gateway.cursors.save_soon(cursor)
        for _ in range(5):
            await gateway.stored(key)
        assert gateway.bucket.puts == puts
        assert await gateway.cursors.save(cursor), "who wants it now gets it now"


async def test_what_cannot_be_written_now_stays_due(here: Gateway, key: str, caplog: pytest.LogCaptureFixture) -> None:
    cursor = await here.hold(key, "a")
    here.acked["a"], here.bucket.unsent = 7, 2
    async with here.running():
        here.cursors.save_soon(cursor)
        await until(lambda: cursor.saved_through == 7)
    assert here.bucket.unsent == 0
    assert [one.getMessage() for one in caplog.records] == ["a cursor could not be stored yet"] * 2
    assert not here.lost


async def test_a_cursor_that_was_saved_or_dropped_is_not_written_once_more(here: Gateway, key: str) -> None:
    saved, dropped, other = [await here.hold(f"{key}-{n}", f"{n}") for n in range(3)]
    before = here.bucket.puts
    for each in (saved, dropped, other):
        here.cursors.save_soon(each)
    here.acked["2"] = 1
    assert await here.cursors.save(saved)
    here.cursors.drop(dropped)
    async with here.running():
        await until(lambda: other.saved_through == 1)
    assert here.bucket.puts == before + 2


async def test_both_connections_of_one_session_are_written_and_the_older_learns_that_it_lost(
    here: Gateway, key: str
) -> None:
    """A client comes back on the same gateway before its old connection is seen to be dead."""
    old = await here.hold(key, "a")
    new = await here.hold(key, "b")
    here.acked["b"] = 3
    async with here.running():
        here.cursors.save_soon(new)
        here.cursors.save_soon(old)
        await until(lambda: new.saved_through == 3 and here.lost == [("a", False)])
    assert not new.is_lost


async def test_many_sessions_are_written_side_by_side(here: Gateway, key: str) -> None:
    held = [await here.hold(f"{key}-{n}", f"{n}") for n in range(50)]
    here.acked = {f"{n}": n + 1 for n in range(50)}
    async with here.running():
        for each in held:
            here.cursors.save_soon(each)
        await until(lambda: [each.saved_through for each in held] == list(range(1, 51)))


async def test_records_are_remembered_up_to_a_bound(two_buckets: tuple[WeakBucket, WeakBucket], key: str) -> None:
    gateway = Gateway(two_buckets[0], remembered=2)
    keys = [f"{key}-{n}" for n in range(3)]
    for each in keys:
        await gateway.hold(each, each)
    gets = gateway.bucket.gets
    for each in keys[1:]:
        assert (await gateway.cursors.load(each)).record == gateway.record(each, each)
    assert gateway.bucket.gets == gets, "from memory"
    assert (await gateway.cursors.load(keys[0])).record == gateway.record(keys[0], keys[0])
    assert gateway.bucket.gets == gets + 1, "the oldest was let go"
    gateway.cursors.forget(keys[1])
    await gateway.cursors.load(keys[1])
    assert gateway.bucket.gets == gets + 2


async def test_a_record_of_another_release_is_claimed_like_any_other(here: Gateway, key: str) -> None:
    document = msgspec.json.decode(encode_record(here.record(key, "a"))) | {"colour": "blue"}
    await here.bucket.put(key, msgspec.json.encode(document))
    assert (await here.cursors.load(key)).record == here.record(key, "a")
    await here.hold(key, "b")

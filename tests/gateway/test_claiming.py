"""Taking a session whose client has seen more of the stream than its leader has, or that others take meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
import pytest_asyncio

from gateway import claiming, frames
from gateway.access import Granted
from gateway.claiming import BEYOND_LOOKS, Claim, Claimed, Claiming, hear_claim
from gateway.connection import Connection
from gateway.exchange import Exchange
from mesh.api import ApiError, StreamInfo, StreamState
from mesh.embedded import EmbeddedServer
from mesh.kv import Conflict
from replay.cursors import Known
from replay.recent import RecentWindow
from replay.record import Owner, Record, session_key
from security.permissions import Permissions
from tests.gateways import Gateway, running_gateway
from tests.until import until

PATTERN = "orders.cl1.>"
SEEN = 1_000_000
"""A sequence that neither the feed nor the stream has reached."""


@pytest_asyncio.fixture(scope="module")
async def gateway(nats_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server, tmp_path_factory.mktemp("claiming")) as started:
        yield started


class Leader:
    """Answers of the stream's leader, one by one; the last one again and again."""

    def __init__(self, *last_seqs: int) -> None:
        self.asked = 0
        self._last_seqs = last_seqs

    async def stream_info(self, _: str) -> StreamInfo | ApiError:
        last_seq = self._last_seqs[min(self.asked, len(self._last_seqs) - 1)]
        self.asked += 1
        return StreamInfo("2026-11-23T10:00:00Z", StreamState(messages=last_seq, first_seq=1, last_seq=last_seq))


async def claimed(gateway: Gateway, name: str, leader: Leader, monkeypatch: pytest.MonkeyPatch) -> Claimed:
    """Claim a session that its client resumes at ``SEEN``, on a gateway whose feed is far behind."""
    monkeypatch.setattr(claiming, "BEYOND_WAIT_S", 0.0)
    monkeypatch.setattr(gateway.house.api, "stream_info", leader.stream_info)
    of_house = gateway.house.exchange
    behind = Exchange(RecentWindow(5, bytes_most=1, events_most=1), of_house.identity, of_house.guard, lambda *_: None)
    owner = Owner("tidewire-development", "cl1", name)
    resume = frames.Resume(behind.identity, SEEN)
    granted = Granted([PATTERN], [], [])
    permissions = Permissions(read=(PATTERN,))
    return await Claiming(gateway.house).claim(behind, session_key(owner), owner, resume, granted, permissions)


async def test_a_leader_that_has_not_applied_everything_is_asked_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leader(7, SEEN - 1, SEEN)
    opening = (await claimed(gateway, "again", leader, monkeypatch)).opening
    assert (opening.outcome, opening.position, opening.gap) == ("resumed", SEEN, None)
    assert leader.asked == 3


async def test_a_leader_that_knows_of_the_position_is_asked_once(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leader(SEEN + 1)
    opening = (await claimed(gateway, "once", leader, monkeypatch)).opening
    assert (opening.outcome, opening.position) == ("resumed", SEEN)
    assert leader.asked == 1


async def test_a_leader_that_insists_is_believed(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    leader = Leader(7)
    opening = (await claimed(gateway, "insists", leader, monkeypatch)).opening
    assert (opening.outcome, opening.position) == ("gap", 0)
    assert opening.gap is not None
    assert opening.gap.reason == "stream_replaced"
    assert leader.asked == BEYOND_LOOKS


@pytest.mark.parametrize(
    "data", [b"", b"null", b"{}", b"\xff", b'{"key":"\xff"}', b'{"key":7}', b'{"later":' + b"[" * 100_000]
)
async def test_a_claim_that_is_none_is_not_heard(gateway: Gateway, data: bytes) -> None:
    hear_claim(gateway.house, data)
    assert gateway.house.is_ready


def before_it_is_opened(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, what: Callable[[str, int], Awaitable[None]]
) -> None:
    """Let something happen between the next claim that the bucket takes and the moment its gateway deals with it."""
    claim = gateway.house.cursors.claim

    async def claims(key: str, record: Record, known: Known) -> int | Conflict:
        revision = await claim(key, record, known)
        assert isinstance(revision, int), "nobody else claims it"
        monkeypatch.undo()
        await what(key, revision)
        return revision

    monkeypatch.setattr(gateway.house.cursors, "claim", claims)


@pytest.mark.parametrize(
    ("claim", "later", "code"), [("other", 1, 4509), ("", 1, 4510), ("other", 0, None), ("other", -1, None)]
)
async def test_a_newer_claim_that_is_heard_before_this_one_is_opened_wins(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, claim: str, later: int, code: int | None
) -> None:
    """P4.6."""

    async def heard(key: str, revision: int) -> None:
        hear_claim(gateway.house, msgspec.json.encode(Claim(key, claim, revision + later)))

    before_it_is_opened(gateway, monkeypatch, heard)
    async with gateway.client("cl1", [PATTERN], session=f"heard{later}{claim}") as client:
        if code is None:
            await client.until("live")
        else:
            assert await client.closed() == code
            assert client.frames == []
            assert not gateway.house.exchange.by_key


async def test_a_connection_whose_claim_is_newer_is_not_displaced(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4.6."""
    reached, go = asyncio.Event(), asyncio.Event()

    async def newer_is_opened(_key: str, _revision: int) -> None:
        reached.set()
        await go.wait()

    before_it_is_opened(gateway, monkeypatch, newer_is_opened)
    async with gateway.client("cl1", [PATTERN], session="newer") as older:
        await reached.wait()
        async with gateway.client("cl1", [PATTERN], session="newer") as newer:
            await newer.until("live")
            go.set()
            assert (await older.closed(), older.frames) == (4509, [])
            (connection,) = gateway.house.exchange.by_key.values()
            assert isinstance(connection, Connection)
            cursor = connection.cursor
            connection.save_soon()
            await until(lambda: cursor.revision > cursor.claimed_revision)
            assert newer.close_code is None


async def test_an_older_connection_is_displaced_also_when_revisions_were_given_out_again(gateway: Gateway) -> None:
    """An older copy of the bucket was put back."""
    async with gateway.client("cl1", [PATTERN], session="again") as older:
        await older.until("live")
        (connection,) = gateway.house.exchange.by_key.values()
        connection.cursor.claimed_revision += 1_000
        async with gateway.client("cl1", [PATTERN], session="again") as newer:
            await newer.until("live")
            assert await older.closed() == 4509


async def test_a_session_with_all_the_patterns_that_it_may_hold_is_stored(gateway: Gateway) -> None:
    patterns = [f"orders.cl1.{n:03}.{'x' * 239}.>" for n in range(128)]
    assert {len(pattern) for pattern in patterns} == {256}
    async with gateway.client("cl1", patterns, session="many") as client:
        await client.until("live")
        assert client.frames[0]["subjects"] == patterns
    await until(lambda: not gateway.house.exchange.by_key)
    async with gateway.client("cl1", None, session="many") as client:
        await client.until("live")
        assert client.frames[0]["subjects"] == patterns

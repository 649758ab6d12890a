"""Taking a session whose client has seen more of the stream than the leader says there is."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway import claiming, frames
from gateway.access import Granted
from gateway.claiming import BEYOND_LOOKS, Claimed, Claiming, hear_claim
from gateway.exchange import Exchange
from mesh.api import ApiError, StreamInfo, StreamState
from mesh.embedded import EmbeddedServer
from replay.recent import RecentWindow
from replay.record import Owner, session_key
from security.permissions import Permissions
from tests.gateways import Gateway, running_gateway

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

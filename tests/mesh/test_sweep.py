"""One read of an older stretch on a real server: in order and complete with its holes, or over."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from mesh.api import Api, ApiError, ConsumerInfo
from mesh.contiguity import Hole
from mesh.embedded import EmbeddedServer
from mesh.epoch import identity_of
from mesh.event import Delivery, StoredEvent
from mesh.pull import Puller, PullResult
from mesh.sweep import Sweep
from mesh.topology import Topology
from security.errors import UpstreamUnavailable
from tests.servers import fresh_stream, linked, running_server
from tests.system.publishing import publish


@pytest_asyncio.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    async with running_server(tmp_path_factory.mktemp("nats") / "state", topology=Topology()) as started:
        yield started


@pytest_asyncio.fixture
async def server(own: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> EmbeddedServer:
    """A server with an empty stream."""
    monkeypatch.setattr("mesh.sweep.DRY_WAIT_S", 0.05)
    monkeypatch.setattr("mesh.sweep.DRY_MOST", 2)
    await fresh_stream(own)
    return own


@contextlib.asynccontextmanager
async def sweeps(server: EmbeddedServer) -> AsyncIterator[Callable[..., Sweep]]:
    """Makes sweeps of the server's stream of now."""
    async with linked(server, user="gateway") as link:
        api, puller = Api(link), Puller(link, "EVENTS")
        await puller.start()
        info = await api.stream_info("EVENTS")
        assert not isinstance(info, ApiError)
        identity = identity_of("EVENTS", info.created)
        numbers = itertools.count(1)
        yield lambda after, puller=puller: Sweep(api, puller, "EVENTS", f"{identity}:7", after, next(numbers))
        await puller.close()


def order(found: list[StoredEvent | Hole]) -> list[int | Hole]:
    return [each if isinstance(each, Hole) else each.seq for each in found]


async def test_it_reads_on_pull_by_pull_until_nothing_more_comes(server: EmbeddedServer) -> None:
    seqs = await publish(server, "orders.c1.o1", 7)
    async with sweeps(server) as make:
        sweep = make(2)
        assert order(await sweep.read(3, 100_000)) == seqs[2:5]
        assert order(await sweep.read(3, 100_000)) == seqs[5:]
        with pytest.raises(UpstreamUnavailable, match="nothing more comes"):
            await sweep.read(3, 100_000)


async def test_holes_come_before_the_event_behind_them_with_their_reason(server: EmbeddedServer) -> None:
    await publish(server, "orders.c1.o1", 9)
    async with linked(server) as operator, sweeps(server) as make:
        await Api(operator).call("STREAM.MSG.DELETE", "EVENTS", {"seq": 6}, dict)
        sweep = make(1)
        assert order(await sweep.read(2, 100_000)) == [2, 3]
        await Api(operator).call("STREAM.PURGE", "EVENTS", {"seq": 5}, dict)
        assert order(await sweep.read(9, 100_000)) == [
            Hole(3, 5, "expired"),
            5,
            Hole(5, 7, "deleted"),
            *(7, 8, 9),
        ]


async def test_an_event_larger_than_a_pull_goes_alone(server: EmbeddedServer) -> None:
    seqs = await publish(server, "orders.c1.o1", 2)
    async with sweeps(server) as make:
        sweep = make(0)
        assert [order(await sweep.read(9, 1)) for _ in seqs] == [[1], [2]]


async def test_nothing_of_a_stream_that_was_made_anew_is_handed_on(server: EmbeddedServer) -> None:
    await publish(server, "orders.c1.o1", 2)
    async with sweeps(server) as make:
        sweep = make(0)
        await fresh_stream(server)
        await publish(server, "orders.c1.o1", 2)
        with pytest.raises(UpstreamUnavailable, match="replaced"):
            await sweep.read(9, 100_000)


async def test_it_is_over_when_its_consumer_is_gone_and_leaves_none_behind(server: EmbeddedServer) -> None:
    await publish(server, "orders.c1.o1", 4)
    async with linked(server) as operator, sweeps(server) as make:
        sweep, other, api = make(0), make(0), Api(operator)
        await sweep.read(2, 100_000)
        await other.read(2, 100_000)
        assert not isinstance(await api.call("CONSUMER.DELETE", f"EVENTS.{sweep._name}", None, dict), ApiError)
        with pytest.raises(UpstreamUnavailable):
            await sweep.read(2, 100_000)
        await other.close()
        await other._api.link.request("$JS.API.STREAM.INFO.EVENTS")  # behind the deletion, on the same connection
        assert isinstance(await api.call("CONSUMER.INFO", f"EVENTS.{other._name}", None, ConsumerInfo), ApiError)


class _Scripted(Puller):
    """Brings what a test says."""

    def __init__(self, *results: PullResult) -> None:
        self.results = list(results)

    async def pull(self, consumer: str, batch: int, **_: Any) -> PullResult:
        return self.results.pop(0)


def delivered(*pairs: tuple[int, int]) -> PullResult:
    return PullResult(tuple(Delivery(StoredEvent(seq, "a", 1, b""), b"", number, 0) for seq, number in pairs))


async def test_a_delivery_that_is_missing_ends_it(server: EmbeddedServer) -> None:
    async with sweeps(server) as make:
        sweep = make(0, puller=_Scripted(delivered((1, 1), (2, 2)), delivered((4, 4))))
        assert order(await sweep.read(9, 100_000)) == [1, 2]
        with pytest.raises(UpstreamUnavailable, match="missing"):
            await sweep.read(9, 100_000)


async def test_what_was_read_before_is_not_read_again(server: EmbeddedServer) -> None:
    async with sweeps(server) as make:
        sweep = make(2, puller=_Scripted(delivered((1, 1), (2, 2)), delivered((3, 3))))
        assert order(await sweep.read(9, 100_000)) == [3]

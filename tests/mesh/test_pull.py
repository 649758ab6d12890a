"""Pull requests to consumers of a real server: what each brings and what ends it."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from mesh.api import Api
from mesh.embedded import EmbeddedServer
from mesh.link import Link
from mesh.pull import Puller, PullResult
from mesh.topology import Topology
from security.errors import UpstreamUnavailable
from tests.servers import fresh_stream, link_settings, linked, running_server
from tests.system.raw_nats import RawMessage, publish_raw
from tests.tcp_proxy import TcpProxy
from tests.until import until


@pytest_asyncio.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    async with running_server(tmp_path_factory.mktemp("nats") / "state", topology=Topology()) as started:
        yield started


@pytest_asyncio.fixture
async def server(own: EmbeddedServer) -> EmbeddedServer:
    """A server whose stream holds ten events."""
    await fresh_stream(own)
    await publish(own, 10)
    return own


@pytest_asyncio.fixture
async def proxy(server: EmbeddedServer) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(server.port) as started:
        yield started


@pytest_asyncio.fixture
async def link(server: EmbeddedServer, proxy: TcpProxy) -> AsyncIterator[Link]:
    settings = msgspec.structs.replace(link_settings(server, user="gateway", backoff_max_s=0.1), servers=(proxy.url,))
    async with Link(settings) as link:
        yield link


@pytest_asyncio.fixture
async def puller(link: Link) -> AsyncIterator[Puller]:
    puller = Puller(link, "EVENTS")
    await puller.start()
    yield puller
    await puller.close()


async def publish(server: EmbeddedServer, count: int, body: bytes = b"x", header: bytes | None = None) -> None:
    await publish_raw(server, *[RawMessage(b"orders.c1.o1", body, header)] * count)


async def consumer(server: EmbeddedServer, name: str, **config: object) -> None:
    body = {
        "stream_name": "EVENTS",
        "config": {"durable_name": name, "deliver_policy": "all", "ack_policy": "none", **config},
        "action": "",
    }
    async with linked(server) as link:
        made = await Api(link).call("CONSUMER.CREATE", f"EVENTS.{name}", body, dict[str, object])
        assert isinstance(made, dict), made


async def delete_consumer(server: EmbeddedServer, name: str) -> None:
    async with linked(server) as link:
        await Api(link).call("CONSUMER.DELETE", f"EVENTS.{name}", None, msgspec.Raw)


async def pulls_waiting(server: EmbeddedServer, name: str) -> bool:
    async with linked(server) as link:
        info = await Api(link).call("CONSUMER.INFO", f"EVENTS.{name}", None, dict[str, object])
        return isinstance(info, dict) and info["num_waiting"] == 1


def seqs(result: PullResult) -> list[int]:
    return [delivery.event.seq for delivery in result.deliveries]


async def test_a_full_pull_ends_by_itself_and_the_next_goes_on(puller: Puller, server: EmbeddedServer) -> None:
    await consumer(server, "a")
    first = await puller.pull("a", 4)
    assert (seqs(first), first.status) == ([1, 2, 3, 4], 0)
    assert [each.consumer_seq for each in first.deliveries] == [1, 2, 3, 4]
    assert [each.pending for each in first.deliveries] == [9, 8, 7, 6]
    assert {(each.consumer, each.event.subject) for each in first.deliveries} == {(b"a", "orders.c1.o1")}
    assert seqs(await puller.pull("a", 4)) == [5, 6, 7, 8]
    assert puller.pulls == 2


async def test_a_short_pull_says_that_there_is_no_more_and_an_empty_one_too(
    puller: Puller, server: EmbeddedServer
) -> None:
    await consumer(server, "a")
    short = await puller.pull("a", 100)
    assert (seqs(short), short.status) == (list(range(1, 11)), 404)
    none = await puller.pull("a", 100)
    assert (none.deliveries, none.status) == ((), 404)


async def test_a_pull_with_patience_waits_for_the_first(puller: Puller, server: EmbeddedServer) -> None:
    await consumer(server, "a", deliver_policy="new")
    pulling = asyncio.create_task(puller.pull("a", 1, expires_s=10.0))
    await until(lambda: pulls_waiting(server, "a"))
    await publish(server, 1)
    assert seqs(await pulling) == [11]
    expired = await puller.pull("a", 1, expires_s=0.1)
    assert (expired.deliveries, expired.status) == ((), 408)


async def test_a_limit_of_bytes_ends_a_pull_and_leaves_the_rest(puller: Puller, server: EmbeddedServer) -> None:
    await fresh_stream(server)
    await publish(server, 3, b"x" * 1_000)
    await consumer(server, "a")
    first = await puller.pull("a", 10, max_bytes=2_500)
    assert (seqs(first), first.status) == ([1, 2], 409)
    assert first.description == "Message Size Exceeds MaxBytes"
    nothing = await puller.pull("a", 1, max_bytes=1)
    assert (seqs(nothing), nothing.status) == ([], 409)
    assert seqs(await puller.pull("a", 1)) == [3]


async def test_events_dressed_as_control_messages_are_delivered(puller: Puller, server: EmbeddedServer) -> None:
    await fresh_stream(server)
    await publish(server, 1, b"", b"NATS/1.0 404 No Messages\r\nStatus: 404\r\n\r\n")
    await publish(server, 1, b"", b"NATS/1.0")
    await publish(server, 1)
    await consumer(server, "a")
    result = await puller.pull("a", 3)
    assert (seqs(result), result.status) == ([1, 2, 3], 0)
    assert b"Status: 404" in result.deliveries[0].event.header_block


async def test_pulls_of_several_consumers_do_not_mix(puller: Puller, server: EmbeddedServer) -> None:
    names = [f"c{n}" for n in range(8)]
    for name in names:
        await consumer(server, name)
    results = await asyncio.gather(*(puller.pull(name, 10) for name in names))
    assert [seqs(result) for result in results] == [list(range(1, 11))] * 8
    assert [{each.consumer.decode() for each in result.deliveries} for result in results] == [{n} for n in names]


async def test_a_consumer_that_is_not_there_is_said_at_once(puller: Puller) -> None:
    result = await puller.pull("none", 1, timeout_s=30)
    assert (result.deliveries, result.status) == ((), 503)


async def test_a_consumer_deleted_during_a_pull_is_said(puller: Puller, server: EmbeddedServer) -> None:
    await consumer(server, "a", deliver_policy="new")
    pulling = asyncio.create_task(puller.pull("a", 1, expires_s=30))
    await until(lambda: pulls_waiting(server, "a"))
    await delete_consumer(server, "a")
    result = await pulling
    assert (result.status, result.description) == (409, "Consumer Deleted")


async def test_a_lost_connection_ends_all_pulls_and_the_next_ones_work(
    puller: Puller, server: EmbeddedServer, proxy: TcpProxy, link: Link
) -> None:
    await consumer(server, "a", deliver_policy="new")
    await consumer(server, "b", deliver_policy="new")
    pulls = [asyncio.create_task(puller.pull(name, 1, expires_s=30)) for name in ("a", "b")]
    await until(lambda: pulls_waiting(server, "b"))
    proxy.cut()
    for pull in pulls:
        with pytest.raises(UpstreamUnavailable, match="the connection to NATS was lost"):
            await pull
    await until(lambda: link.connects == 2 and link.is_up)
    await consumer(server, "c")
    assert len((await puller.pull("c", 10)).deliveries) == 10


async def test_two_pulls_of_one_consumer_are_refused(puller: Puller, server: EmbeddedServer) -> None:
    await consumer(server, "a", deliver_policy="new")
    first = asyncio.create_task(puller.pull("a", 1, expires_s=30))
    await until(lambda: pulls_waiting(server, "a"))
    with pytest.raises(UpstreamUnavailable, match="consumer a is being read"):
        await puller.pull("a", 1)
    await publish(server, 1)
    assert seqs(await first) == [11]
    assert (await puller.pull("a", 1)).status == 404


async def test_a_cancelled_pull_lets_the_next_one_begin(puller: Puller, server: EmbeddedServer) -> None:
    await consumer(server, "a", deliver_policy="new")
    first = asyncio.create_task(puller.pull("a", 1, expires_s=0.5))
    await until(lambda: pulls_waiting(server, "a"))
    first.cancel()
    await asyncio.wait([first])
    assert (await puller.pull("a", 1, expires_s=0.1)).status == 408


async def test_what_comes_after_its_pull_was_given_up_is_ignored(
    puller: Puller, server: EmbeddedServer, proxy: TcpProxy, link: Link
) -> None:
    await consumer(server, "a")
    await consumer(server, "b")
    proxy.stall()
    with pytest.raises(UpstreamUnavailable, match="consumer a does not answer"):
        await puller.pull("a", 4, timeout_s=0.05)
    other = asyncio.create_task(puller.pull("b", 100))
    proxy.resume()
    assert seqs(await other) == list(range(1, 11))
    await link.request("$JS.API.STREAM.INFO.EVENTS")  # all that was on its way has come
    late = await puller.pull("a", 100)
    assert (seqs(late), late.deliveries[0].consumer_seq) == ([5, 6, 7, 8, 9, 10], 5)
    assert late.status == 404


async def test_a_closed_puller_hears_nothing_of_the_link(link: Link) -> None:
    puller = Puller(link, "EVENTS")
    before = list(link.changed)
    await puller.start()
    assert len(link.changed) == len(before) + 1
    await puller.close()
    assert link.changed == before

"""The faults of the simulated NATS: what each does, and that a seed is a run."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

import pytest

from mesh.api import Api, ApiError, StreamInfo
from mesh.kv import Bucket, Conflict
from mesh.link import Link
from mesh.pull import Puller, PullResult
from security.errors import UpstreamUnavailable
from tests.sim.clock import run
from tests.sim.conformance import Asker
from tests.sim.jetstream_link import SimLink
from tests.sim.nats import Nats, NatsSettings
from tests.until import until

T = TypeVar("T")


def in_a_world(main: Callable[[Nats], Awaitable[T]], seed: int = 1, **settings: object) -> T:
    """Run a function in a cluster of its own."""
    random = Random(seed)

    async def world() -> T:
        return await main(Nats(random, NatsSettings(**settings)))  # type: ignore[arg-type]

    return run(world(), random)


async def linked(nats: Nats) -> SimLink:
    link = nats.link("tester")
    await link.start()
    return link


async def state(link: Link) -> StreamInfo:
    info = await Api(link).stream_info("EVENTS")
    assert not isinstance(info, ApiError)
    return info


async def with_durable(nats: Nats, server: str) -> tuple[Asker, Puller]:
    """A durable ``d`` for everything, on a given server."""
    link = await linked(nats)
    puller = Puller(link, "EVENTS")
    await puller.start()
    ask = Asker(link)
    while True:
        await ask.durable("d")
        if nats.stream.consumers["d"].server == server:
            await asyncio.sleep(0.01)  # virtual: until all servers know that it listens
            return ask, puller
        await ask.api("CONSUMER.DELETE", "EVENTS.d")


def seqs(pulled: PullResult) -> list[int]:
    return [delivery.event.seq for delivery in pulled.deliveries]


def other_than(nats: Nats, *servers: str | None) -> str:
    return next(server for server in nats.servers if server not in servers)


def test_a_404_is_no_barrier() -> None:
    async def main(nats: Nats) -> None:
        follower = other_than(nats, nats.stream.leader)
        ask, puller = await with_durable(nats, follower)
        nats.lag(follower, 5.0)
        nats.publish("orders.c1.o1", b"x")
        pulled = await puller.pull("d", 5)
        assert (seqs(pulled), pulled.status) == ([], 404)
        info = await ask.info("d")
        assert info["num_pending"] == 0
        assert (await state(ask.link)).state.last_seq == 1
        await asyncio.sleep(5.0)
        assert seqs(await puller.pull("d", 5)) == [1]

    in_a_world(main)


def test_a_direct_get_may_be_old() -> None:
    async def main(nats: Nats) -> set[object]:
        link = await linked(nats)
        bucket = Bucket(link, Api(link), "cursors")
        nats.lag(other_than(nats, nats.streams["KV_cursors"].leader), 5.0)
        await bucket.put("k", b"1", revision=0)
        seen = {await bucket.get("k") is None for _ in range(30)}
        entry, revision = await bucket.get_from_leader("k")
        assert entry is not None
        assert revision == 1
        return set(seen)

    assert in_a_world(main) == {True, False}


def test_a_new_leader_may_show_an_older_stream_and_stores_nothing_until_it_has_caught_up() -> None:
    async def main(nats: Nats) -> bool:
        link = await linked(nats)
        for _ in range(5):
            nats.publish("orders.c1.o1", b"x")
        before = await state(link)
        nats.step_down()
        assert nats.publish("orders.c1.o1", b"x") is None
        await until(lambda: nats.stream.leader is not None)
        after = await state(link)
        assert after.leader != before.leader
        was_older = after.state.last_seq < 5
        assert not was_older or nats.publish("orders.c1.o1", b"x") is None
        await asyncio.sleep(2.0)
        assert (await state(link)).state.last_seq == 5
        assert nats.publish("orders.c1.o1", b"x") == 6
        return was_older

    slow = {"follow_s": (1.0, 1.0), "election_s": (0.01, 0.02)}
    assert {in_a_world(main, seed, **slow) for seed in range(10)} == {True, False}


def test_a_cut_loses_what_is_under_way_and_the_link_comes_back() -> None:
    async def main(nats: Nats) -> bool:
        link, changes = nats.link("tester"), list[bool]()
        await link.start()
        link.changed.append(changes.append)
        bucket = Bucket(link, Api(link), "cursors")
        putting = asyncio.create_task(bucket.put("k", b"1", revision=0))
        await asyncio.sleep(0)
        link.cut()
        with pytest.raises(UpstreamUnavailable):
            await putting
        await link.wait_up(5)
        assert changes == [False, True]
        assert link.connects == 2
        return isinstance(await bucket.put("k", b"1", revision=0), Conflict)

    assert {in_a_world(main, seed) for seed in range(10)} == {True, False}, "it may have arrived or not"


def test_a_stalled_link_delivers_late_and_in_order_or_is_given_up() -> None:
    async def main(nats: Nats) -> None:
        link, heard = nats.link("tester"), list[bytes]()
        await link.start()
        await link.tap("tidewire.test", lambda _subject, _reply, data, _headers: heard.append(data))
        link.stall(2.0)
        for n in range(5):
            await link.publish("tidewire.test", b"%d" % n)
        await asyncio.sleep(1.9)
        assert heard == []
        await asyncio.sleep(0.2)
        assert heard == [b"0", b"1", b"2", b"3", b"4"]
        assert link.connects == 1
        link.stall(60.0)
        await until(lambda: link.connects == 2, within_s=15.0)

    in_a_world(main)


def test_links_of_a_killed_server_go_to_another() -> None:
    async def main(nats: Nats) -> None:
        links = [nats.link(f"g{n}") for n in range(6)]
        for link in links:
            await link.start()
        nats.kill("n2")
        await asyncio.sleep(1.0)
        assert all(link.is_up for link in links)
        assert {link.server for link in links} == {"n1", "n3"}

    in_a_world(main)


@pytest.mark.parametrize("seed", range(5))
def test_two_servers_go_on_and_one_does_not(seed: int) -> None:
    async def main(nats: Nats) -> None:
        assert nats.publish("orders.c1.o1", b"x") == 1
        nats.kill("n1")
        await asyncio.sleep(8.0)
        assert nats.publish("orders.c1.o1", b"x") == 2
        nats.kill("n2")
        await asyncio.sleep(8.0)
        assert nats.publish("orders.c1.o1", b"x") is None
        nats.restart("n1")
        await asyncio.sleep(8.0)
        assert nats.publish("orders.c1.o1", b"x") == 3
        nats.restart("n2")
        await asyncio.sleep(2.0)
        assert [replica.view.last_seq for replica in nats.stream.replicas.values()] == [3, 3, 3]

    in_a_world(main, seed)


def test_soon_after_a_crash_a_new_consumer_may_be_on_the_dead_server() -> None:
    async def main(nats: Nats) -> bool:
        link = await linked(nats)
        ask, victim = Asker(link), other_than(nats, link.server)
        nats.kill(victim)
        answers = {n: await ask.durable(f"d{n}", within_s=0.1) for n in range(10)}
        dead = [name for name, consumer in nats.stream.consumers.items() if consumer.server == victim]
        assert all("failed" in answers[int(name[1:])] for name in dead)
        await asyncio.sleep(10.0)
        for n in range(10, 20):
            assert "failed" not in await ask.durable(f"d{n}", within_s=0.1)
        return bool(dead)

    assert {in_a_world(main, seed) for seed in range(10)} == {True, False}


def test_a_consumer_in_a_file_may_deliver_the_newest_again_after_a_crash() -> None:
    async def main(nats: Nats) -> list[int]:
        ask, puller = await with_durable(nats, "n2")
        for _ in range(10):
            nats.publish("orders.c1.o1", b"x")
        await asyncio.sleep(0.2)
        assert seqs(await puller.pull("d", 3)) == [1, 2, 3]
        await asyncio.sleep(0.2)
        assert seqs(await puller.pull("d", 3)) == [4, 5, 6]
        nats.kill("n2")
        await asyncio.sleep(0.5)
        nats.restart("n2")
        await asyncio.sleep(2.0)
        await ask.link.wait_up(5.0)
        return seqs(await puller.pull("d", 1))

    assert {tuple(in_a_world(main, seed)) for seed in range(10)} == {(4,), (7,)}


def test_what_waits_in_the_api_may_be_dropped_or_late() -> None:
    async def main(nats: Nats) -> None:
        link = await linked(nats)
        nats.slow_api(1.0, 10.0)
        asking = [asyncio.create_task(Api(link, timeout_s=3.0).stream_info("EVENTS")) for _ in range(5)]
        await asyncio.sleep(0.5)
        nats.overflow()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(answer, UpstreamUnavailable) for answer in found)
        began_s = nats.loop.time()
        await state(link)
        assert nats.loop.time() - began_s >= 1.0

    in_a_world(main)


def test_a_stream_made_anew_has_another_birth_and_nothing_in_it() -> None:
    async def main(nats: Nats) -> None:
        link = await linked(nats)
        nats.publish("orders.c1.o1", b"x", "m1")
        before = await state(link)
        nats.recreate()
        after = await state(link)
        assert after.created != before.created
        assert (after.state.last_seq, nats.last_seq, nats.events, nats.gone) == (0, 0, {}, set())
        assert nats.publish("orders.c1.o1", b"y", "m1") == 1

    in_a_world(main)


def test_a_stream_that_fell_back_keeps_its_birth_and_gives_numbers_again() -> None:
    async def main(nats: Nats) -> None:
        link = await linked(nats)
        bucket = Bucket(link, Api(link), "cursors")
        for n in range(5):
            nats.publish("orders.c1.o1", b"%d" % n, f"m{n}")
        await bucket.put("k", b"old")
        nats.delete(2)
        nats.publish("orders.c1.o1", b"5")
        await asyncio.sleep(1.0)
        await bucket.put("k", b"new")
        before = await state(link)
        assert nats.fall_back(4, with_buckets=False) == {5: ("orders.c1.o1", b"4"), 6: ("orders.c1.o1", b"5")}
        await asyncio.sleep(3.0)
        after = await state(link)
        assert (after.created, after.state.last_seq) == (before.created, 4)
        entry = await bucket.get("k")
        assert entry is not None
        assert entry.value == b"new"
        assert nats.publish("orders.c1.o1", b"other", "m4") == 5
        assert nats.events[5] == ("orders.c1.o1", b"other")
        nats.fall_back(4, with_buckets=True)
        await asyncio.sleep(3.0)
        assert await bucket.get("k") is None

    in_a_world(main)


def test_after_healing_everything_is_everywhere() -> None:
    async def main(nats: Nats) -> None:
        link = await linked(nats)
        nats.kill("n1")
        nats.lag("n2", 100.0)
        nats.step_down()
        nats.slow_api(2.0, 100.0)
        nats.heal()
        assert nats.publish("orders.c1.o1", b"x") == 1
        await link.wait_up(1.0)
        await asyncio.sleep(0.1)
        assert [replica.view.last_seq for replica in nats.stream.replicas.values()] == [1, 1, 1]
        assert (await state(link)).state.last_seq == 1

    in_a_world(main)


def test_a_seed_is_a_run() -> None:
    async def main(nats: Nats) -> list[object]:
        trace: list[object] = []
        ask, puller = await with_durable(nats, "n1")
        for n in range(40):
            nats.publish(f"orders.c{n % 3}.o1", b"x")
            if n % 7 == 3:
                nats.step_down()
            if n % 11 == 5:
                nats.kill("n2")
            if n % 11 == 9:
                nats.restart("n2")
            try:
                pulled = await puller.pull("d", 3, timeout_s=0.5)
                trace.append((nats.loop.time(), seqs(pulled), pulled.status, ask.link.connects))
            except UpstreamUnavailable as error:
                trace.append((nats.loop.time(), str(error)))
        return trace

    first = in_a_world(main, 7)
    assert first == in_a_world(main, 7)
    assert first != in_a_world(main, 8)

"""A session's durable consumer on a real server: read, parked, made, removed, collected."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mesh.api import CONSUMER_NOT_FOUND, Api, ApiError, ConsumerInfo
from mesh.contiguity import Hole
from mesh.embedded import EmbeddedServer
from mesh.epoch import identity_of
from mesh.link import Link
from mesh.pull import Puller, PullResult
from mesh.topology import Topology
from replay.catchup import Failed, Read, Standing
from replay.durable import Durable, Durables
from replay.interest import Interest
from replay.record import Owner, session_key
from security.errors import UpstreamUnavailable
from tests.servers import linked, running_server
from tests.until import until

NEVER_S = 3_600.0


class Stored(msgspec.Struct):
    """JetStream's answer to a publish."""

    seq: int


class InterruptedPuller(Puller):
    """Before the next pull something else is begun, and is done first if nothing holds it up."""

    meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None
    task: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        return self.task is not None and self.task.done()

    async def pull(self, consumer: str, batch: int, **more: Any) -> PullResult:
        if self.meanwhile is not None:
            self.task, self.meanwhile = asyncio.create_task(self.meanwhile()), None
            await asyncio.wait([self.task], timeout=0.1)
        return await super().pull(consumer, batch, **more)


class HeldApi(Api):
    """Some kinds of calls wait before they are made, until they are let go."""

    def __init__(self, link: Link, *held: str) -> None:
        super().__init__(link)
        self.reached = {verb: asyncio.Event() for verb in held}
        self.go = {verb: asyncio.Event() for verb in held}

    async def call(self, verb: str, *more: Any, **named: Any) -> Any:
        if verb in self.go:
            self.reached[verb].set()
            await self.go[verb].wait()
        return await super().call(verb, *more, **named)


class World:
    """A gateway's durables, the operator's link to change the stream, and subjects of this test alone."""

    def __init__(self, gateway: Link, puller: InterruptedPuller, operator: Link, identity: str) -> None:
        self.identity = identity
        self.api, self.puller, self.operator = Api(gateway), puller, operator
        self.root = f"orders.{secrets.token_hex(4)}"
        self.owner = Owner("https://issuer", "c42", secrets.token_hex(4), "acme")
        self.key = session_key(self.owner)

    def durable(
        self, inactive_threshold_s: float = NEVER_S, stream: str = "EVENTS", identity: str | None = None
    ) -> Durable:
        shared = Durables(self.api, self.puller, stream, inactive_threshold_s=inactive_threshold_s)
        return shared.durable(self.key, self.owner, self.identity if identity is None else identity)

    async def publish(self, *subjects: str, size: int = 0) -> list[int]:
        """Store an event on each subject, below this test's root."""
        answers = [await self.operator.request(f"{self.root}.{each}", b"x" * size) for each in subjects]
        return [msgspec.json.decode(answer.payload, type=Stored).seq for answer in answers]

    async def last_seq(self) -> int:
        info = await self.api.stream_info("EVENTS")
        assert not isinstance(info, ApiError)
        return info.state.last_seq

    async def change(self, verb: str, body: object) -> None:
        done = await Api(self.operator).call(verb, "EVENTS", body, dict[str, Any])
        assert not isinstance(done, ApiError), done

    async def info(self) -> ConsumerInfo | ApiError:
        return await self.api.call("CONSUMER.INFO", f"EVENTS.{self.key}", None, ConsumerInfo)

    async def exists(self) -> bool:
        info = await self.info()
        assert not isinstance(info, ApiError) or info.err_code == CONSUMER_NOT_FOUND
        return isinstance(info, ConsumerInfo)

    def interest(self, *patterns: str, since: int = 0) -> Interest:
        return Interest({f"{self.root}.{each}": since for each in patterns})

    async def read(
        self, durable: Durable, after: int, interest: Interest, *, batch: int = 100, max_bytes: int = 0
    ) -> tuple[list[int], int, list[Hole]]:
        """One read up to the newest event, as if the recent window began above it."""
        floor = await self.last_seq()
        result = await durable.read(after, interest, floor, floor, batch=batch, max_bytes=max_bytes)
        assert isinstance(result, Read), result
        return [event.seq for event in result.events], result.reached, result.holes

    async def read_all(
        self, durable: Durable, after: int, interest: Interest, *, batch: int = 100, max_bytes: int = 0
    ) -> list[list[int]]:
        """Reads until nothing is left; what each brought."""
        reads: list[list[int]] = []
        while after < await self.last_seq():
            events, after, holes = await self.read(durable, after, interest, batch=batch, max_bytes=max_bytes)
            assert not holes
            reads.append(events)
        return [events for events in reads if events]


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    """A server whose events may be deleted."""
    async with running_server(tmp_path_factory.mktemp("durable") / "s", topology=Topology()) as server:
        yield server


@pytest_asyncio.fixture
async def world(server: EmbeddedServer) -> AsyncIterator[World]:
    async with linked(server, user="gateway") as gateway, linked(server) as operator:
        puller = InterruptedPuller(gateway, "EVENTS")
        await puller.start()
        info = await Api(gateway).stream_info("EVENTS")
        assert not isinstance(info, ApiError)
        yield World(gateway, puller, operator, identity_of("EVENTS", info.created))
        await puller.close()


class Late:
    """Another gateway, some of whose calls to JetStream wait."""

    def __init__(self, link: Link, puller: Puller) -> None:
        self._link, self.puller = link, puller

    def durable(self, world: World, *held: str) -> tuple[Durable, HeldApi]:
        api = HeldApi(self._link, *held)
        shared = Durables(api, self.puller, "EVENTS", inactive_threshold_s=NEVER_S)
        return shared.durable(world.key, world.owner, world.identity), api


@pytest_asyncio.fixture
async def late(server: EmbeddedServer) -> AsyncIterator[Late]:
    async with linked(server, user="gateway") as link:
        puller = Puller(link, "EVENTS")
        await puller.start()
        yield Late(link, puller)
        await puller.close()


async def test_nothing_of_another_stream_of_the_same_name_is_handed_on(world: World) -> None:
    start = await world.last_seq()
    await world.publish("a")
    interest = world.interest("a")
    for identity in ("EVENTS:1", "EVENTS:1:2", f"{world.identity}0"):
        failed = await world.durable(identity=identity).read(
            start, interest, start + 1, start + 1, batch=9, max_bytes=0
        )
        assert failed == Failed("the stream was replaced")
    epoch = world.durable(identity=f"{world.identity}:1795420000000000000")
    assert (await world.read(epoch, start, interest))[0] == [start + 1]


async def test_a_read_brings_what_matches_in_order_and_nothing_else(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a.1", "b.1", "a.2", "c.1", "b.2", "c.2", size=7)
    interest = world.interest("a.*", "b.>")
    result = await world.durable().read(start, interest, seqs[-1], seqs[-1], batch=100, max_bytes=0)
    assert isinstance(result, Read)
    assert [event.seq for event in result.events] == [seqs[0], seqs[1], seqs[2], seqs[4]]
    assert {event.payload for event in result.events} == {b"x" * 7}
    assert result.events[0].subject == f"{world.root}.a.1"
    assert (result.reached, result.holes) == (seqs[4], [])


async def test_a_session_that_missed_nothing_costs_no_consumer(world: World) -> None:
    start, *_ = await world.publish("a")
    await world.publish("b", "b")
    assert await world.read(world.durable(), start, world.interest("a")) == ([], start + 2, [])
    assert world.api.calls["CONSUMER.CREATE"] == 0
    assert not await world.exists()


@pytest.mark.parametrize(("batch", "max_bytes", "largest"), [(1, 0, 1), (3, 0, 3), (100, 900, 2), (100, 100, 1)])
async def test_small_batches_bring_every_event_once(world: World, batch: int, max_bytes: int, largest: int) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish(*(f"a.{n}" for n in range(10)), size=300)
    durable = world.durable()
    reads = await world.read_all(durable, start, world.interest("a.*"), batch=batch, max_bytes=max_bytes)
    assert [seq for events in reads for seq in events] == seqs
    assert max(map(len, reads)) == largest, "an event that is larger than all room goes alone"
    assert world.api.calls["CONSUMER.CREATE"] == 1, "placed once, then read on"


async def test_events_that_are_published_while_a_session_reads_are_read(world: World) -> None:
    start, *_ = await world.publish("first")
    durable, interest, after, brought = world.durable(), world.interest("a"), start, list[int]()
    expected: list[int] = []
    for _ in range(5):
        seqs = await world.publish("a", "b", "a")
        expected += [seqs[0], seqs[2]]
        events, after, _ = await world.read(durable, after, interest, batch=3)
        brought += events
    brought += [seq for events in await world.read_all(durable, after, interest) for seq in events]
    assert brought == expected


async def test_overlapping_patterns_bring_an_event_once_and_nothing_wider(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a.1", "b.2", "a.2", "b.1", "c.c")
    interest = world.interest("a.*", "*.1", "a.1")
    assert await world.read(world.durable(), start, interest) == ([seqs[0], seqs[2], seqs[3]], seqs[4], [])


async def test_a_pattern_brings_nothing_from_before_it_held(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "b", "a", "b", "a")
    interest = world.interest("a", since=start)
    interest.since |= world.interest("b", since=seqs[1]).since
    assert (await world.read(world.durable(), start, interest))[0] == [seqs[0], seqs[2], seqs[3], seqs[4]]


async def test_a_session_that_changes_its_patterns_gets_what_the_new_ones_match(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "b", "a", "b", "a", "b")
    durable = world.durable()
    assert await world.read(durable, start, world.interest("a"), batch=1) == ([seqs[0]], seqs[0], [])
    assert await world.read(durable, seqs[0], world.interest("a", "b"), batch=2) == (seqs[1:3], seqs[2], [])
    assert await world.read(durable, seqs[2], world.interest("b"), batch=1) == ([seqs[3]], seqs[3], [])


async def test_a_durable_that_is_made_for_older_patterns_while_it_is_read_is_read_right(world: World) -> None:
    """Making runs in the background, with the patterns of when the session opened."""
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "b", "a", "b")
    durable = world.durable()
    world.puller.meanwhile = lambda: durable.make(world.interest("a"))
    assert await world.read(durable, start, world.interest("a", "b"), batch=2) == (seqs[:2], seqs[1], [])
    await until(lambda: world.puller.is_done)
    assert await world.read(durable, seqs[1], world.interest("a", "b")) == (seqs[2:], seqs[3], [])


async def test_a_parked_session_shows_how_far_behind_it_is(world: World) -> None:
    seqs = await world.publish("a", "a", "b", "a")
    await world.durable().park(seqs[0], world.interest("a"))
    info = await world.info()
    assert isinstance(info, ConsumerInfo)
    assert info.num_pending == 2
    await world.publish("a")
    info = await world.info()
    assert isinstance(info, ConsumerInfo)
    assert info.num_pending == 3
    assert world.puller.pulls == 1, "only a pull refreshes inactive_threshold"


async def test_parking_takes_nothing_that_a_later_read_would_miss(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "a", "a")
    durable, interest = world.durable(), world.interest("a")
    assert await world.read(durable, start, interest, batch=1) == ([seqs[0]], seqs[0], [])
    await durable.park(seqs[1], interest)
    assert await world.read(durable, seqs[0], interest) == (seqs[1:], seqs[2], [])
    durable._standing = Standing(after=seqs[0])  # placed, with nothing delivered yet
    await durable.park(seqs[1], interest)
    assert await world.read(durable, seqs[0], interest) == (seqs[1:], seqs[2], [])
    await durable.park(seqs[2], interest)
    await world.publish("a")
    assert (await world.read(durable, seqs[2], interest))[0] == [seqs[2] + 1]


async def test_a_handle_that_placed_its_durable_reads_right_after_it_was_parked_elsewhere(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "a", "a", "a")
    durable, interest = world.durable(), world.interest("a")
    assert await world.read(durable, start, interest, batch=1) == ([seqs[0]], seqs[0], [])
    await world.durable().park(seqs[2], interest)
    assert await world.read(durable, seqs[0], interest) == (seqs[1:], seqs[3], [])
    await world.durable().park(start, interest)
    newest = await world.publish("a")
    assert await world.read(durable, seqs[3], interest) == (newest, newest[0], [])


@pytest.mark.parametrize("held", ["CONSUMER.CREATE", "CONSUMER.RESET"])
@pytest.mark.parametrize("patterns", [("a",), ("a", "b", "nothing")])
async def test_a_gateway_that_reads_late_for_a_client_that_is_elsewhere_takes_nothing_from_it(
    world: World, late: Late, held: str, patterns: tuple[str, ...]
) -> None:
    """P4.2: both pull as many, so that the consumer's numbers go on."""
    start, *_ = await world.publish("first")
    seqs = await world.publish(*"aaa", *"ab" * 3, *"aaaaaa")
    here, (there, api) = world.durable(), late.durable(world, held, "CONSUMER.INFO")
    interest = world.interest(*patterns)
    due = seqs if len(patterns) > 1 else [seq for seq in seqs if seq not in (seqs[4], seqs[6], seqs[8])]
    reading = asyncio.create_task(there.read(due[5], interest, seqs[-1], seqs[-1], batch=3, max_bytes=0))
    await api.reached[held].wait()
    assert await world.read(here, start, interest, batch=3) == (due[:3], due[2], [])
    api.go[held].set()
    await api.reached["CONSUMER.INFO"].wait()
    assert late.puller.pulls == 1
    assert await world.read(here, due[2], interest, batch=3) == (due[3:6], due[5], [])
    api.go["CONSUMER.INFO"].set()
    await reading
    assert await world.read(here, due[5], interest, batch=3) == (due[6:9], due[8], [])


async def test_a_durable_that_was_moved_to_the_end_is_soon_placed_anew(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "a", "a")
    here, interest = world.durable(), world.interest("a")
    assert await world.read(here, start, interest, batch=1) == ([seqs[0]], seqs[0], [])
    await world.durable().park(seqs[2], interest)
    pulls = world.puller.pulls
    assert await world.read(here, seqs[0], interest) == (seqs[1:], seqs[2], [])
    assert world.puller.pulls == pulls + 3


async def test_what_a_reader_costs_that_is_alone(world: World) -> None:
    """One small question for each pull, at the same time."""
    start, *_ = await world.publish("first")
    seqs = await world.publish(*"a" * 9)
    durable, interest = world.durable(), world.interest("a", "b")
    assert await world.read(durable, start, interest, batch=3) == (seqs[:3], seqs[2], [])
    calls = world.api.calls.copy()
    assert await world.read(durable, seqs[2], interest, batch=3) == (seqs[3:6], seqs[5], [])
    calls = world.api.calls - calls
    assert calls - Counter({"STREAM.INFO": 1}) == {"STREAM.MSG.GET": 1, "CONSUMER.INFO": 1, "STREAM.INFO": 1}


@pytest.mark.parametrize(
    ("held", "not_done"),
    [
        ("STREAM.MSG.GET", "CONSUMER.CREATE"),
        ("CONSUMER.CREATE", "CONSUMER.RESET"),
        ("CONSUMER.RESET", "CONSUMER.MSG.NEXT"),
    ],
)
async def test_a_reader_whose_session_has_left_touches_the_consumer_no_more(
    world: World, late: Late, held: str, not_done: str
) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "a")
    durable, api = late.durable(world, held)
    is_attached = True
    reading = asyncio.create_task(
        durable.read(start, world.interest("a"), seqs[1], seqs[1], batch=9, max_bytes=0, is_wanted=lambda: is_attached)
    )
    await api.reached[held].wait()
    is_attached = False
    api.go[held].set()
    assert await reading == Failed("its session has left")
    assert (api.calls[not_done], late.puller.pulls) == (0, 0)
    is_attached = True
    again = await durable.read(start, world.interest("a"), seqs[1], seqs[1], batch=9, max_bytes=0)
    assert isinstance(again, Read)
    assert [event.seq for event in again.events] == seqs, "and is right when it reads again"


async def test_a_durable_says_whose_it_is_and_acknowledges_nothing(world: World) -> None:
    await world.durable(inactive_threshold_s=90).make(world.interest("a.*", "*.1"))
    info = await world.info()
    assert isinstance(info, ConsumerInfo)
    config = info.config
    assert config["metadata"].items() >= msgspec.structs.asdict(world.owner).items()
    assert (config["durable_name"], config["ack_policy"], config["num_replicas"]) == (world.key, "none", 1)
    assert (config["deliver_policy"], config["inactive_threshold"]) == ("all", 90_000_000_000)
    assert config["filter_subjects"] == [f"{world.root}.*.*"]


async def test_making_a_durable_that_is_there_moves_nothing(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "a", "a")
    durable, interest = world.durable(), world.interest("a")
    await durable.make(interest)
    assert await world.read(durable, start, interest, batch=2) == (seqs[:2], seqs[1], [])
    await durable.make(interest)
    calls = world.api.calls["CONSUMER.RESET"]
    assert await world.read(durable, seqs[1], interest) == (seqs[2:], seqs[2], [])
    assert world.api.calls["CONSUMER.RESET"] == calls, "it still stood right"


async def test_a_filter_that_another_gateway_has_set_is_not_believed_though_it_is_the_same(world: World) -> None:
    """It may have been another one while events were read."""
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "a", "a")
    durable, interest = world.durable(), world.interest("a")
    assert await world.read(durable, start, interest, batch=1) == ([seqs[0]], seqs[0], [])
    await world.durable().make(interest)
    calls = world.api.calls["CONSUMER.RESET"]
    assert await world.read(durable, seqs[0], interest) == (seqs[1:], seqs[2], [])
    assert world.api.calls["CONSUMER.RESET"] == calls + 1, "placed anew"


async def test_a_session_without_patterns_has_no_durable(world: World) -> None:
    await world.durable().make(Interest())
    await world.durable().park(5, Interest())
    assert not await world.exists()


async def test_a_removed_durable_is_gone_and_may_be_removed_again(world: World) -> None:
    durable = world.durable()
    await durable.make(world.interest("a"))
    assert await world.exists()
    await durable.remove()
    assert not await world.exists()
    await durable.remove()


async def test_a_durable_that_the_server_collected_is_made_again(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "a", "a")
    durable, interest = world.durable(inactive_threshold_s=0.1), world.interest("a")
    assert await world.read(durable, start, interest, batch=1) == ([seqs[0]], seqs[0], [])
    await until(lambda: _is_gone(world))
    failed = await durable.read(seqs[0], interest, seqs[2], seqs[2], batch=10, max_bytes=0)
    assert isinstance(failed, Failed), "it was believed to be there"
    assert await world.read(durable, seqs[0], interest) == (seqs[1:], seqs[2], [])
    assert await world.read(world.durable(), seqs[0], interest) == (seqs[1:], seqs[2], []), "by any handle"


async def _is_gone(world: World) -> bool:
    return not await world.exists()


async def test_events_that_expired_before_they_were_read_are_a_hole(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "a", "a", "a")
    await world.change("STREAM.PURGE", {"seq": seqs[2]})
    expired = Hole(start, seqs[2], "expired")
    assert await world.read(world.durable(), start, world.interest("a")) == (seqs[2:], seqs[3], [expired])
    assert await world.read(world.durable(), start, world.interest("nothing")) == ([], seqs[3], [expired])
    assert await world.read(world.durable(), seqs[1], world.interest("a")) == (seqs[2:], seqs[3], [])


async def test_an_event_that_was_deleted_in_between_is_a_hole(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "a", "a", "a", "a", "a")
    for gone in (seqs[1], seqs[3]):
        await world.change("STREAM.MSG.DELETE", {"seq": gone})
    durable, interest = world.durable(), world.interest("a")
    hole = Hole(seqs[1] - 1, seqs[3] + 1, "deleted")
    assert await world.read(durable, start, interest, batch=1) == ([seqs[0]], seqs[0], [])
    assert await world.read(durable, seqs[0], interest, batch=3) == ([seqs[2], seqs[4], seqs[5]], seqs[5], [hole])
    assert await world.read(world.durable(), seqs[3], interest) == (seqs[4:], seqs[5], [])


async def test_an_event_that_is_deleted_while_a_session_reads_is_a_hole(world: World) -> None:
    start, *_ = await world.publish("first")
    seqs = await world.publish("a", "a", "a")
    durable, interest = world.durable(), world.interest("a")
    assert await world.read(durable, start, interest, batch=1) == ([seqs[0]], seqs[0], [])
    await world.change("STREAM.MSG.DELETE", {"seq": seqs[1]})
    hole = Hole(seqs[0], seqs[2], "deleted")
    assert await world.read(durable, seqs[0], interest) == ([seqs[2]], seqs[2], [hole])


async def test_what_nats_refuses_fails_the_read_and_raises_for_the_rest(world: World) -> None:
    operators = World(world.operator, world.puller, world.operator, world.identity)
    durable, interest = operators.durable(stream="NOSUCH"), world.interest("a")
    assert isinstance(await durable.read(0, interest, 5, 5, batch=1, max_bytes=0), Failed)
    for refused in (durable.park(0, interest), durable.make(interest), durable.remove()):
        with pytest.raises(UpstreamUnavailable):
            await refused

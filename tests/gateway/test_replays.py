"""Who is answered by what: sweeps that several share, durables for the others; and everybody else has the loop, too."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway import replays
from gateway.config import Admission, Config, Sweeps
from gateway.counters import Counters
from gateway.effects import ReadDurable
from gateway.replays import TURN_READERS, Reader, Replays
from gateway.session import CHUNK
from mesh.contiguity import Hole
from mesh.event import StoredEvent
from replay import recent, sharing, stretch
from replay.catchup import Failed, Read
from replay.interest import Interest
from replay.recent import RecentWindow
from replay.record import Owner
from replay.stretch import Stretch
from security.errors import UpstreamUnavailable
from tests.until import until

FLOOR = 400
"""Where the recent window begins; below it sweeps and durables read."""


class FakeStream:
    """What sweeps and durables read, and how often."""

    def __init__(self) -> None:
        recent = RecentWindow(FLOOR, bytes_most=1_000_000, events_most=100)
        recent.append(StoredEvent(FLOOR + 1, "all", 1, b""))
        self.exchange: Any = SimpleNamespace(recent=recent, identity="EVENTS:1:1", guard=SimpleNamespace(look=id))
        self.sweeps: list[FakeSweep] = []
        self.durables_read: list[str] = []
        self.stored_ns = time.time_ns()
        self.fails_after = FLOOR + 2
        """A sweep fails when it has read so far."""

    def events(self, after: int, most: int) -> list[StoredEvent | Hole]:
        first, last = after + 1, min(after + most, FLOOR + 1)
        return [StoredEvent(seq, f"s{seq % 100}", self.stored_ns, b"") for seq in range(first, last + 1)]


class FakeSweep:
    """Reads the fake stream."""

    def __init__(self, stream: FakeStream, after: int) -> None:
        self.start = self.head = after
        self.is_closed = False
        self._stream = stream
        stream.sweeps.append(self)

    async def read(self, most: int, bytes_most: int) -> list[StoredEvent | Hole]:
        await asyncio.sleep(0)
        if self.head >= self._stream.fails_after:
            raise UpstreamUnavailable("a delivery is missing")
        found = self._stream.events(self.head, most)
        self.head += len(found)
        return found

    async def close(self) -> None:
        self.is_closed = True


class FakeReader:
    """A session that reads on until it has all that lies below the recent window, unless it is told to wait."""

    def __init__(self, stream: FakeStream, house: Replays, name: str, pattern: str = ">", position: int = 0) -> None:
        self.name, self.position = name, position
        self.owner = Owner("issuer", name, "phone")
        self.exchange = stream.exchange
        self.session = SimpleNamespace(interest=Interest({pattern: 0}))
        self.durable = self
        self.is_attached = True
        self.is_placed = False
        self.reads_on = True
        self.got: list[int] = []
        self.results: list[Read | Failed] = []
        self._stream, self._house = stream, house

    def ask(self, batch: int = 500) -> None:
        self._house.ask(cast(Reader, self), ReadDurable(self.position, batch, 1_000_000))

    def guarded(self, step: Callable[[], None]) -> None:
        step()

    def replayed(self, result: Read | Failed) -> None:
        assert self.is_attached, "nothing is handed to a session that has gone"
        self.results.append(result)
        assert isinstance(result, Read)
        self.got += [event.seq for event in result.events]
        self.position = result.reached
        if self.reads_on and self.position < FLOOR:
            self.ask()

    def stands_at(self, after: int) -> bool:
        return self.is_placed

    async def read(self, after: int, interest: Interest, floor: int, head: int, **_: int) -> Read:
        self._stream.durables_read.append(self.name)
        await asyncio.sleep(0)
        events = [each for each in self._stream.events(after, 1_000) if isinstance(each, StoredEvent)]
        return Read([each for each in events if interest.is_due(each.subject, each.seq)], head, [])


class Desk:
    """A ``Replays`` and its stream."""

    def __init__(self, **sweeps: int) -> None:
        self.stream = FakeStream()
        self.counters = Counters()
        config = Config(sweeps=Sweeps(**sweeps), admission=Admission(replays=2))
        self.replays = Replays(config, cast(Any, None), cast(Any, None), self.counters)

    def reader(self, name: str, pattern: str = ">", position: int = 0) -> FakeReader:
        return FakeReader(self.stream, self.replays, name, pattern, position)

    def crowd(self, count: int, pattern: str = ">") -> list[FakeReader]:
        readers = [self.reader(f"r{n}", pattern) for n in range(count)]
        for reader in readers:
            reader.ask()
        return readers


@contextlib.asynccontextmanager
async def desk(monkeypatch: pytest.MonkeyPatch, **sweeps: int) -> AsyncIterator[Desk]:
    made = Desk(**sweeps)
    monkeypatch.setattr(replays, "Sweep", lambda *given: FakeSweep(made.stream, given[4]))
    monkeypatch.setattr(replays, "GATHER_S", 0.01)
    yield made
    await made.replays.settle()
    assert all(sweep.is_closed for sweep in made.stream.sweeps)


async def test_a_session_alone_reads_its_durable_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        monkeypatch.setattr(replays, "GATHER_S", 3_600.0)
        reader = at.reader("alone")
        reader.ask()
        await until(lambda: reader.position > FLOOR)
        assert (reader.got, at.stream.durables_read, at.stream.sweeps) == ([*range(1, FLOOR + 2)], ["alone"], [])


async def test_those_who_follow_share_one_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        readers = at.crowd(20)
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert all(reader.got[:FLOOR] == [*range(1, FLOOR + 1)] for reader in readers)
        assert at.stream.durables_read == ["r0"]
        assert [sweep.start for sweep in at.stream.sweeps] == [0]
        assert at.counters.sweeps == 1
        assert at.counters.events_swept == at.stream.sweeps[0].head


async def test_who_has_nothing_due_is_answered_once_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch, events=40) as at:
        readers = at.crowd(5, "nobody.>")
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert [len(reader.results) for reader in readers] == [1] * 5


async def test_a_sweep_does_not_run_ahead_of_those_whom_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch, events=100) as at:
        readers = [at.reader(f"r{n}") for n in range(5)]
        for reader in readers:
            reader.reads_on = False
            reader.ask(batch=30)
        await until(lambda: all(reader.results for reader in readers))
        assert [sweep.head for sweep in at.stream.sweeps] == [100]
        assert at.replays.waiting == 0
        for reader in readers[1:]:  # the first one's durable has brought all
            reader.reads_on = True
            reader.ask()
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert all(reader.got[:FLOOR] == [*range(1, FLOOR + 1)] for reader in readers)


@pytest.mark.parametrize(("is_slow", "fills"), [(False, 4), (True, 7)])
async def test_half_of_what_was_read_is_kept_for_who_is_slower(
    monkeypatch: pytest.MonkeyPatch, *, is_slow: bool, fills: int
) -> None:
    begun: list[bool] = []
    begin_fill = Stretch.begin_fill

    def watched(stretch: Stretch, *, keeps_half: bool) -> None:
        begun.append(keeps_half)
        begin_fill(stretch, keeps_half=keeps_half)

    async with desk(monkeypatch, events=100) as at:
        monkeypatch.setattr(Stretch, "begin_fill", watched)
        slow, *readers = at.crowd(5, "s1")[1:]
        slow.reads_on = not is_slow
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert begun == [False] + [is_slow] * (fills - 1)
        assert all(reader.got == [1, 101, 201, 301] for reader in readers)
        at.replays.leave(cast(Reader, slow))


async def test_who_comes_while_what_it_stands_at_is_let_go_of_gets_what_is_here_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late: list[FakeReader] = []

    class Opening(FakeSweep):
        async def read(self, most: int, bytes_most: int) -> list[StoredEvent | Hole]:
            if self.head == 100:
                late.extend([at.reader("late", "s1", 10), at.reader("late, nothing due", "nobody", 10)])
                for reader in late:
                    reader.ask()
                assert [reader.position for reader in late] == [100, 100]
            return await super().read(most, bytes_most)

    async with desk(monkeypatch, events=100) as at:
        monkeypatch.setattr(replays, "Sweep", lambda *given: Opening(at.stream, given[4]))
        at.crowd(5, "s1")
        await until(lambda: len(late) == 2 and all(reader.position >= FLOOR for reader in late))
        assert [reader.got for reader in late] == [[101, 201, 301], []]
        assert at.stream.durables_read == ["r0"]


async def test_when_a_sweep_fails_those_who_wait_read_their_durables(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch, events=100) as at:
        at.stream.fails_after = 150
        readers = at.crowd(10)
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert all(reader.got[:FLOOR] == [*range(1, FLOOR + 1)] for reader in readers)
        assert len(at.stream.sweeps) == 1
        assert set(at.stream.durables_read) == {reader.name for reader in readers}


async def test_what_has_expired_by_a_wrong_clock_is_read_from_the_durables(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        at.stream.stored_ns = 1
        readers = at.crowd(10)
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert all(reader.got[:FLOOR] == [*range(1, FLOOR + 1)] for reader in readers)
        assert len(at.stream.sweeps) == 1


async def test_a_bug_in_a_sweep_costs_nobody_anything(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(monkeypatch) as at:
        readers = at.crowd(10)
        monkeypatch.setattr(FakeSweep, "read", None)
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert len(at.stream.sweeps) == 1
        assert "a sweep failed" in caplog.text


async def test_when_a_sweep_ends_others_have_the_loop_while_it_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        monkeypatch.setattr(recent, "EXPIRED_MOST", 10)
        monkeypatch.setattr(replays, "LINGER_S", 0.0)
        left: list[int] = []
        let_go = Stretch.let_go

        def watched(stretch: Stretch) -> bool:
            asyncio.get_running_loop().call_soon(left.append, len(left))
            return let_go(stretch)

        monkeypatch.setattr(Stretch, "let_go", watched)
        at.crowd(5)
        await until(lambda: len(left) == (FLOOR + 1) // 10 + 1)
        assert left == [*range(len(left))]


@pytest.mark.parametrize(("fits", "held_s"), [(True, 0.3), (False, 0.6)])
async def test_a_sweep_waits_while_more_come_for_as_long_as_it_takes_where_it_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, *, fits: bool, held_s: float
) -> None:
    async with desk(monkeypatch, events=FLOOR if fits else FLOOR - 1) as at:
        monkeypatch.setattr(replays, "GATHER_S", 0.1)
        monkeypatch.setattr(replays, "HOLD_S", 0.3)
        monkeypatch.setattr(sharing, "EVENT_COST_S", 0.6 / FLOOR)
        monkeypatch.setattr(sharing, "REPLAY_COST_S", 10.0)
        began_s, readers = asyncio.get_running_loop().time(), at.crowd(3)

        def more_come() -> bool:
            readers.extend(at.crowd(1))
            return bool(at.stream.sweeps)

        await until(more_come)
        assert held_s <= asyncio.get_running_loop().time() - began_s
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert (len(at.stream.durables_read), len(at.stream.sweeps)) == (1, 1)


async def test_while_more_come_nobody_reads_a_durable_before_it_is_known_whether_a_sweep_saves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with desk(monkeypatch) as at:
        monkeypatch.setattr(replays, "GATHER_S", 0.1)
        monkeypatch.setattr(sharing, "EVENT_COST_S", 5.5 / FLOOR)
        monkeypatch.setattr(sharing, "REPLAY_COST_S", 1.0)
        readers = at.crowd(2)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, lambda: readers.extend(at.crowd(5)))
        await until(lambda: all(reader.position >= FLOOR for reader in readers) and len(readers) == 7)
        assert (at.stream.durables_read, len(at.stream.sweeps)) == (["r0"], 1)


async def test_who_come_one_by_one_pay_for_durables_what_a_sweep_costs_and_then_share_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with desk(monkeypatch) as at:
        monkeypatch.setattr(sharing, "EVENT_COST_S", 20.5 / FLOOR)
        monkeypatch.setattr(sharing, "REPLAY_COST_S", 1.0)
        for number in range(30):
            reader = at.reader(f"r{number}", "s1")
            reader.ask()
            await until(lambda reader=reader: reader.position >= FLOOR)  # type: ignore[misc]
            assert reader.got[:4] == [1, 101, 201, 301]
        assert (len(at.stream.durables_read), len(at.stream.sweeps)) == (20, 1)


async def test_who_come_one_by_one_with_long_pauses_read_their_durables(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        monkeypatch.setattr(replays, "PLACED_S", 0.0)
        for number in range(30):
            reader = at.reader(f"r{number}", "s1")
            reader.ask()
            await until(lambda reader=reader: reader.position >= FLOOR)  # type: ignore[misc]
        assert (len(at.stream.durables_read), len(at.stream.sweeps)) == (30, 0)


async def test_who_comes_while_all_that_fits_is_read_has_it_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        monkeypatch.setattr(stretch, "PULL_EVENTS", 50)
        readers = at.crowd(5, "s1")
        await until(lambda: bool(at.stream.sweeps) and at.stream.sweeps[0].head >= 100)
        readers += at.crowd(5, "s1")
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert all(reader.got == [1, 101, 201, 301, 401][: len(reader.got)] for reader in readers)
        assert [len(reader.results) for reader in readers[1:]] == [1] * 9
        assert (at.stream.durables_read, len(at.stream.sweeps)) == (["r0"], 1)


async def test_who_comes_when_all_is_read_has_it_with_the_welcome_where_it_is_no_more_than_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with desk(monkeypatch) as at:
        readers = at.crowd(5)
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        few, at_most, many = at.reader("few", "s1"), at.reader("at most"), at.reader("many")
        few.ask(batch=6)
        assert (few.got, at.replays.waiting) == ([1, 101, 201, 301, 401], 0)
        at_most.position = many.position = FLOOR + 1 - CHUNK
        at_most.ask(batch=CHUNK + 1)
        assert (at_most.results, at.replays.waiting) == ([], 1)
        many.position += 1
        many.ask(batch=CHUNK + 1)
        assert (len(many.got), at.replays.waiting) == (CHUNK - 1, 1)
        await until(lambda: at_most.position >= FLOOR)
        assert len(at_most.got) == CHUNK


async def test_a_sweep_is_kept_while_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        monkeypatch.setattr(replays, "LINGER_S", 0.2)
        readers = at.crowd(5)
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        until_s = asyncio.get_running_loop().time() + 0.5

        def one_more_comes() -> bool:
            readers.append(at.reader("late", "s1"))
            readers[-1].ask()
            return asyncio.get_running_loop().time() >= until_s

        await until(one_more_comes)
        assert all(reader.position >= FLOOR for reader in readers)
        assert [sweep.is_closed for sweep in at.stream.sweeps] == [False]
        await until(lambda: at.stream.sweeps[0].is_closed)


async def test_who_gets_a_turn_full_of_events_does_not_wait_for_the_end_of_a_fill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heads: dict[str, int] = {}

    class Watched(FakeReader):
        def replayed(self, result: Read | Failed) -> None:
            heads.setdefault(self.name, self._stream.sweeps[0].head if self._stream.sweeps else 0)
            super().replayed(result)

    async with desk(monkeypatch) as at:
        monkeypatch.setattr(stretch, "PULL_EVENTS", 50)
        patterns = {"first": ">", "all": ">", "few": "s1"}
        readers = [Watched(at.stream, at.replays, name, pattern) for name, pattern in patterns.items()]
        for reader in readers:
            reader.ask(batch=50)
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert heads == {"first": 0, "all": 50, "few": FLOOR}


async def test_who_leaves_while_waiting_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        readers = at.crowd(5)
        for reader in readers[2:4]:
            at.replays.leave(cast(Reader, reader))
            reader.is_attached = False
        staying = [reader for reader in readers if reader.is_attached]
        await until(lambda: all(reader.position >= FLOOR for reader in staying))
        assert at.replays.waiting == 0


async def test_who_is_far_ahead_of_a_sweep_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "AHEAD_MOST", 100)
    async with desk(monkeypatch, events=40) as at:
        crowd = at.crowd(20)
        near = [at.reader("near-1", position=390), at.reader("near-2", position=391)]
        for reader in near:
            reader.ask()
        await until(lambda: all(reader.position >= FLOOR for reader in (*crowd, *near)))
        assert [sweep.start for sweep in at.stream.sweeps] == [0]
        assert [name for name in at.stream.durables_read if name != "r0"] == ["near-1", "near-2"]


async def test_a_durable_that_stands_where_it_is_needed_is_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        readers = [at.reader(f"r{n}") for n in range(5)]
        for reader in readers:
            reader.is_placed = True
            reader.ask()
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert (len(at.stream.durables_read), at.stream.sweeps) == (5, [])


async def test_a_configuration_without_sweeps_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch, events=0) as at:
        readers = at.crowd(10)
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert (len(at.stream.durables_read), at.stream.sweeps) == (10, [])


async def test_others_have_the_loop_between_the_turns_of_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [0]
    answered: list[int] = []

    def turn() -> None:
        turns[0] += 1
        if not is_over:
            asyncio.get_running_loop().call_soon(turn)

    class Watched(FakeReader):
        def replayed(self, result: Read | Failed) -> None:
            answered.append(turns[0])
            super().replayed(result)

    async with desk(monkeypatch) as at:
        is_over = False
        readers = [Watched(at.stream, at.replays, f"r{n}", f"s{n % 100}") for n in range(10 * TURN_READERS)]
        turn()
        for reader in readers:
            reader.ask()
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        is_over = True
        assert max(answered.count(number) for number in answered) <= TURN_READERS + 2  # and two of durables

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
from mesh.contiguity import Hole
from mesh.event import StoredEvent
from replay import sharing
from replay.catchup import Failed, Read
from replay.interest import Interest
from replay.recent import RecentWindow
from replay.record import Owner
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
        assert [sweep.head for sweep in at.stream.sweeps] == [50]
        assert at.replays.waiting == 0
        for reader in readers[1:]:  # the first one's durable has brought all
            reader.reads_on = True
            reader.ask()
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert all(reader.got[:FLOOR] == [*range(1, FLOOR + 1)] for reader in readers)


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


async def test_a_sweep_waits_while_more_come_but_no_longer_than_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        monkeypatch.setattr(replays, "GATHER_S", 0.5)
        monkeypatch.setattr(sharing, "EVENT_COST_S", 1.0 / FLOOR)
        monkeypatch.setattr(sharing, "REPLAY_COST_S", 10.0)
        began_s, readers = asyncio.get_running_loop().time(), at.crowd(3)

        def more_come() -> bool:
            readers.extend(at.crowd(1))
            return bool(at.stream.sweeps)

        await until(more_come)
        assert asyncio.get_running_loop().time() - began_s >= 1.5
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert (len(at.stream.durables_read), len(at.stream.sweeps)) == (1, 1)


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

"""A durable's next read is begun before what was read is handed over, where it is as good as sure to be asked for."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.effects import ReadDurable
from gateway.replays import Reader, Replays
from gateway.session import MESSAGE_OVERHEAD_BYTES
from mesh.event import StoredEvent
from replay.catchup import Failed, Read
from replay.interest import Interest
from tests.gateway.test_replays import FLOOR, Desk, FakeReader, FakeStream, desk
from tests.until import until

EACH = 100
"""Events of a read; four reach the recent window."""
SIZE = EACH * (MESSAGE_OVERHEAD_BYTES + len("s"))


class Alone(FakeReader):
    """A session and its durable, which says in which order it is read and handed events."""

    def __init__(self, stream: FakeStream, house: Replays) -> None:
        super().__init__(stream, house, "alone")
        self.session = SimpleNamespace(interest=Interest({">": 0}), is_blocked=False)
        self.free = (10 * EACH, 10 * SIZE)
        self.log: list[str] = []
        self.limits: list[tuple[int, int]] = []
        self.stands = 0
        self.waits_at: int | None = None
        """A read from here takes until ``goes_on``."""
        self.goes_on = asyncio.Event()
        self.is_wanted: Callable[[], bool] = lambda: False

    def ask(self, batch: int = EACH) -> None:
        self._house.ask(cast(Reader, self), ReadDurable(self.position, batch, 1_000_000, *self.free))

    def stands_at(self, after: int) -> bool:
        return self.stands == after

    def replayed(self, result: Read | Failed) -> None:
        if isinstance(result, Failed):
            self.log.append("failed")
            return
        self.log.append(f"handed {result.reached}")
        super().replayed(result)

    async def read(self, after: int, interest: Interest, floor: int, head: int, **limits: Any) -> Read:
        self.is_wanted = limits["is_wanted"]
        self.log.append(f"read {after}")
        self.limits.append((limits["batch"], limits["max_bytes"]))
        await (self.goes_on.wait() if after == self.waits_at else asyncio.sleep(0))
        events = [StoredEvent(seq, "s", 1, b"") for seq in range(after + 1, after + EACH + 1)]
        self.stands = after + EACH
        return Read(events, self.stands, [])


def alone(at: Desk) -> Alone:
    return Alone(at.stream, at.replays)


ALL = [*range(1, FLOOR + 1)]


async def test_the_next_read_is_begun_before_what_was_read_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        reader = alone(at)
        reader.ask()
        await until(lambda: reader.position >= FLOOR)
        begun = ["read 0", "read 100", "handed 100", "read 200", "handed 200", "read 300", "handed 300", "handed 400"]
        assert (reader.log, reader.got) == (begun, ALL)
        assert at.counters.events_from_durables == FLOOR
        assert (at.replays.running, at.replays.waiting) == (0, 0)


async def test_what_was_read_ahead_and_not_asked_for_is_dropped_and_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        reader = alone(at)
        reader.reads_on = False
        reader.ask()
        await until(lambda: reader.stands == 2 * EACH and not at.replays.running)
        assert (reader.log, reader.got) == (["read 0", "read 100", "handed 100"], ALL[:EACH])
        reader.reads_on = True
        reader.ask()
        await until(lambda: reader.position >= FLOOR)
        assert (reader.log[3:5], reader.got) == (["read 100", "read 200"], ALL)
        assert at.counters.events_from_durables == FLOOR, "what was dropped is not counted"


async def test_who_asks_while_it_is_read_is_answered_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        reader = alone(at)
        reader.reads_on, reader.waits_at = False, EACH
        reader.ask()
        await until(lambda: reader.position == EACH)
        reader.reads_on = True
        reader.ask()
        reader.goes_on.set()
        await until(lambda: reader.position >= FLOOR)
        assert (reader.log.count("read 100"), reader.got) == (1, ALL)


async def test_who_asks_for_another_position_is_not_answered_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        reader = alone(at)
        reader.reads_on, reader.waits_at = False, EACH
        reader.ask()
        await until(lambda: reader.position == EACH)
        reader.position, reader.reads_on = EACH + 7, True
        reader.ask()
        reader.goes_on.set()
        await until(lambda: reader.position >= FLOOR)
        assert (f"read {EACH + 7}" in reader.log, reader.got[EACH]) == (True, EACH + 8)


async def test_nothing_is_handed_to_a_session_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        reader = alone(at)
        reader.waits_at = EACH
        reader.ask()
        await until(lambda: reader.position == EACH)
        reader.is_attached = False
        at.replays.leave(cast(Reader, reader))
        reader.goes_on.set()
        await until(lambda: not at.replays.running)
        assert reader.got == ALL[:EACH]


async def test_nothing_is_read_ahead_for_a_session_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its durable may be another gateway's by now."""
    async with desk(monkeypatch) as at:
        reader = alone(at)
        reader.waits_at = 0
        reader.ask()
        await until(lambda: reader.log == ["read 0"])
        assert reader.is_wanted()
        reader.is_attached = False
        at.replays.leave(cast(Reader, reader))
        assert not reader.is_wanted(), "the read under way touches the durable no more"
        reader.goes_on.set()
        await until(lambda: not at.replays.running)
        assert (reader.log, reader.got) == (["read 0"], [])


def no_room_for_events(reader: Alone) -> None:
    reader.free = (EACH - 1, 10 * SIZE)


def no_room_for_bytes(reader: Alone) -> None:
    reader.free = (10 * EACH, SIZE - 1)


def a_blocked_socket(reader: Alone) -> None:
    reader.session.is_blocked = True


@pytest.mark.parametrize("hindrance", [no_room_for_events, no_room_for_bytes, a_blocked_socket])
async def test_nothing_is_read_ahead_of_a_session_that_will_not_ask_at_once(
    monkeypatch: pytest.MonkeyPatch, hindrance: Callable[[Alone], None]
) -> None:
    async with desk(monkeypatch) as at:
        reader = alone(at)
        hindrance(reader)
        reader.ask()
        await until(lambda: reader.position >= FLOOR)
        assert reader.log[:4] == ["read 0", "handed 100", "read 100", "handed 200"]


async def test_no_more_is_read_ahead_than_leaves_half_of_the_window_free(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch) as at:
        reader = alone(at)
        reader.free = (EACH, SIZE)
        reader.ask(batch=EACH + 50)
        await until(lambda: reader.position >= FLOOR)
        assert reader.limits[:2] == [(EACH + 50, 1_000_000), (EACH, SIZE)]


async def test_nothing_is_read_ahead_while_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch, events=0) as at:
        readers = [alone(at) for _ in range(4)]  # two are read for at once
        for reader in readers:
            reader.ask()
        await until(lambda: any(reader.got for reader in readers[:2]))
        assert {tuple(reader.log[:2]) for reader in readers[:2]} <= {("read 0", "handed 100"), ("read 0",)}
        await until(lambda: all(reader.position >= FLOOR for reader in readers))
        assert all(reader.got == ALL for reader in readers)

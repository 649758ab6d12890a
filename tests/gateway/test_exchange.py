"""Where events meet sessions: what came together in one write, in order; quiet cursors a few at a time."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.attached import Attached
from gateway.exchange import REFRESH_S, TICK_S, Exchange
from gateway.leak_guard import LeakGuard
from gateway.websocket_frame import websocket_messages
from mesh.event import StoredEvent
from replay.recent import RecentWindow
from security.policy import Policy
from tests.gateway.driven_session import UNIX_S, DrivenSession, event

NOW_S = 3e9
"""The exchange reads the clock itself: the sessions' tokens are good for longer than that."""


class Held:
    """A connection whose socket is a list."""

    def __init__(self, key: str, patterns: list[str]) -> None:
        self.key = key
        self.driven = DrivenSession(patterns=dict.fromkeys(patterns, 0), expires_at=NOW_S)
        self.session = self.driven.session
        self.session.start()
        self.session.outbox.clear()
        self.is_attached = True
        self.held = dict.fromkeys(patterns)
        self.written: list[bytes] = []
        self.cursor = SimpleNamespace(claim=key, claimed_revision=1, saved_through=0)
        self.saves = 0

    def write(self, messages: bytes) -> None:
        self.written.append(messages)

    def flush(self, unix_s: float) -> None:
        taken = self.session.take(unix_s)
        if taken:
            self.write(websocket_messages(taken, self.session.encoding))

    def save_soon(self) -> None:
        self.saves += 1


def exchange(events_most: int = 1_000) -> Exchange:
    recent = RecentWindow(0, bytes_most=10**9, events_most=events_most)
    return Exchange(recent, "EVENTS:1:1", LeakGuard(Policy([])), lambda *_: None)


def attached(to: Exchange, key: str, *patterns: str) -> Held:
    held = Held(key, list(patterns))
    to.attach(cast("Attached", held))
    return held


def seqs(message: bytes) -> list[int]:
    """The sequences in one message."""
    return [int(part.partition(b",")[0]) for part in message.split(b'"seq":')[1:]]


def events(*subjects: str) -> list[StoredEvent]:
    return [event(seq, subject) for seq, subject in enumerate(subjects, 1)]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["a.>"], [[1, 2, 4]]),
        (["a.b", "a.c"], [[1, 2, 4]]),
        (["a.b", "*.b", "c.>"], [[1, 3, 4, 5]]),
        (["d"], [[6]]),
        (["b.b", "c.d"], [[3, 5]]),
        (["e"], []),
    ],
)
async def test_a_session_gets_what_came_together_in_one_write_and_in_order(
    patterns: list[str], expected: list[list[int]]
) -> None:
    at = exchange()
    held, other = attached(at, "k", *patterns), attached(at, "other", "c.d")
    at.deliver(events("a.b", "a.c", "b.b", "a.b", "c.d", "d"))
    assert [seqs(message) for message in held.written] == expected
    assert [seqs(message) for message in other.written] == [[5]]
    assert at.events_in == 6


async def test_quiet_cursors_are_written_before_the_window_moves_on_and_a_few_at_a_time() -> None:
    at = exchange(events_most=100)
    crowd = [attached(at, str(number), "quiet") for number in range(200)]
    for held in crowd:
        held.session._recent = at.recent
    ticks = round(REFRESH_S / TICK_S)

    def saves_of_a_round() -> list[int]:
        told = []
        for _ in range(ticks):
            before = sum(held.saves for held in crowd)
            at._refresh_cursors(UNIX_S)
            told.append(sum(held.saves for held in crowd) - before)
        return told

    at.deliver(events(*["loud"] * 50))
    assert saves_of_a_round() == [0] * ticks, "nothing of what they would need is about to go"
    at.deliver([event(seq, "loud") for seq in range(51, 81)])
    assert saves_of_a_round() == [200 // ticks] * ticks
    assert {held.saves for held in crowd} == {1}
    for held in crowd:
        held.cursor.saved_through = held.session.through
    assert saves_of_a_round() == [0] * ticks, "they are written"


async def test_whoever_has_gone_is_not_written() -> None:
    at = exchange(events_most=100)
    held: Any = attached(at, "k", "quiet")
    held.session._recent = at.recent
    at.timers = SimpleNamespace(forget=lambda _: None)  # type: ignore[assignment]  # nothing was watched
    at.deliver(events(*["loud"] * 100))
    at._refresh_cursors(UNIX_S)
    assert held.saves == 1
    at._unrefreshed = [held]
    at.detach(held)
    at._refresh_cursors(UNIX_S)
    assert held.saves == 1

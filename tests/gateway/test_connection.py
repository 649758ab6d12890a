"""A connection's shell: when a slow socket is given up, and how replies wait for the cursor bucket."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from gateway import frames
from gateway.connection import UNSTORED_REPLIES_MOST, WRITE_HIGH_BYTES, WRITE_LOW_BYTES, Connection
from gateway.counters import Counters
from gateway.house import House
from gateway.websocket import WebSocket
from gateway.websocket_frame import SameMessages
from mesh.kv import Bucket, Conflict
from replay.cursors import Cursors
from replay.durable import Durable
from replay.record import Owner, Record, decode_record
from security.errors import LimitReached, UpstreamUnavailable
from tests.gateway.driven_session import EVERYTHING, DrivenSession, claims
from tests.sim.clock import run

STALL_S = 30.0
EVENT_BYTES = 2_000


class Line(asyncio.Transport):
    """A socket's transport whose peer takes bytes when it is told to; it calls back as those of asyncio do."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: WebSocket | None = None
        self.unsent = bytearray()
        self.taken = bytearray()
        self._limits = (0, 0)
        self._is_paused = False
        self.cut = asyncio.Event()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._limits = (high or 0, low or 0)

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def write(self, data: Any) -> None:
        if not self.cut.is_set():
            self.unsent += data
            self._look()

    def take(self, count: int) -> None:
        """The peer takes so many bytes."""
        self.taken += self.unsent[:count]
        del self.unsent[:count]
        self._look()

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None:
        if not self.cut.is_set():
            self.cut.set()
            assert self.protocol is not None
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    close = abort

    def _look(self) -> None:
        assert self.protocol is not None
        high, low = self._limits
        if not self._is_paused and len(self.unsent) > high:
            self._is_paused = True
            self.protocol.pause_writing()
        elif self._is_paused and len(self.unsent) <= low:
            self._is_paused = False
            self.protocol.resume_writing()


class Shelf:
    """A cursor bucket of one key: it can be away, refuse, or take its time."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.tries = 0
        self.error: Exception | None = None
        self.is_anothers = False
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def put(self, key: str, value: bytes, *, revision: int | None = None) -> int | Conflict:
        del key, revision
        self.tries += 1
        await self.is_open.wait()
        if self.error is not None:
            raise self.error
        if self.is_anothers:
            return Conflict()
        record = decode_record(value)
        assert record is not None
        self.records.append(record)
        return len(self.records)

    async def get_from_leader(self, key: str) -> tuple[None, int]:
        """Whoever took the session has ended it since."""
        del key
        return None, 99


class Place:
    """A connection in a made-up house, with its socket and its bucket."""

    def __init__(self, events: int = 0, **session: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.line, self.shelf = Line(), Shelf()
        self.counters = Counters()
        self.kept: set[asyncio.Task[Any]] = set()
        self.driven = DrivenSession(keep=100_000, window_messages=10**6, window_bytes=10**9, **session)
        self.driven.now_s = self.loop.time()
        for _ in range(events):
            self.driven.publish("a.b", payload=b'"' + b"x" * EVENT_BYTES + b'"')
        nothing = SimpleNamespace(ask=print, leave=lambda _: None, park_later=lambda *_: None)
        house = SimpleNamespace(
            name="h",
            now_s=self.loop.time,
            config=SimpleNamespace(limits=SimpleNamespace(write_stall_s=STALL_S)),
            counters=self.counters,
            keep=self.kept.add,
            cursors=Cursors(cast(Bucket, self.shelf), save_within_s=1.0),
            replays=nothing,
            parking=nothing,
        )
        exchange = SimpleNamespace(
            messages=SameMessages(),
            hub=SimpleNamespace(hold=lambda *_: None, release=lambda *_: None),
            touch=lambda _: None,
            attach=lambda _: None,
            detach=self._detach,
        )
        socket = WebSocket(self.line, message_most_bytes=65_536, control_frames=(50, 200), lost=lambda _: None)
        self.line.protocol = socket
        self.connection = Connection(
            cast(House, house),
            cast(Any, exchange),
            socket,
            self.line,
            key="k",
            owner=Owner("i", "u", "pixel"),
            claim="c",
            revision=1,
            session=self.driven.session,
            claims=claims(),
            permissions=EVERYTHING,
            durable=cast(Durable, None),
        )
        self.connection.start()
        socket.listen(lambda *_: None, self.connection.set_blocked, self.connection.ended)

    def _detach(self, connection: Connection) -> None:
        connection.is_attached = False

    async def peer_takes(self, bytes_per_s: int, for_s: float) -> None:
        """The peer reads without a pause, at this speed."""
        for _ in range(int(for_s * 10)):
            await asyncio.sleep(0.1)
            self.line.take(bytes_per_s // 10)

    async def closed_within(self, seconds: float, code: int) -> bool:
        """Whether the connection is closed by then, with this code and no sooner than a stall takes."""
        begun_s = self.loop.time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.line.cut.wait()
        waited_s = self.loop.time() - begun_s
        return self.line.cut.is_set() and waited_s >= STALL_S and self.counters.closes == {code: 1}

    def told(self) -> list[dict[str, Any]]:
        """The frames that the peer was sent and has not yet been asked about, in order."""
        self.line.take(len(self.line.unsent))
        taken, self.line.taken = self.line.taken, bytearray()
        return [each for message in _messages(bytes(taken)) for each in message]

    def told_ids(self) -> list[int]:
        """Of the replies among them."""
        return [each["id"] for each in self.told() if each["type"] == "reply"]

    def ask(self, *ids: int) -> None:
        """As many frames of the client that change nothing and want an answer."""
        self.connection.receive([frames.Unsubscribe(id_, ["nothing"]) for id_ in ids])

    def subscribe(self, id_: int, pattern: str) -> None:
        self.connection.receive([frames.Subscribe(id_, [pattern])])


def _messages(data: bytes) -> list[list[dict[str, Any]]]:
    """The text messages among the frames of a server."""
    found: list[list[dict[str, Any]]] = []
    while data:
        size, head = data[1], 2
        if size == 126:
            size, head = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, head = int.from_bytes(data[2:10]), 10
        if data[0] == 0x81:
            message = msgspec.json.decode(data[head : head + size])
            found.append(message if isinstance(message, list) else [message])
        data = data[head + size :]
    return found


async def turns(count: int = 20) -> None:
    """Let everybody go on who can, while no time passes."""
    for _ in range(count):
        await asyncio.sleep(0)


def in_virtual_time(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(scenario(), Random(0))


# --- sockets ---


def test_a_slow_client_that_reads_without_a_pause_is_not_given_up() -> None:  # P7.2
    """A catch-up fills the socket again as soon as it has drained, and what is unsent goes up and down for minutes."""

    async def scenario(bytes_per_s: int) -> None:
        place = Place(events=10_000)
        await place.peer_takes(bytes_per_s, 300)
        assert place.counters.closes == {}
        assert len(place.line.taken) == bytes_per_s * 300
        assert place.connection.session.is_blocked, "there is still something to send"

    for bytes_per_s in (25_000, 31_000, 40_000, 57_000):
        in_virtual_time(lambda bytes_per_s=bytes_per_s: scenario(bytes_per_s))  # type: ignore[misc]


def test_a_socket_that_takes_nothing_is_given_up() -> None:  # P7.2
    async def scenario() -> None:
        place = Place(events=1_000)
        assert place.line.get_write_buffer_size() > WRITE_HIGH_BYTES
        assert await place.closed_within(STALL_S + 1, 4003)
        await turns()
        assert not place.connection.is_attached

    in_virtual_time(scenario)


def test_a_socket_that_takes_a_little_and_then_nothing_is_given_up() -> None:  # P7.2
    async def scenario() -> None:
        place = Place(events=1_000)
        await asyncio.sleep(1)
        place.line.take(100)
        assert await place.closed_within(2 * STALL_S, 4003)

    in_virtual_time(scenario)


def test_a_socket_that_drains_is_filled_again_and_takes_nothing_more_is_given_up() -> None:  # P7.2
    async def scenario() -> None:
        place = Place(events=1_000)
        await asyncio.sleep(STALL_S - 1)
        place.line.take(len(place.line.unsent) - WRITE_LOW_BYTES)
        assert place.line.get_write_buffer_size() > WRITE_HIGH_BYTES
        assert await place.closed_within(2 * STALL_S, 4003)

    in_virtual_time(scenario)


def test_a_socket_that_takes_so_little_that_it_never_drains_is_kept() -> None:  # P7.2
    async def scenario() -> None:
        place = Place(events=256)
        await place.peer_takes(500, 600)
        assert place.line.get_write_buffer_size() > WRITE_LOW_BYTES
        assert place.counters.closes == {}

    in_virtual_time(scenario)


def test_only_a_socket_that_takes_no_more_is_watched() -> None:
    async def scenario() -> None:
        place = Place(events=200)
        await turns()
        assert len(asyncio.all_tasks()) == 2
        place.line.take(len(place.line.unsent))
        await turns()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not place.connection.session.is_blocked

    in_virtual_time(scenario)


# --- replies that wait for the bucket ---


def test_changes_while_the_bucket_is_away_cost_one_task_and_one_write_and_are_answered_in_order() -> None:
    async def scenario() -> None:
        place = Place()
        place.told()
        ids = range(UNSTORED_REPLIES_MOST)
        place.shelf.error = UpstreamUnavailable("away")
        for id_ in ids[:-1]:
            place.ask(id_)
            await asyncio.sleep(0.05)
        place.shelf.error = LimitReached("full")
        place.ask(ids[-1])
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == 2
        assert place.shelf.tries < 35, "one try each half second"
        assert place.told() == []
        place.shelf.error = None
        await asyncio.sleep(0.5)
        assert place.told_ids() == list(ids)
        assert len(place.shelf.records) == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert place.counters.closes == {}

    in_virtual_time(scenario)


def test_a_client_that_asks_for_more_while_its_changes_cannot_be_stored_is_closed() -> None:
    async def scenario() -> None:
        place = Place()
        place.told()
        place.shelf.error = UpstreamUnavailable("away")
        place.ask(*range(UNSTORED_REPLIES_MOST))
        await asyncio.sleep(2)
        assert place.counters.closes == {}
        place.ask(-1, -2, -3)
        assert [(each["type"], each.get("code")) for each in place.told()] == [("goodbye", 4429)]
        await asyncio.sleep(5)
        assert place.counters.closes == {4429: 1}
        assert place.line.cut.is_set()
        assert place.connection._unstored == [], "the parked session must not hold on to them"

    in_virtual_time(scenario)


def test_only_replies_that_still_wait_count() -> None:
    async def scenario() -> None:
        place = Place()
        place.told()
        for first in (0, UNSTORED_REPLIES_MOST):
            ids = range(first, first + UNSTORED_REPLIES_MOST)
            place.ask(*ids)
            await turns()
            assert place.told_ids() == list(ids)
        assert len(place.shelf.records) == 2
        assert place.counters.closes == {}

    in_virtual_time(scenario)


def test_a_reply_is_sent_when_a_record_that_holds_its_change_is_stored() -> None:
    async def scenario() -> None:
        place = Place(patterns={})
        place.told()
        place.shelf.is_open.clear()
        place.subscribe(1, "a.one")
        place.subscribe(2, "a.two")
        await turns()
        place.subscribe(3, "a.three")  # the record is on its way already
        await turns()
        assert (place.shelf.tries, place.told()) == (1, [])
        place.shelf.is_open.set()
        place.shelf.is_open = asyncio.Event()
        await turns()
        assert place.told_ids() == [1, 2]
        assert [list(record.patterns) for record in place.shelf.records] == [["a.one", "a.two"]]
        place.shelf.is_open.set()
        await turns()
        assert place.told_ids() == [3]
        assert list(place.shelf.records[1].patterns) == ["a.one", "a.two", "a.three"]

    in_virtual_time(scenario)


def test_a_session_that_another_connection_has_answers_no_more() -> None:
    async def scenario() -> None:
        place = Place()
        place.told()
        place.shelf.is_anothers = True
        place.ask(1, 2)
        await asyncio.sleep(5)
        assert [each["type"] for each in place.told()] == ["goodbye"]
        assert place.line.cut.is_set()
        assert place.shelf.tries == 1

    in_virtual_time(scenario)


def test_a_bug_while_a_change_is_stored_ends_the_connection() -> None:
    async def scenario() -> None:
        place = Place()
        place.told()
        place.shelf.error = AssertionError("a bug")
        place.ask(1)
        await turns()
        assert place.counters.closes == {1011: 1}
        assert place.told() == []

    in_virtual_time(scenario)

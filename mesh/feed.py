"""Shell: a gateway's one sequential read of the stream: contiguous, or made again, never silent.

One ephemeral consumer (memory, one replica, no acks) and overlapping pull requests feed one tap. The consumer is made
again at the last good sequence + 1 when a delivery is missing, when heartbeats stop, when the server says that it is
gone, and when the connection was rebuilt. Before each such reading on, and while idle, the leader is asked whether
the stream is still the same, the newest event that was read included, and whether its last sequence has moved on
without us.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from mesh.api import NO_MESSAGE, Api, ApiError, ConsumerInfo, StoredMessage, StreamInfo
from mesh.contiguity import Broken, Contiguity, Hole
from mesh.epoch import Epoch, Witness, identity_of
from mesh.epochs import Epochs
from mesh.event import StoredEvent, header_of, is_well_formed, read_delivery, status_of
from mesh.link import Link, Tap
from security.errors import LimitReached, StreamReplaced, UpstreamUnavailable

log = logging.getLogger(__name__)

FALLEN_S = 2.0
"""Seconds for which a leader must say that the stream ends below what was read, before that is believed."""


class FeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the stream is read."""

    stream: str = "EVENTS"
    name: str = "feed"
    """Start of the consumer's name; a gateway adds its own random part."""
    batch: int = 4_000
    """Most events asked for in one pull request; up to 1.5 times as many are on their way at once."""
    expires_s: float = 30.0
    """Seconds for which a pull request stands."""
    heartbeat_s: float = 1.0
    """Seconds between the server's signs of life while nothing is to be delivered."""
    silent_s: float = 3.0
    """Seconds without any sign of life after which the consumer is made again."""
    probe_s: float = 5.0
    """Seconds between questions to the leader while no events come."""
    hold_s: float = 0.001
    """Seconds that events wait for more to come with them while ``deliver`` says that it is dear."""
    hold_most: int = 64
    """Events that wait for no more."""


class Feed:
    """Reads the stream from a sequence on and calls ``deliver`` with every event, in order, none twice.

    What came together is delivered together. ``deliver`` and ``hole`` run inside the read loop and must be quick. A
    hole is told before the event after it. ``deliver`` may return true: that it costs much each time, whatever the
    number of events, so that the next ones wait a moment for those that were published with them.
    """

    def __init__(
        self,
        link: Link,
        api: Api,
        settings: FeedSettings,
        *,
        deliver: Callable[[list[StoredEvent]], object],
        hole: Callable[[Hole], None],
        epochs: Epochs | None = None,
    ) -> None:
        self._link = link
        self._api = api
        self._settings = settings
        self._deliver = deliver
        self._hole = hole
        self._epochs = epochs
        self._loop = asyncio.get_running_loop()
        self._contiguity = Contiguity(0)
        self._created = ""
        self._together: list[StoredEvent] = []
        """Events that have come and are not delivered yet, since more of what came with them is being read."""
        self._is_dear = False
        self._holding: asyncio.TimerHandle | None = None
        """Delivers what waits for more."""
        self._newest: StoredEvent | None = None
        self._empty_above = 0
        """Nothing is stored above it and up to ``head``."""
        self._look_due = False
        self._paused: list[StoredEvent] = []
        """The last events before pauses, to be asked for once others have come behind them."""
        self._wake = asyncio.Event()
        self._room = 0
        self._broken = ""
        self._failure: Exception | None = None
        self._fallen = ("", 0.0)
        """Leader that said the stream ends below ``head``, and when it first did."""
        self._connects = 0
        self._made = 0
        self._pulls = 0
        self._consumer = b""
        self._inbox = ""
        self._heard_s = 0.0
        self.identity = ""
        """Identity of the stream that is read; empty until first seen. Without ``epochs`` it has none of them."""
        self.epoch: Epoch | None = None
        """The epoch that is read, as last asked for."""
        self.pending = 0
        """Events after the newest one delivered, as far as the server knew then."""
        self.damaged = 0
        """Events with a subject or header block that is not well formed."""
        self.restarts = 0
        """How often the consumer had to be made again."""
        self.caught_up = asyncio.Event()
        """Set once everything has been read that was stored when the feed first began."""
        self._goal = 0

    @property
    def head(self) -> int:
        """Sequence up to which everything has come, or was told as a hole."""
        return self._contiguity.head

    @property
    def witness(self) -> Witness | None:
        """The newest event that was read, if any was."""
        newest = self._newest
        return Witness(newest.seq, newest.time_ns) if newest is not None else None

    def look_soon(self) -> None:
        """Ask at once whether the stream is still the same: somebody says that it may not be."""
        self._look_due = True
        self._wake.set()

    def stop(self, reason: str) -> None:
        """Let ``run`` raise ``StreamReplaced``."""
        self._failure, self._broken = self._failure or StreamReplaced(reason), reason
        self._wake.set()

    async def close(self) -> None:
        """Delete the consumer, as far as NATS lets us."""
        if self._consumer:
            with contextlib.suppress(UpstreamUnavailable):
                await self._link.publish(
                    f"$JS.API.CONSUMER.DELETE.{self._settings.stream}.{self._consumer.decode()}", b""
                )

    def age_s(self, now_s: float) -> float:
        """Seconds since the last sign of life, at event-loop time ``now_s``."""
        return now_s - self._heard_s

    async def run(self, start: Callable[[StreamInfo], int]) -> None:
        """Read for ever. ``start`` chooses the first sequence from the stream's state, once.

        Raises ``StreamReplaced`` when the stream is another one than before, or has lost its newest events, whether or
        not it has others in their place by now: a new ``Feed`` must begin.
        """
        self._link.after_read.append(self._has_read)
        try:
            await self._read(start)
        finally:
            self._link.after_read.remove(self._has_read)
            if self._holding is not None:
                self._holding.cancel()

    async def _read(self, start: Callable[[StreamInfo], int]) -> NoReturn:
        failures = 0
        while True:
            try:
                tap = await self._attach(start)
            except (UpstreamUnavailable, LimitReached, OSError) as error:
                failures += 1
                log.warning("feed cannot read", extra={"error": str(error), "failures": failures})
                await asyncio.sleep(min(2.0, 0.05 * 2 ** min(failures, 6)))
                continue
            failures = 0
            try:
                await self._follow()
            except (UpstreamUnavailable, LimitReached) as error:
                self._broken = str(error)
            finally:
                await tap.close()
            self.restarts += 1
            log.warning("feed made again", extra={"reason": self._broken, "head": self.head})
            await self.close()

    async def _attach(self, start: Callable[[StreamInfo], int]) -> Tap:
        """Make a consumer at ``head`` + 1, listen to it, pull."""
        await self._link.wait_up(30)
        self._hand_over()
        self._connects = self._link.connects
        settings = self._settings
        info = await self._look()
        if not self._created:
            self._begin(info, start)
        self._contiguity.restart(info.state.first_seq)
        self._made += 1
        name = f"{settings.name}-{self._link.inbox.rpartition('.')[2]}-{self._made}"
        self._consumer, self._inbox = name.encode(), f"{self._link.inbox}.f{self._made}"
        self._broken, self._room = "", 0
        self._heard_s = self._loop.time()
        tap = await self._link.tap(f"{self._inbox}.*", self._received)
        config = {
            "name": name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.head + 1,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 30_000_000_000,
            "metadata": {"tidewire": "feed"},
        }
        body = {"stream_name": settings.stream, "config": config, "action": "create"}
        try:
            await self._make(f"{settings.stream}.{name}", body)
            await self._verify(info)  # a server that starts anew after this has forgotten the consumer
            if self.head >= self._goal:
                self.caught_up.set()
            await self._pull()
        except BaseException:
            await tap.close()
            raise
        return tap

    def _begin(self, info: StreamInfo, start: Callable[[StreamInfo], int]) -> None:
        name = self._settings.stream
        self._created = info.created
        self.identity = self.epoch.identity(name) if self.epoch is not None else identity_of(name, info.created)
        first = max(start(info), 1)
        self._contiguity = Contiguity(first - 1)
        self._empty_above = first - 1 if info.state.messages else 0
        self._goal = info.state.last_seq

    async def _make(self, name: str, body: dict[str, Any]) -> None:
        made = await self._api.call("CONSUMER.CREATE", name, body, ConsumerInfo)
        if isinstance(made, ApiError):
            raise UpstreamUnavailable(f"feed consumer: {made.description}")

    async def _look(self) -> StreamInfo:
        """The stream's state: the same stream, in the same epoch, and not shorter than what was read."""
        name, read = self._settings.stream, self._read_through()  # before the question, so that the answer is younger
        info = await self._ask()
        if self._created and info.created != self._created:
            raise StreamReplaced(f"stream {name} was made anew")
        if self._epochs is not None:
            await self._open_epoch(self._epochs, info.created)
            if self._kept_through() > max(read, info.state.last_seq):
                read, info = self._kept_through(), await self._ask()
        if info.state.last_seq < read:
            self._believe_fallen_back(info, read)
            raise UpstreamUnavailable("the stream's leader is behind the feed")
        self._fallen = ("", 0.0)
        return info

    async def _open_epoch(self, epochs: Epochs, created: str) -> None:
        try:
            epoch = await epochs.open(created)
        except (UpstreamUnavailable, LimitReached):
            if not self._created:
                raise
            self._look_due = True  # what is known of it holds for a moment longer: cursors cannot be claimed either
            return
        if self._created and epoch.identity(self._settings.stream) != self.identity:
            raise StreamReplaced(f"stream {self._settings.stream} is in another epoch")
        self.epoch = epoch

    def _kept_through(self) -> int:
        """The highest sequence that any gateway is known to have read."""
        return self.epoch.witness.seq if self.epoch is not None and self.epoch.witness is not None else 0

    def _read_through(self) -> int:
        return max(self.head, self._kept_through())

    async def _ask(self) -> StreamInfo:
        info = await self._api.stream_info(self._settings.stream)
        if isinstance(info, ApiError):
            raise UpstreamUnavailable(f"stream {self._settings.stream}: {info.description}")
        return info

    def _believe_fallen_back(self, info: StreamInfo, read: int) -> None:
        """One answer is no proof: a leader that was just elected may not have applied everything yet."""
        leader, since_s = self._fallen
        now_s = self._loop.time()
        if leader != info.leader or not info.leader:  # none named: in the middle of an election
            self._fallen = (info.leader, now_s)
        elif now_s - since_s >= FALLEN_S:
            self._fell_back(f"from {read} to {info.state.last_seq}")

    def _fell_back(self, how: str) -> NoReturn:
        if self._epochs is not None and self.epoch is not None:
            self._epochs.end(self.epoch)
        raise StreamReplaced(f"stream {self._settings.stream} fell back {how}")

    def _witnesses(self) -> list[Witness]:
        """The newest event that this feed has read, those before pauses, and the newest that any gateway has read."""
        kept = self.epoch.witness if self.epoch is not None else None
        paused = [Witness(event.seq, event.time_ns) for event in self._paused]
        return [witness for witness in dict.fromkeys((self.witness, *paused, kept)) if witness is not None]

    async def _verify(self, info: StreamInfo) -> None:
        """Ask the leader for what was read: another event in its place is proof that the stream fell back.

        An event that is not there any more proves nothing, and is no sign of a leader that lags: the leader that
        answered ``info`` had it.
        """
        resumed = sum(event is not self._newest for event in self._paused)
        for witness in self._witnesses():
            found = await self._first_from(witness.seq, info)
            if found is not None and witness.is_contradicted(found.seq, found.time):
                self._fell_back(f"below {witness.seq} and has another event there")
        self._hand_over()
        empty_above, head = self._empty_above, self.head
        if empty_above < head:
            found = await self._first_from(empty_above + 1, info)
            if found is not None and found.seq <= head:
                self._fell_back(f"below {found.seq}, where there was none")
        del self._paused[:resumed]

    async def _first_from(self, seq: int, info: StreamInfo) -> StoredMessage | None:
        """The leader's first event at or above ``seq``; None is its word too, as in docs/decisions/0002."""
        found = await self._api.next_message(self._settings.stream, seq, ">")
        if not isinstance(found, ApiError):
            return found
        if found.err_code != NO_MESSAGE:
            raise UpstreamUnavailable(f"stream {self._settings.stream}: {found.description}")
        if not info.leader or (await self._ask()).leader != info.leader:
            raise UpstreamUnavailable("the stream's leader changed")
        return None

    async def _follow(self) -> None:
        """Keep pulling until something is wrong."""
        settings, loop = self._settings, self._loop
        probed_s, probed_head = loop.time(), self.head
        while True:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(settings.heartbeat_s):
                    await self._wake.wait()
            now_s = loop.time()
            if self._failure is not None:
                raise self._failure
            if self._broken:
                return
            if not self._link.is_up or self._link.connects != self._connects:
                self._broken = "connection lost"  # it may be back already: what was on its way is not
                return
            if now_s - self._heard_s > settings.silent_s:
                self._broken = "silent"
                return
            if self._room < settings.batch // 2:
                await self._pull()
            if self._paused and self._paused[0] is not self._newest:
                # replicas may have been without a leader, and have lost what the consumer's own server had delivered
                await self._verify(await self._ask())
            if self._look_due or now_s - probed_s >= settings.probe_s:
                if self._look_due or probed_head == self.head:
                    self._look_due = False
                    await self._probe()
                probed_s, probed_head = now_s, self.head

    async def _probe(self) -> None:
        """Nothing came for a while: is the stream still ours, and is what it holds beyond ``head`` really gone?"""
        head = self.head
        info = await self._look()
        await self._verify(info)
        last_seq = info.state.last_seq
        if last_seq <= head:
            return
        found = await self._api.next_message(self._settings.stream, head + 1, ">")
        if head != self.head:
            return
        if isinstance(found, ApiError):
            if found.err_code == NO_MESSAGE:
                # the newest events were deleted: nothing will ever be delivered up to here
                again = await self._look()
                if head == self.head and again.leader == info.leader:
                    self._contiguity.first_seq = again.state.first_seq
                    self._skip(last_seq)
            return
        self._broken = "stalled"

    def _skip(self, last_seq: int) -> None:
        hole = self._contiguity.gone_before(last_seq + 1)
        assert hole is not None, "only a hole is skipped"
        self._hand_over()
        self._hole(hole)
        self._contiguity.head = last_seq
        self._reached()

    async def _pull(self) -> None:
        settings = self._settings
        self._pulls += 1
        self._room += settings.batch
        body = {
            "batch": settings.batch,
            "expires": int(settings.expires_s * 1e9),
            "idle_heartbeat": int(settings.heartbeat_s * 1e9),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{settings.stream}.{self._consumer.decode()}"
        await self._link.publish(subject, msgspec.json.encode(body), reply=f"{self._inbox}.{self._pulls}")

    def _received(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self._heard_s = self._loop.time()
        if not reply:
            self._status(headers)
            return
        delivery = read_delivery(subject, reply, data, headers)
        if delivery is None or delivery.consumer != self._consumer or self._broken:
            return
        self._room -= 1
        event = delivery.event
        judged = self._contiguity.step(event.seq, delivery.consumer_seq)
        if isinstance(judged, Broken):
            if judged is Broken.LOST:
                self._broken = "delivery missing"
                self._wake.set()
            return
        if event.damaged or not is_well_formed(headers):
            self.damaged += 1
            log.warning("event with a damaged subject or header block", extra={"seq": event.seq})
        self.pending = delivery.pending
        if judged is not None:
            self._hand_over()
            self._tell(judged)
        self._together.append(event)
        if self._room < self._settings.batch // 2:
            self._wake.set()

    def _has_read(self) -> None:
        """What came together from the socket has been read: deliver it, or wait a moment for more."""
        if not self._is_dear or len(self._together) >= self._settings.hold_most:
            self._hand_over()
        elif self._together and self._holding is None:
            self._holding = self._loop.call_later(self._settings.hold_s, self._hand_over)

    def _hand_over(self) -> None:
        """Deliver what has come."""
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
        if not self._together:
            return
        events, self._together = self._together, []
        try:
            self._is_dear = bool(self._deliver(events))
        except Exception as error:  # noqa: BLE001  # the read loop would swallow it, and the events with it
            self._fail(error)
            return
        self._newest, self._empty_above = events[-1], events[-1].seq
        self._reached()

    def _tell(self, hole: Hole) -> None:
        try:
            self._hole(hole)
        except Exception as error:  # noqa: BLE001  # as above
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure, self._broken = self._failure or error, "the receiver failed"
        self._wake.set()

    def _pause(self) -> None:
        self._hand_over()
        newest = self._newest
        if newest is not None and not (self._paused and self._paused[-1] is newest):
            self._paused.append(newest)

    def _reached(self) -> None:
        if self.head >= self._goal:
            self.caught_up.set()

    def _status(self, headers: bytes) -> None:
        status, description = status_of(headers)
        if status == 100:
            self._pause()
            return
        if status == 408:
            self._room -= int(header_of(headers, "Nats-Pending-Messages") or self._settings.batch)
        else:
            self._broken = f"{status} {description}"
        self._wake.set()

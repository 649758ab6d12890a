"""Shell: what sessions ask for that the recent window holds no more: from a sweep that many share, or their durables.

An ask waits here, and nothing else is queued for a session. The first one after a pause goes to its durable; those
that follow are gathered while more come, for ``HOLD_S`` at most: where a sweep saves (``replay.sharing``) one begins,
and whoever asks for what it holds or comes to is answered from memory, at best with all that it missed at once; the
others read their durables, as many at once as admission grants. A sweep reads on only while somebody waits at its
head. When it fails, who waits for it goes on to the durables.

Where nobody else waits, and a session will ask for more as soon as it has been handed what was read, its durable's next
read is begun before: NATS works while the events are written. It is a read like any other, begun at the position at
which the session will be, and handed over when the session has asked for just that. Nothing of it is kept: where the
session has not asked by its end it is dropped, and the consumer, which stands elsewhere now, is placed anew.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

from gateway.config import Config
from gateway.counters import Counters
from gateway.effects import ReadDurable
from gateway.exchange import Exchange
from gateway.session import CHUNK, MESSAGE_OVERHEAD_BYTES, Session
from mesh.api import Api
from mesh.event import StoredEvent
from mesh.pull import Puller
from mesh.sweep import Sweep
from replay import sharing
from replay.admission import Admission
from replay.catchup import Failed, Read
from replay.durable import Durable
from replay.recent import Slice
from replay.record import Owner
from replay.stretch import Stretch
from security.errors import LimitReached, UpstreamUnavailable

log = logging.getLogger(__name__)

GATHER_S = 0.1
"""Seconds after an ask within which another one counts as following it."""
HOLD_S = 0.5
"""Longest time in seconds for which asks that follow each other are gathered, to see whether a sweep saves."""
PLACED_S = 5.0
"""Seconds after a durable was placed within which the next one counts as following it."""
PLACED_MOST_S = 60.0
"""Seconds for which durables that were placed one after the other count as a sign of as many to come."""
PLACED_MOST = 1_000
"""Most of them that are remembered."""
LINGER_S = 5.0
"""Seconds for which a sweep that nobody needs is kept: slower sessions may come back to it."""
RETRY_S = 2.0
"""Seconds after a sweep failed before the next one."""
TURN_EVENTS = 256
"""Events taken from a sweep, or handed to sessions, in one turn of the loop: live sessions come in between."""
TURN_READERS = 32
"""Sessions looked at in one turn of the loop."""
ROUNDS_MOST = 100
"""How often in a row all who can be answered are, before the sweep reads on."""


class Reader(Protocol):
    """What is needed of a connection."""

    owner: Owner
    exchange: Exchange
    session: Session
    durable: Durable
    is_attached: bool

    def guarded(self, step: Callable[[], None]) -> None:
        """Run a step of this session; a bug in it ends this connection and no other."""
        ...

    def replayed(self, result: Read | Failed) -> None:
        """What was read for the session."""
        ...


class _Ask:
    """What a session wants read."""

    def __init__(self, effect: ReadDurable, *, is_cheap: bool) -> None:
        self.after = effect.after
        """Nothing due lies between what was asked for and this."""
        self.batch = effect.batch
        self.max_bytes = effect.max_bytes
        self.free_events = effect.free_events
        self.free_bytes = effect.free_bytes
        self.is_cheap = is_cheap
        """Whether its durable stands where it is needed."""
        self.is_queued = False
        """Whether it waits for its durable's turn."""
        self.is_promised = False
        """Whether a sweep was to answer it: where that one does not, its durable does."""


class _Ahead:
    """A read of a durable that was begun before its session asked for it."""

    def __init__(self, after: int, reading: asyncio.Task[Read | Failed]) -> None:
        self.after = after
        self.reading = reading
        self.ask: _Ask | None = None
        """What it answers, once that is asked for."""


class _Shared:
    """A sweep under way, and what it has read."""

    def __init__(self, exchange: Exchange, stretch: Stretch, sweep: Sweep) -> None:
        self.exchange = exchange
        self.stretch = stretch
        self.sweep = sweep
        self.wake = asyncio.Event()
        self.asked: dict[Reader, _Ask] = {}
        """Who asked since those who can be answered were last looked for, while it reads on."""
        self.handed: dict[Reader, None] = {}
        """Who was handed a part and has not asked for more yet: it may need what lies lower than the head."""
        self.needed_s = 0.0
        """When somebody last got something of it."""
        self.is_over = False

    @property
    def is_far_from_its_end(self) -> bool:
        """Whether it takes too long to wait for the next one."""
        return self.exchange.recent.floor > self.stretch.head + sharing.AHEAD_MOST

    def serves(self, reader: Reader, after: int) -> bool:
        """Whether what lies behind ``after`` is here, or will soon be."""
        if self.is_over or reader.exchange is not self.exchange:
            return False
        return self.stretch.holds(after) or self.stretch.is_near(after)


class Replays:
    """Asks of all sessions of a house. Of durables one read is one turn: then a session asks again, behind others."""

    def __init__(self, config: Config, api: Api, puller: Puller, counters: Counters) -> None:
        admission = config.admission
        most = admission.replays
        self._admission: Admission[Reader] = Admission(most, min(most, admission.replays_per_tenant))
        self._config = config
        self._api = api
        self._puller = puller
        self._counters = counters
        self._asks: dict[Reader, _Ask] = {}
        self._aheads: dict[Reader, _Ahead] = {}
        self._shared: _Shared | None = None
        self._placed: deque[tuple[float, int]] = deque(maxlen=PLACED_MOST)
        """Of durables that had to be placed: when, and behind which position."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self._held_s: float | None = None
        """Since when asks are gathered."""
        self._tick: asyncio.TimerHandle | None = None
        self._asked_s = self._not_before_s = -1_000.0

    @property
    def running(self) -> int:
        """Reads of durables under way."""
        return self._admission.running

    @property
    def waiting(self) -> int:
        """Asks that wait."""
        return len(self._asks)

    def ask(self, reader: Reader, effect: ReadDurable) -> None:
        """Read for a session, and call ``replayed``; one at a time for each."""
        assert effect.after < reader.exchange.recent.floor, "what the recent window holds is read from there"
        if self._shared is not None:
            self._shared.handed.pop(reader, None)
        now_s, ask = self._loop.time(), _Ask(effect, is_cheap=reader.durable.stands_at(effect.after))
        ahead = self._aheads.get(reader)
        if ahead is not None and ahead.after == ask.after:
            ahead.ask, self._asked_s = ask, now_s
            return
        is_alone = not self._asks and now_s >= self._asked_s + GATHER_S
        if self._shared is not None and self._shared.serves(reader, ask.after):
            self._promise(self._shared, reader, ask)
            return
        self._asks[reader] = ask
        self._asked_s = now_s
        if ask.is_cheap:
            self._queue(reader, ask)
        elif is_alone:
            self._consider(is_alone=True)
        else:
            self._consider_soon()

    def leave(self, reader: Reader) -> None:
        """The session has gone. A read under way goes on."""
        if self._shared is not None:
            self._shared.handed.pop(reader, None)
        ask = self._asks.pop(reader, None)
        if ask is not None and ask.is_queued:
            self._admission.leave(reader)

    async def settle(self) -> None:
        """Wait for what is under way."""
        if self._shared is not None:
            self._shared.is_over = True
            self._shared.wake.set()
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def _spawn(self, work: asyncio.Task[Any]) -> None:
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)

    # --- who is served by what ---

    def _consider_soon(self) -> None:
        if self._tick is None:
            self._tick = self._loop.call_later(GATHER_S, self._consider)

    def _consider(self, *, is_alone: bool = False) -> None:
        """Begin a sweep for those whom none serves, or let them read their durables."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        shared = self._shared
        strays = {r: ask for r, ask in self._asks.items() if shared is None or not shared.serves(r, ask.after)}
        if not strays:
            self._held_s = None
            return
        exchange = next(reversed(strays)).exchange
        is_needed = len(strays) < len(self._asks)
        is_long = shared is not None and is_needed and shared.is_far_from_its_end
        start = None if is_long else self._start_for(strays, exchange)
        waits = not (is_alone or is_long) and self._waits_for_more(start, exchange)
        for reader, ask in strays.items():
            is_served = start is not None and ask.after >= start and reader.exchange is exchange
            if ask.is_promised or not waits:
                self._place(reader, ask, is_served=is_served and not ask.is_promised)
        if waits or start is not None:
            self._consider_soon()
        if waits:
            return
        self._held_s = None
        if start is not None and shared is None:
            self._begin(exchange, start)
        elif start is not None and shared is not None and not is_needed:
            shared.is_over = True
            shared.wake.set()

    def _place(self, reader: Reader, ask: _Ask, *, is_served: bool) -> None:
        """Let a session wait for its durable's turn, or no longer where a sweep is to serve it."""
        if not is_served:
            self._queue(reader, ask)
        elif ask.is_queued and not ask.is_cheap:
            ask.is_queued = False
            self._admission.leave(reader)

    def _waits_for_more(self, start: int | None, exchange: Exchange) -> bool:
        """Whether it is too early to decide: more may come while others do.

        What does not fit into memory at once is worth waiting for longer, as long as it takes to read: who comes late
        needs another sweep.
        """
        now_s, recent, sweeps = self._loop.time(), exchange.recent, self._config.sweeps
        if self._held_s is None:
            self._held_s = now_s
        longest_s, floor = HOLD_S, recent.floor
        if start is not None and not sharing.fits(start, floor, len(recent), recent.bytes, sweeps.events, sweeps.bytes):
            longest_s = max(longest_s, sharing.sweep_cost_s(start, floor))
        return now_s < min(self._held_s + longest_s, self._asked_s + GATHER_S)

    def _start_for(self, strays: Mapping[Reader, _Ask], exchange: Exchange) -> int | None:
        if not self._config.sweeps.events or self._loop.time() < self._not_before_s:
            return None
        now_s, placed = self._loop.time(), self._placed
        if placed and placed[-1][0] < now_s - PLACED_S:
            placed.clear()
        while placed and placed[0][0] < now_s - PLACED_MOST_S:
            placed.popleft()
        waiting = [
            ask.after
            for reader, ask in strays.items()
            if reader.exchange is exchange and not ask.is_cheap and not ask.is_promised
        ]
        return sharing.best_start(waiting, [after for _, after in placed], exchange.recent.floor)

    # --- durables ---

    def _queue(self, reader: Reader, ask: _Ask) -> None:
        if ask.is_queued:
            return
        ask.is_queued = True
        if self._admission.ask(reader, reader.owner.tenant):
            self._start(reader)

    def _start(self, reader: Reader) -> None:
        self._spawn(asyncio.create_task(self._run(reader, self._asks.pop(reader)), name="replay"))

    async def _run(self, reader: Reader, ask: _Ask) -> None:
        try:
            if reader.is_attached:
                await self._read_durable(reader, ask)
        finally:
            for granted in self._admission.give_back(reader.owner.tenant):
                self._start(granted)

    async def _read_durable(self, reader: Reader, ask: _Ask) -> None:
        if not ask.is_cheap:
            self._placed.append((self._loop.time(), ask.after))
        result = await self._read(reader, ask.after, ask.batch, ask.max_bytes)
        if not reader.is_attached:  # another gateway may read its durable now
            return
        while (ahead := self._begin_ahead(reader, ask, result)) is not None:
            try:
                await asyncio.sleep(0)  # now it asks
                await asyncio.sleep(0)  # and its question has gone out before the loop is taken up with these events
                self._replayed(reader, result)
                result = await ahead.reading
            finally:
                del self._aheads[reader]
            if ahead.ask is None or not reader.is_attached:
                return
            ask = ahead.ask
        self._replayed(reader, result)

    async def _read(self, reader: Reader, after: int, batch: int, max_bytes: int) -> Read | Failed:
        recent, interest = reader.exchange.recent, reader.session.interest
        return await reader.durable.read(
            after,
            interest,
            recent.floor,
            recent.head,
            batch=batch,
            max_bytes=max_bytes,
            is_wanted=lambda: reader.is_attached,
        )

    def _begin_ahead(self, reader: Reader, ask: _Ask, result: Read | Failed) -> _Ahead | None:
        """Begin the read that the session will ask for when it has this result, where that is sure enough.

        No more is read than its window takes beside the result.
        """
        if isinstance(result, Failed) or self._asks or self._shared is not None or reader in self._aheads:
            return None
        events, after = result.events, result.reached
        if not events or after >= reader.exchange.recent.floor or not reader.durable.stands_at(after):
            return None
        size_bytes = sum(event.size_bytes for event in events) + len(events) * MESSAGE_OVERHEAD_BYTES
        if len(events) > ask.free_events or size_bytes > ask.free_bytes or reader.session.is_blocked:
            return None
        batch = min(ask.batch, ask.free_events)
        reading = asyncio.create_task(self._read(reader, after, batch, ask.free_bytes), name="replay ahead")
        self._spawn(reading)
        ahead = self._aheads[reader] = _Ahead(after, reading)
        return ahead

    def _replayed(self, reader: Reader, result: Read | Failed) -> None:
        if isinstance(result, Read):
            self._counters.events_from_durables += len(result.events)
            for event in result.events:
                reader.exchange.guard.look(event)
        reader.guarded(partial(reader.replayed, result))

    # --- sweeps ---

    def _promise(self, shared: _Shared, reader: Reader, ask: _Ask) -> None:
        """Let a session wait for a sweep, or hand it what is here, where it is less than a turn and will not be more.

        If that is all that it missed, it goes out together with its welcome, as from the recent window.
        """
        stretch = shared.stretch
        stretch.expire(time.time())
        if stretch.holds(ask.after):
            most = min(ask.batch, CHUNK)
            found = stretch.read(ask.after, reader.session.interest, most)
            is_leaving = ask.after < stretch.kept_above and found.reached >= stretch.head
            if len(found.events) < most and (is_leaving or found.reached >= shared.exchange.recent.floor):
                self._hand_over(shared, reader, found)
                return
        ask.is_promised = True
        self._asks[reader] = shared.asked[reader] = ask
        shared.wake.set()

    def _begin(self, exchange: Exchange, start: int) -> None:
        sweeps, stream = self._config.sweeps, self._config.stream
        stretch = Stretch(start, bytes_most=sweeps.bytes, events_most=sweeps.events, max_age_s=stream.max_age_s)
        self._counters.sweeps += 1
        sweep = Sweep(self._api, self._puller, stream.name, exchange.identity, start, self._counters.sweeps)
        self._shared = _Shared(exchange, stretch, sweep)
        self._placed.clear()
        for ask in self._of(self._shared).values():
            ask.is_promised = True
        self._spawn(asyncio.create_task(self._share(self._shared), name="sweep"))

    async def _share(self, shared: _Shared) -> None:
        try:
            await self._follow(shared)
        except (UpstreamUnavailable, LimitReached) as error:
            self._not_before_s = self._loop.time() + RETRY_S
            log.warning("a sweep ended early", extra={"error": str(error), "head": shared.stretch.head})
        except Exception:
            self._not_before_s = self._loop.time() + RETRY_S
            log.exception("a sweep failed")
        finally:
            self._shared = None
            await shared.sweep.close()
        self._consider()
        while shared.stretch.let_go():  # noqa: ASYNC110  # nothing is waited for: others have the loop in between
            await asyncio.sleep(0)

    async def _follow(self, shared: _Shared) -> None:
        """Answer who can be answered; read on while somebody waits at the head; end when nobody comes any more."""
        while not shared.is_over:
            shared.wake.clear()
            await self._serve(shared)
            if any(shared.stretch.is_near(ask.after) for ask in self._of(shared).values()):
                await self._fill(shared)
                self._consider_soon()  # of those who are slower some may have been left behind
            elif not self._of(shared):
                try:
                    async with asyncio.timeout_at(max(self._loop.time(), shared.needed_s + LINGER_S)):
                        await shared.wake.wait()
                except TimeoutError:
                    if self._loop.time() >= shared.needed_s + LINGER_S:
                        return

    def _of(self, shared: _Shared) -> dict[Reader, _Ask]:
        return {reader: ask for reader, ask in self._asks.items() if shared.serves(reader, ask.after)}

    async def _serve(self, shared: _Shared, *, is_filling: bool = False) -> None:
        """Answer all who wait for what is here. While more is read: who has asked since and gets a turn full of it."""
        for _ in range(ROUNDS_MOST):
            shared.stretch.expire(time.time())
            who, shared.asked = list(shared.asked) if is_filling else list(self._asks), {}
            held = [reader for reader in who if self._is_held(shared, reader)]
            if not held:
                return
            events = 0
            for number, reader in enumerate(held, 1):
                events += self._answer(shared, reader, is_filling=is_filling)
                if events >= TURN_EVENTS or number % TURN_READERS == 0 or number == len(held):
                    events = 0
                    await asyncio.sleep(0)

    def _is_held(self, shared: _Shared, reader: Reader) -> bool:
        ask = self._asks.get(reader)
        return ask is not None and shared.serves(reader, ask.after) and shared.stretch.holds(ask.after)

    def _answer(self, shared: _Shared, reader: Reader, *, is_filling: bool) -> int:
        """Hand a session what is here of what it waits for, where that is anything; returns the number of events."""
        if not self._is_held(shared, reader):
            return 0
        ask = self._asks[reader]
        most = min(ask.batch, CHUNK)
        found = shared.stretch.read(ask.after, reader.session.interest, most)
        if is_filling and len(found.events) < most and ask.after >= shared.stretch.kept_above:
            return 0  # it gets more at once later
        if not found.events and not found.holes and found.reached < shared.exchange.recent.floor:
            ask.after = found.reached
            return 0
        self.leave(reader)
        self._hand_over(shared, reader, found)
        return len(found.events)

    def _hand_over(self, shared: _Shared, reader: Reader, found: Slice) -> None:
        shared.needed_s = self._loop.time()
        if found.reached < shared.exchange.recent.floor:
            shared.handed[reader] = None
        self._counters.events_from_sweeps += len(found.events)
        reader.guarded(partial(reader.replayed, Read(found.events, found.reached, found.holes)))

    async def _fill(self, shared: _Shared) -> None:
        """Read on: as much as there is room for, or as far as the recent window."""
        stretch, recent = shared.stretch, shared.exchange.recent
        stretch.begin_fill(keeps_half=bool(shared.handed))
        shared.asked = dict(self._asks)  # by what the first pull brings each is looked at once
        stretch.take((), recent.head)
        await asyncio.sleep(0)
        while stretch.head < recent.floor and not shared.is_over:
            events, bytes_ = stretch.wanted
            if not events:
                return
            found = await shared.sweep.read(events, bytes_)
            for first in range(0, len(found), TURN_EVENTS):
                turn = found[first : first + TURN_EVENTS]
                self._look(shared, turn)
                stretch.take(turn, recent.head)
                await asyncio.sleep(0)
            await self._serve(shared, is_filling=True)

    def _look(self, shared: _Shared, found: Iterable[object]) -> None:
        for event in found:
            if isinstance(event, StoredEvent):
                self._counters.events_swept += 1
                shared.exchange.guard.look(event)

"""Shell: where events meet sessions: feed in, recent window, hub, sessions out; one clock and one flush for all.

Everything here runs in the event loop and awaits nothing: between the feed's callback and a session's outbox there is
no gap in which something could be missed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Container
from functools import partial
from math import ceil

from gateway.attached import Attached
from gateway.batch import Batch
from gateway.hub import Hub
from gateway.leak_guard import LeakGuard
from gateway.timers import Timers
from gateway.websocket_frame import SameMessages
from mesh.contiguity import Hole
from mesh.event import StoredEvent
from replay.recent import RecentWindow

log = logging.getLogger(__name__)

TICK_S = 0.05
"""How often the clock looks for what is due, in seconds. The pings of thousands at one look would hold up events."""
MANY = 250
"""Sessions from which on it takes longer to write to them than to wait for what was published together."""
REFRESH_S = 5.0
"""How often each quiet session's cursor is looked at, in seconds."""


class Exchange:
    """The recent window and everyone connected."""

    def __init__(
        self, recent: RecentWindow, identity: str, guard: LeakGuard, leaked: Callable[[StoredEvent, list[str]], None]
    ) -> None:
        self.recent = recent
        self.guard = guard
        self._leaked = leaked
        self.identity = identity
        self.hub: Hub[Attached] = Hub()
        self.by_key: dict[str, Attached] = {}
        self.timers: Timers[Attached] = Timers()
        self.messages = SameMessages()
        self.empty = asyncio.Event()
        """Set while nobody is connected."""
        self.empty.set()
        self.events_in = 0
        self.holes = 0
        self._dirty: dict[Attached, None] = {}
        self._behind: dict[Attached, None] = {}
        self._unrefreshed: list[Attached] = []
        """Whose cursors are still to be looked at in this round."""
        self._loop = asyncio.get_running_loop()

    def deliver(self, events: list[StoredEvent]) -> bool:
        """The feed's next events, that came together: into the recent window, to every live session that matches.

        Returns whether they went to so many that a moment's wait for more would have paid.
        """
        runs: list[tuple[list[StoredEvent], dict[Attached, None]]] = []
        self.events_in += len(events)
        if not self.guard.is_idle:
            self._look_for_leaks(events)
        append, match = self.recent.append, self.hub.match
        for event in events:
            append(event)
            holders = match(event.subject)
            if runs and runs[-1][1] is holders:
                runs[-1][0].append(event)
            elif holders:
                runs.append(([event], holders))
        often = _in_several([holders for _, holders in runs]) if len(runs) > 1 else ()
        offered = 0
        for run, holders in runs:
            offered += len(holders)
            self._offer(run, holders, often)
        if self._dirty or self._behind:
            self._flush()
        return offered >= MANY

    def _look_for_leaks(self, events: list[StoredEvent]) -> None:
        for event in events:
            leaking = self.guard.look(event)
            if leaking:
                self._leaked(event, leaking)

    def _offer(self, run: list[StoredEvent], holders: dict[Attached, None], often: Container[Attached]) -> None:
        """Offer events, one after the other in the stream, to the sessions that they all go to.

        Each is written to while it is at hand, but those for which ``often`` more came: they get all of it in one.
        """
        batch, unix_s = Batch(run), time.time()
        for connection in list(holders):
            session = connection.session
            try:
                messages = session.admit(batch, unix_s) if connection not in often else None
                if messages is not None:
                    connection.write(messages)
                elif session.offer_all(batch):
                    self._dirty[connection] = None
            except Exception:  # noqa: BLE001  # a bug in one session must not cost the others this event
                connection.fail(batch.failed_at(session.told))

    def hole(self, hole: Hole) -> None:
        """The feed met a hole in the stream."""
        self.holes += 1
        log.warning("hole in the stream", extra={"after": hole.after, "before": hole.before, "reason": hole.reason})
        self.recent.skip(hole)
        for connection in self.by_key.values():
            connection.guarded(partial(connection.session.skip, hole))
            self._dirty[connection] = None
        self._flush()

    def attach(self, connection: Attached) -> None:
        """Register a session: from here on everything after the feed's position reaches it."""
        self.by_key[connection.key] = connection
        self.empty.clear()
        for pattern in connection.session.interest.since:
            self.hub.hold(pattern, connection)

    def detach(self, connection: Attached) -> None:
        """Forget a session; safe to repeat."""
        if not connection.is_attached:
            return
        connection.is_attached = False
        for pattern in connection.held:
            self.hub.release(pattern, connection)
        connection.held.clear()
        self._dirty.pop(connection, None)
        self._behind.pop(connection, None)
        self.timers.forget(connection)
        if self.by_key.get(connection.key) is connection:
            del self.by_key[connection.key]
        if not self.by_key:
            self.empty.set()

    def touch(self, connection: Attached) -> None:
        """The session may wait for the feed or for an earlier time than before."""
        self.timers.watch(connection)
        if connection.session.waits_for_feed:
            self._behind[connection] = None

    async def run(self) -> None:
        """The clock: pings, expiries, retries; and now and then the cursors of quiet sessions."""
        while True:
            await asyncio.sleep(TICK_S)
            now_s, unix_s = self._loop.time(), time.time()
            self.recent.expire(unix_s)
            for connection in self.timers.due(now_s):
                try:
                    connection.tick(now_s, unix_s)
                except Exception:  # noqa: BLE001  # as above
                    connection.fail()
            self._refresh_cursors(unix_s)

    def _refresh_cursors(self, unix_s: float) -> None:
        """Write down anew where quiet sessions stand before the recent window moves past what is stored.

        Else a session that got nothing for hours would need its durable after a cut of a second. A part of them at a
        tick: thousands of writes at once would delay everybody's events.
        """
        if not self._unrefreshed:
            self._unrefreshed = list(self.by_key.values())
        half, share = self.recent.older_half(unix_s), ceil(len(self.by_key) * TICK_S / REFRESH_S)
        for connection in self._unrefreshed[-share:] if half > self.recent.floor else ():
            saved = connection.cursor.saved_through
            if saved < half and saved < connection.session.through and connection.is_attached:
                connection.save_soon()
        del self._unrefreshed[-share:]

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, {}
        unix_s = time.time()
        for connection in dirty:
            try:
                connection.flush(unix_s)
            except Exception:  # noqa: BLE001  # as above
                connection.fail()
        if self._behind:
            behind, self._behind = self._behind, {}
            for connection in behind:
                connection.guarded(connection.pump)


def _in_several(runs: list[dict[Attached, None]]) -> set[Attached]:
    """Those who hold more than one of the runs."""
    once: set[Attached] = set()
    often: set[Attached] = set()
    for holders in runs:
        often.update(once.intersection(holders))
        once.update(holders)
    return often

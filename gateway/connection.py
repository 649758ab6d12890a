"""Shell: one WebSocket's life after its session was opened: frames in, effects performed, bytes out.

Decides nothing about the protocol: that is ``gateway.session``. What is here is the socket: when it takes no more the
session is told so and lags; when it has taken nothing for ``write_stall_s`` it is dead.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from gateway import close_codes, frames
from gateway.effects import Close, Effect, Hold, PumpAgain, ReadDurable, Release, Save, VerifyToken
from gateway.exchange import Exchange
from gateway.house import House
from gateway.phase import Phase
from gateway.session import Session
from gateway.websocket import WebSocket
from replay.catchup import Failed, Read
from replay.cursors import Cursor
from replay.durable import Durable
from replay.record import Owner, Record
from security.errors import LimitReached, UpstreamUnavailable
from security.permissions import Permissions
from security.tokens import Claims

log = logging.getLogger(__name__)

WRITE_HIGH_BYTES = 262_144
"""Unsent bytes at which a socket counts as taking no more."""
WRITE_LOW_BYTES = 65_536
"""Unsent bytes at which it takes some again."""
UNSENT_MOST_BYTES = 4_194_304
"""Unsent bytes at which a client that goes on sending frames is closed; events alone stop at ``WRITE_HIGH_BYTES``."""
UNSTORED_REPLIES_MOST = 256
"""Replies that wait until a change is stored; a client that asks for more than these is closed."""
SAVE_RETRY_S = 0.5
"""Seconds until a record that could not be stored is tried again while replies wait for it."""


class Connection:
    """A welcomed WebSocket and its session."""

    __slots__ = (
        *("house", "exchange", "key", "owner", "session", "claims", "permissions", "durable", "cursor", "is_attached"),
        *("is_new", "held", "_socket", "_transport", "_tasks", "_is_watched", "_has_drained"),
        *("_unstored", "_is_saving", "write", "__dict__"),
    )

    def __init__(
        self,
        house: House,
        exchange: Exchange,
        socket: WebSocket,
        transport: asyncio.Transport,
        *,
        key: str,
        owner: Owner,
        claim: str,
        revision: int,
        session: Session,
        claims: Claims,
        permissions: Permissions,
        durable: Durable,
    ) -> None:
        self.house = house
        self.exchange = exchange
        """Of the stream that the session was opened on: another one may have taken its place."""
        self.key = key
        self.owner = owner
        self.session = session
        self.claims = claims
        self.permissions = permissions
        self.durable = durable
        self.cursor = Cursor(key, claim, revision, self.record, self._lost)
        self.is_attached = False
        self.is_new = False
        """Whether the session was not known before: it has no durable yet."""
        self.held: dict[str, None] = {}
        self._socket = socket
        self._transport = transport
        self.write = transport.write
        """Writes whole messages to the socket, in the place of an outbox that is empty."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_watched = False
        """Whether a socket that takes no more is watched already."""
        self._has_drained = False
        """Whether the socket has taken some again since its watcher last looked, however full it is by now."""
        self._unstored: list[bytes] = []
        """Replies whose changes are not known to be stored, oldest first."""
        self._is_saving = False
        """Whether a task stores what they wait for already."""
        transport.set_write_buffer_limits(WRITE_HIGH_BYTES, WRITE_LOW_BYTES)

    @property
    def due_s(self) -> float:
        """When the session wants to be called."""
        return self.session.due_s

    def record(self) -> Record:
        """The session's record of now."""
        session = self.session
        return Record(
            stream=session.stream,
            acked=session.acked,
            through=session.through,
            patterns=dict(session.interest.since),
            owner=self.owner,
            claim=self.cursor.claim,
            gateway="" if session.phase is Phase.ENDED else self.house.name,
            untold=session.untold,
            saved_s=int(time.time()),
        )

    def start(self) -> None:
        """Register, welcome, replay: one step of the loop."""
        self.is_attached = True
        self.held = dict.fromkeys(self.session.interest.since)
        self.exchange.attach(self)
        self.perform(self.session.start())

    def guarded(self, step: Callable[[], None]) -> None:
        """Run a step of this session; a bug in it ends this connection and no other."""
        try:
            step()
        except Exception:  # noqa: BLE001  # the top of whatever runs: a callback of the loop, a task, the feed
            self.fail()

    def fail(self, before_seq: int | None = None) -> None:
        """A bug was met while this session was served: log it, close with 1011. Call where it was caught.

        ``before_seq``: the event that it was met at, which was not sent.
        """
        if before_seq is not None:
            self.session.stop_before(before_seq)
        log.exception("a session failed", extra={"durable": self.key, "code": close_codes.INTERNAL})
        self.session.end()
        self._shut(close_codes.INTERNAL)

    def tick(self, now_s: float, unix_s: float) -> None:
        """The session's time has come."""
        self.perform(self.session.tick(now_s, unix_s))

    def pump(self) -> None:
        """Read on, if the socket still counts."""
        if self.is_attached:
            self.perform(self.session.pump())

    def receive(self, received: list[frames.Frame]) -> None:
        """Frames from the client, in order."""
        now_s, session = self.house.now_s(), self.session
        due_s = session.due_s
        for frame in received:  # each is carried out before the next is judged
            for effect in session.receive(frame, self.permissions, now_s):
                self._perform(effect)
        if session.is_blocked and self._transport.get_write_buffer_size() > UNSENT_MOST_BYTES:
            self.close(close_codes.OVERLOADED)  # it sends without reading the answers
        if session.phase is not Phase.LIVE or session.outbox or session.due_s < due_s:
            self.perform([])  # else it was an acknowledgement, as nearly always

    def perform(self, effects: list[Effect]) -> None:
        """Carry out effects in order, then write what there is to write."""
        for effect in effects:
            self._perform(effect)
        if self.is_attached:
            self.exchange.touch(self)
            self.flush(time.time())

    def close(self, code: int, after_ms: int | None = None) -> None:
        """End the session and close the socket with one of our codes; safe to repeat."""
        self.perform(self.session.close(code, after_ms))

    def flush(self, unix_s: float) -> None:
        """Write the outbox to the socket."""
        session = self.session
        taken = session.take(unix_s)
        if session.gap_reasons:
            self.house.counters.gaps.update(session.gap_reasons)
            session.gap_reasons.clear()
        if taken:
            self.write(self.exchange.messages.of(taken, session.encoding))

    def set_blocked(self, is_blocked: bool) -> None:  # noqa: FBT001  # called by WebSocket
        """The socket takes no more, or takes some again: its transport says so."""
        self.session.set_blocked(is_blocked=is_blocked)
        if is_blocked:
            if not self._is_watched:
                self._is_watched = True
                self._spawn(self._watch_stall())
        else:
            self._has_drained = True  # before the pump, which may fill it up at once
            self.guarded(self.pump)

    def save_soon(self) -> None:
        """Store the record within the configured time."""
        self.house.cursors.save_soon(self.cursor)

    def ended(self) -> None:
        """The socket is gone, or closed: store where the session stands, and park it."""
        self.session.end()
        self._unstored.clear()  # who parks the session holds on to us for long
        # before the exchange may look empty: a drain waits for it
        self.house.keep(asyncio.create_task(self._store_and_park(), name="park"))
        self.exchange.detach(self)
        self.house.counters.events_sent += self.session.events_sent
        self.house.counters.events_replayed += self.session.events_replayed
        for task in list(self._tasks):
            task.cancel()
        self.house.replays.leave(self)

    async def _store_and_park(self) -> None:
        if self.cursor.is_lost:
            return
        try:
            await self.house.cursors.save(self.cursor)
        except (UpstreamUnavailable, LimitReached) as error:
            # what was last stored stands: at most save_within_ms of acknowledgements are repeated
            log.warning("a cursor could not be stored at the end", extra={"durable": self.key, "error": str(error)})
        self.house.cursors.drop(self.cursor)
        if not self.cursor.is_lost:
            session, cursor = self.session, self.cursor
            self.house.parking.park_later(
                self.key, self.durable, session.through, session.interest, lambda: self.house.cursors.holds(cursor)
            )

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Save(None):
                self.save_soon()
            case Save(reply):
                assert reply is not None, "the case above"
                self._reply_when_stored(reply)
            case Hold(pattern):
                self.held[pattern] = None
                self.exchange.hub.hold(pattern, self)
            case Release(pattern):
                del self.held[pattern]
                self.exchange.hub.release(pattern, self)
            case ReadDurable():
                self.house.replays.ask(self, effect)
            case VerifyToken(token, id_):
                self._refresh(token, id_)
            case PumpAgain():
                asyncio.get_running_loop().call_soon(self.guarded, self.pump)
            case Close(code):
                self._close(code)

    def replayed(self, result: Read | Failed) -> None:
        """What was read for the session."""
        if self.is_attached:
            if isinstance(result, Failed):
                log.warning("what was missed could not be read", extra={"durable": self.key, "error": result.reason})
            self.perform(self.session.read(result, self.house.now_s()))

    def _refresh(self, token: str, id_: str | int | None) -> None:
        unix_s = time.time()
        verified = self.house.doorkeeper.verify(token, unix_s)
        old = self.claims
        if isinstance(verified, tuple):
            claims, permissions = verified
            if (claims.principal, claims.tenant) == (old.principal, old.tenant):
                self.claims, self.permissions = claims, permissions
                self.perform(self.session.refreshed(claims, permissions, id_, self.house.now_s(), unix_s))
                return
        self.close(close_codes.UNAUTHORIZED)

    def _reply_when_stored(self, reply: bytes) -> None:
        """Hand a reply over when the record of now is stored, behind those that wait already."""
        if len(self._unstored) == UNSTORED_REPLIES_MOST:
            self.close(close_codes.RATE_LIMITED)  # the bucket cannot be written, or is slow, and it goes on asking
            return
        self._unstored.append(reply)
        if not self._is_saving:
            self._is_saving = True
            self._spawn(self._save_then_reply())

    async def _save_then_reply(self) -> None:
        """Store what replies wait for; one record does for all that came before it, so that they cost no write each."""
        try:
            while self.is_attached and self._unstored:
                count = len(self._unstored)  # what comes while it is written may not be in it
                try:
                    is_stored = await self.house.cursors.save(self.cursor)
                except (UpstreamUnavailable, LimitReached):
                    await asyncio.sleep(SAVE_RETRY_S)
                    continue
                if not is_stored:
                    break  # another connection has the session: this one is being closed
                for reply in self._unstored[:count]:
                    self.session.reply(reply)
                del self._unstored[:count]
                self.flush(time.time())
        except Exception:  # noqa: BLE001  # the top of a task; without it no later change would be answered
            self.fail()
        finally:
            self._is_saving = False

    def _close(self, code: int) -> None:
        self.flush(time.time())
        self._shut(code)

    def _shut(self, code: int) -> None:
        self.house.counters.closes[code] += 1
        task = asyncio.create_task(self._close_socket(code))  # outlives the session's other tasks
        self.house.keep(task)

    async def _close_socket(self, code: int) -> None:
        await self._socket.close(code, close_codes.REASONS[code].encode())
        self._transport.abort()

    async def _watch_stall(self) -> None:
        """Give the socket up when it takes nothing for ``write_stall_s``, or for up to twice that once it took some.

        While a session catches up, a socket that has drained is filled again in the same step: ``drained`` does not
        return, and what is unsent goes up and down. Two looks at it tell something only if it did not drain in between.
        """
        stall_s = self.house.config.limits.write_stall_s
        while not self._socket.is_lost:
            unsent = self._transport.get_write_buffer_size()
            self._has_drained = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(stall_s):
                    await self._socket.drained()
            if not self.session.is_blocked:
                break
            if not self._has_drained and self._transport.get_write_buffer_size() >= unsent:
                self.session.end()
                self._close(close_codes.DEAD)
                self._transport.abort()
                break
        self._is_watched = False

    def _lost(self, ended: bool) -> None:  # noqa: FBT001  # called by Cursors
        self.guarded(partial(self.close, close_codes.REVOKED if ended else close_codes.TAKEN_OVER))

    def lose(self, *, ended: bool) -> None:
        """Another connection holds the session now, or an operator ended it.

        This one must not write its record again.
        """
        self.cursor.is_lost = True
        self._lost(ended)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

"""Shell: the client: performs what the core asks for.

One client is one session: one connection at a time, one position. Several iterators share it: the position is the
lowest that all of them have processed, and an event that matches two of them goes to both.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from os import PathLike
from random import Random, SystemRandom
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tidewire_client import effects as does
from tidewire_client.backoff import Backoff
from tidewire_client.connection import Connection, Dial
from tidewire_client.core import Core, Settings
from tidewire_client.errors import (
    ClientClosed,
    ClientError,
    Forbidden,
    GatewayError,
    Revoked,
    StateUnavailable,
    TokenUnavailable,
    Unauthorized,
    Unreachable,
    stopped,
)
from tidewire_client.event import Event
from tidewire_client.frames import (
    BadFrame,
    Codec,
    Encoding,
    EventFrame,
    GapFrame,
    Incoming,
    Welcome,
    WindowSize,
    data_bytes,
)
from tidewire_client.keys import DeviceKeys
from tidewire_client.patterns import check_pattern
from tidewire_client.position import Position, Scope
from tidewire_client.position_store import MemoryState, StateStore
from tidewire_client.sealed import Opened, open_sealed
from tidewire_client.subscription import AckMode, Inbox, Subscription
from tidewire_client.user import user_of

_log = logging.getLogger("tidewire_client")

Token = str | Callable[[], str | Awaitable[str]]
Callback = Callable[..., object]

MAX_MESSAGE_BYTES = 2 * 1024 * 1024
"""The largest WebSocket message that is read: an event of 1 MiB, and what stands around it."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SESSION_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class Client:
    """A session with a gateway, kept over any number of connections.

    Use it with ``async with``; it connects at the first ``subscribe`` and closes at the end of the block. Make all
    ``subscribe`` calls of a program before its first pause: the connection asks for the patterns known when it opens,
    and a pattern that comes later begins with the event after its coming.

    Args:
        url: ``wss://HOST/v1/session``; ``ws://`` for loopback only.
        token: the JWT, or a function (may be async) that returns one. The function is called again when the token ends
            or is refused; a str cannot be renewed. Raise ``Unauthorized`` in it to stop the client.
        session: the name of this device's session, 1 to 64 of ``A-Za-z0-9_-``; stable over runs.
        state: where the position is kept; in memory when absent.
        ca: a file of trusted certificates instead of the system's.
        keys: opens sealed fields; needs the extra ``sealed``.
        tenant: the tenant that sealed fields must be bound to, when the keys are shared between tenants.
        window: the most unprocessed events; bounds this client's memory.
        encoding: ``json`` or ``msgpack``.
        backoff: waits between connections.
        max_message_bytes: the largest message that is read.
        proxy: URL of a proxy; none by default, the environment is not looked at.
        on_gap: called with ``GapFrame(after, before, reason, subjects)``: reload what the events would have told. The
            position does not pass a gap until the callback has returned.
        on_live: called with the sequence when everything missed has been received.
        on_state: called with ``connecting``, ``replaying``, ``live``, ``waiting`` or ``closed``.
        on_error: called with a ClientError that did not end the session; logged as a warning when absent.
        random: for waits; give a seeded one to repeat a run.

    Callbacks may be async; they run one after the other, beside the iterators. One that raises ends the client, and its
    exception is raised from every iterator.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token,
        session: str,
        state: StateStore | None = None,
        ca: str | PathLike[str] | None = None,
        keys: DeviceKeys | None = None,
        tenant: str | None = None,
        window: WindowSize | None = None,
        encoding: Encoding = "json",
        backoff: Backoff | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        proxy: str | None = None,
        on_gap: Callable[[GapFrame], object] | None = None,
        on_live: Callable[[int], object] | None = None,
        on_state: Callable[[does.State], object] | None = None,
        on_error: Callable[[ClientError], object] | None = None,
        random: Random | None = None,
    ) -> None:
        _check_url(url)
        if not 1 <= len(session) <= 64 or not _SESSION_CHARACTERS.issuperset(session):
            raise ValueError("session is 1 to 64 of A-Z a-z 0-9 _ -")
        self._url, self._session = url, session
        self._token = token
        self._store: StateStore = state if state is not None else MemoryState()
        self._ca = ca
        self._keys = keys
        self._tenant = tenant
        self._codec = Codec(encoding)
        self._max_message_bytes, self._proxy = max_message_bytes, proxy
        self._on_gap, self._on_live, self._on_state, self._on_error = on_gap, on_live, on_state, on_error
        settings = Settings(
            session=session,
            window=window or WindowSize(),
            backoff=backoff or Backoff(),
            renewable=not isinstance(token, str),
        )
        self._core = Core(settings, random or SystemRandom())
        self._inboxes: dict[int, Inbox] = {}
        self._inbox_numbers = 0
        self._scope: Scope | None = None
        self._dial: Dial | None = None
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetching: asyncio.Task[None] | None = None
        self._stores: asyncio.Queue[tuple[Position | None, asyncio.Future[None]] | None] = asyncio.Queue()
        self._last_store: asyncio.Future[None] | None = None
        self._storing: asyncio.Task[None] | None = None
        self._calls: asyncio.Queue[tuple[Callback, object, int | None]] = asyncio.Queue()
        self._failure: Exception | None = None
        self._is_entered = False

    # --- what the program uses ---

    @property
    def state(self) -> does.State:
        """``connecting``, ``replaying``, ``live``, ``waiting`` (for the next try) or ``closed``."""
        return self._core.state

    @property
    def position(self) -> Position | None:
        """Up to where everything is processed; None before the first welcome of a new session."""
        return self._core.position

    @property
    def welcome(self) -> Welcome | None:
        """The gateway's last ``welcome``: its ``outcome``, how much is ``pending``. None before the first one."""
        return self._core.welcome

    @property
    def failure(self) -> Exception | None:
        """Why the session ended for good, None while it has not."""
        return self._failure

    def subscribe(self, *patterns: str, ack: AckMode = "auto") -> Subscription:
        """Iterate over the events of some patterns (``orders.c42.>``).

        With ``ack="manual"`` an event is processed when ``await event.ack()`` says so, in any order. After a loop was
        left by ``break`` or an exception, the same patterns in the same order go on where it was left. Raises
        ValueError for a pattern that is none, ClientClosed outside of ``async with``.
        """
        if not self._is_entered:
            raise ClientClosed("use `async with Client(...)`")
        if not patterns:
            raise ValueError("subscribe to at least one pattern")
        for pattern in patterns:
            check_pattern(pattern)
        if self._failure is not None:
            raise self._failure
        for inbox in self._inboxes.values():
            if inbox.patterns == patterns and (inbox.iterator is None or inbox.iterator() is None):
                inbox.put_back()
                return Subscription(inbox, self, ack)
        self._inbox_numbers += 1
        inbox = self._inboxes[self._inbox_numbers] = Inbox(self._inbox_numbers, patterns)
        self._perform(self._core.subscribe(inbox.number, patterns, _now()))
        return Subscription(inbox, self, ack)

    async def flush(self) -> None:
        """Store and acknowledge now what is processed; returns when the position is stored."""
        self._perform(self._core.flush())
        await self._stored()

    def wake(self) -> None:
        """Call it when the device woke up or the network came back; once too often does no harm.

        A connected client asks whether the link lives, and leaves it when nothing comes within 4 s. One that waits for
        the next try connects at once, unless the gateway asked it to wait. A closed one stays closed.
        """
        if self._is_entered:
            self._perform(self._core.wake(_now()))

    async def close(self) -> None:
        """Store and acknowledge what is processed, and close. Iterators end. Safe to call twice."""
        if not self._is_entered:
            return
        self._is_entered = False
        connection = self._connection
        self._perform(self._core.close())
        for inbox in self._inboxes.values():
            inbox.end(self._failure or StopAsyncIteration())
        await self._stored()
        if connection is not None:
            await connection.end()
        ending = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    async def __aenter__(self) -> Self:
        if self._is_entered or self.state == "closed":
            raise ClientClosed("a client is used once; make a new one")
        tls = await asyncio.to_thread(_tls, self._ca) if self._url.startswith("wss:") else None
        self._dial = Dial(
            url=self._url, tls=tls, codec=self._codec, max_message_bytes=self._max_message_bytes, proxy=self._proxy
        )
        self._is_entered = True
        self._storing = self._spawn(self._run_stores())
        _ = self._spawn(self._run_calls())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- what subscriptions use ---

    def make_event(self, inbox: Inbox, epoch: int, frame: EventFrame) -> Event:
        """See ``Source.make_event``."""

        async def ack() -> None:
            self.finish(inbox, epoch, frame.seq)

        data = self._codec.value(frame.data)
        if frame.data_b64 is not None:
            try:
                data = data_bytes(frame.data_b64)
            except BadFrame:
                data = frame.data_b64.encode()
        opened: tuple[str, ...] = ()
        shut: Mapping[str, str] = {}
        if isinstance(data, dict) and "$sealed" in data:
            found = self._open(data, frame)
            data, opened, shut = found.data, found.opened, found.shut
        return Event(
            seq=frame.seq,
            subject=frame.subject,
            time=frame.time,
            data=data,
            replay=frame.replay,
            id=frame.id,
            headers=frame.headers or {},
            opened=opened,
            shut=shut,
            ack=ack,
        )

    def finish(self, inbox: Inbox, epoch: int, seq: int) -> None:
        """See ``Source.finish``."""
        self._perform(self._core.processed(inbox.number, epoch, seq, _now()))

    async def give_up(self, inbox: Inbox) -> None:
        """See ``Source.give_up``."""
        if self._inboxes.pop(inbox.number, None) is not None:
            self._perform(self._core.unsubscribe(inbox.number, _now()))
            self._perform(self._core.flush())
        inbox.end(StopAsyncIteration())

    # --- what connections tell ---

    def on_opened(self, number: int) -> None:
        """See ``Listener``."""
        self._perform(self._core.opened(number, _now()))

    def on_frames(self, number: int, frames: list[Incoming]) -> None:
        """See ``Listener``."""
        self._perform(self._core.received(number, frames, _now(), time.time()))

    def on_misread(self, number: int) -> None:
        """See ``Listener``."""
        self._perform(self._core.misread(number, _now()))

    def on_pong(self, number: int) -> None:
        """See ``Listener``."""
        self._perform(self._core.heard(number, _now()))

    def on_broken(self, number: int, code: int | None, status: int | None, cause: Exception) -> None:
        """See ``Listener``."""
        found = self._core.broken(number, _now(), code=code, status=status)
        if found:
            told = f"close code {code}" if code is not None else f"HTTP {status}" if status is not None else str(cause)
            self._report(Unreachable(f"{self._url}: {told}"), cause)
        self._perform(found)

    # --- effects ---

    def _perform(self, found: list[does.Effect]) -> None:
        for effect in found:
            self._perform_one(effect)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._core.due != float("inf") and self._is_entered:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, self._core.due - _now()), self._tick)

    def _perform_one(self, effect: does.Effect) -> None:  # noqa: C901, PLR0912 - one case per effect
        match effect:
            case does.Deliver(inboxes, epoch, frame):
                for number in inboxes:
                    self._inboxes[number].put(epoch, frame)
            case does.Send(frame):
                if self._connection is not None:
                    self._connection.send(frame, self._last_store)
            case does.Store(position):
                self._last_store = asyncio.get_running_loop().create_future()
                self._stores.put_nowait((position, self._last_store))
            case does.Open(number):
                assert self._dial is not None
                assert self._connection is None, "one connection at a time"
                self._connection = Connection(number, self._dial, self)
                self._connection.task.add_done_callback(self._reap)
            case does.Drop():
                if self._connection is not None:
                    _ = self._spawn(self._connection.end())
                    self._connection = None
            case does.Probe():
                if self._connection is not None:
                    self._connection.probe()
            case does.FetchToken(number):
                if self._fetching is not None:
                    self._fetching.cancel()
                self._fetching = self._spawn(self._fetch(number))
            case does.Load(number, user):
                _ = self._spawn(self._load(number, user))
            case does.TellGap(number, gap):
                self._calls.put_nowait((self._on_gap or _log_gap, gap, number))
            case does.TellLive(seq):
                self._call(self._on_live, seq)
            case does.TellState(state):
                self._call(self._on_state, state)
            case does.TellError(error):
                self._report(GatewayError(error.code, error.message, retry=error.retry), None)
            case does.Deny(inboxes, subjects, reason):
                for number in inboxes:
                    self._inboxes.pop(number).end(Forbidden(f"subscribing was refused: {reason}", None, subjects))
            case does.Stop(kind, code):
                self._fail(stopped(kind, code))

    def _tick(self) -> None:
        self._timer = None
        try:
            self._perform(self._core.tick(_now()))
        except Exception as error:  # noqa: BLE001 - the top of a timer: told by every iterator
            self._crash(error)

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        if isinstance(failure, Revoked) and self._keys is not None:
            self._keys.wipe()
        for inbox in self._inboxes.values():
            inbox.end(self._failure)

    def _spawn(self, work: Awaitable[None]) -> "asyncio.Task[None]":
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: "asyncio.Task[None]") -> None:
        """A task that failed ends the client: never silently."""
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._crash(error)

    def _crash(self, error: BaseException) -> None:
        self._fail(error if isinstance(error, Exception) else ClientClosed("a task of the client was ended"))
        self._perform(self._core.close())

    # --- token, position, callbacks ---

    async def _fetch(self, number: int) -> None:
        try:
            token = self._token if isinstance(self._token, str) else self._token()
            if not isinstance(token, str):
                token = await token
        except Unauthorized:
            self._perform(self._core.token_failed(number, _now(), final=True))
        except Exception as error:  # noqa: BLE001 - the program's callable may raise anything
            self._report(TokenUnavailable("the token callable failed; it will be asked again"), error)
            self._perform(self._core.token_failed(number, _now(), final=False))
        else:
            self._perform(self._core.token_fetched(number, token, user_of(token), _now()))

    async def _load(self, number: int, user: str) -> None:
        self._scope = Scope(self._url, user, self._session)
        position = None
        try:
            position = await self._store.load(self._scope)
        except StateUnavailable as error:
            self._report(error, error.__cause__)
        self._perform(self._core.loaded(number, position, _now()))

    async def _run_stores(self) -> None:
        while (item := await self._stores.get()) is not None:
            position, done = item
            assert self._scope is not None, "a position is loaded before one is stored"
            try:
                await self._store.save(self._scope, position)
            except StateUnavailable as error:
                self._report(error, error.__cause__)
            finally:
                if not done.done():
                    done.set_result(None)

    async def _stored(self) -> None:
        """Wait until what was last to be stored is, or nobody is left to do it: all tasks may have been cancelled."""
        if self._last_store is not None and self._storing is not None:
            await asyncio.wait((self._last_store, self._storing), return_when=asyncio.FIRST_COMPLETED)

    async def _run_calls(self) -> None:
        while True:
            callback, argument, gap_number = await self._calls.get()
            answer = callback(argument)
            if isawaitable(answer):
                await answer
            if gap_number is not None:
                self._perform(self._core.gap_handled(gap_number, _now()))

    def _call(self, callback: Callback | None, argument: object) -> None:
        if callback is not None:
            self._calls.put_nowait((callback, argument, None))

    def _report(self, error: ClientError, cause: BaseException | None) -> None:
        error.__cause__ = cause
        self._call(self._on_error or _log_error, error)

    def _open(self, data: Any, frame: EventFrame) -> Opened:
        keys = self._keys if self._keys is not None else DeviceKeys()
        return open_sealed(data, subject=frame.subject, message_id=frame.id, keys=keys, tenant=self._tenant)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _log_gap(gap: GapFrame) -> None:
    _log.warning("events between %d and %d are lost (%s), and no on_gap handles it", gap.after, gap.before, gap.reason)


def _log_error(error: ClientError) -> None:
    _log.warning("%s", error)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("url is wss://HOST[:PORT]/v1/session")
    if parts.scheme == "ws" and parts.hostname not in _LOOPBACK:
        raise ValueError("ws:// sends tokens in clear; use wss:// for anything but this machine")
    if parts.query or parts.fragment or parts.username:
        raise ValueError("url holds no query, fragment or user: the token travels in the first frame")


def _tls(ca: str | PathLike[str] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

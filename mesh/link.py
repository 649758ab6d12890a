"""Shell: one supervised NATS connection, rebuilt for ever until it is closed.

nats-py makes the connection, and no more. Every subscription here is a *tap*: a plain function that is called with the
raw bytes of a message as the socket brings them (`mesh/nats_client.py`), in the order in which they came, before
anything is decoded. That is what keeps a subject, status line or header block that is not UTF-8 from ending the
reading, what makes a feed one ordered path, and what it costs least.

nats-py's own reconnecting is switched off: whatever ends a connection (end of file, refused or expired credentials, a
dead read loop, a half-open socket) leads to the one path that builds a new one and taps again. A PING that gets no
PONG is the proof of death; ``is_connected`` and ``flush()`` prove nothing.
"""

import asyncio
import contextlib
import itertools
import logging
import math
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

import msgspec
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, NoServersError
from nats.errors import Error as NatsError

from mesh.nats_client import TapCallback, TappedClient
from security.errors import UpstreamUnavailable
from security.secret import Secret

log = logging.getLogger(__name__)

ENDED = (NatsError, OSError, RuntimeError)
"""What a connection that has ended raises; the last is uvloop's for a transport that is closed."""


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and as whom to connect. Files are read again at each attempt, so that renewed credentials are found."""

    servers: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    """URLs without user and password; tried in turn."""
    user: str | None = None
    password: Secret | None = None
    password_file: str | None = None
    """Read at each attempt; wins over ``password``."""
    credentials: str | None = None
    """Path of a NATS credentials file."""
    tls: ssl.SSLContext | None = None
    """Context for ``tls://`` servers, from ``security.tls``."""
    name: str = "tidewire"
    """Shown by ``nats server report connections``."""
    inbox_prefix: str = "_INBOX"
    """First tokens of every answer subject; a prefix of its own per NATS user keeps answers private."""
    connect_s: float = 5.0
    """Seconds for one attempt to connect."""
    heartbeat_s: float = 3.0
    """Seconds between PINGs."""
    dead_after_s: float = 8.0
    """Seconds to wait for a PONG before the connection is given up; together with ``heartbeat_s`` below 15."""
    backoff_max_s: float = 5.0
    """Longest wait between attempts, in seconds; the first is at most 0.1."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """The answer to a request."""

    payload: bytes
    headers: bytes


class Tap:
    """A subscription that outlives connections. Close it when its messages are no longer wanted."""

    def __init__(self, link: "Link", subject: str) -> None:
        self._link = link
        self.subject = subject

    async def close(self) -> None:
        """End the subscription; safe to repeat and while the connection is down."""
        await self._link._untap(self.subject)


class Link:
    """A supervised connection to NATS.

    ``changed`` holds functions that are called with True when a connection is up (taps are in place) and with False
    when it is lost; ``after_read`` those that are called when what came together from the socket has gone to the taps,
    so that who wants many messages can take them at once.

    All methods raise ``UpstreamUnavailable`` while there is no connection: nothing is queued for later.
    """

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings
        self.changed: list[Callable[[bool], None]] = []
        self.after_read: list[Callable[[], None]] = []
        self.connects = 0
        """How many connections have been made; more than one means reconnected."""
        self.last_error = ""
        """Kind of the newest failure, for logs and messages; never text from a peer that could hold a secret."""
        self._taps: dict[str, TapCallback] = {}
        self._subscriptions: dict[str, Any] = {}
        self._client: TappedClient | None = None
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._pong: asyncio.Future[bool] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._random = Random(secrets.randbits(64))  # noqa: S311  # spreads reconnects, keeps no secret
        self._inbox = f"{settings.inbox_prefix}.{secrets.token_hex(8)}"
        self._tokens = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop
        self._answers: dict[bytes, asyncio.Future[Reply]] = {}
        self._taps[f"{self._inbox}.r.*"] = self._answered

    @property
    def is_up(self) -> bool:
        """Whether there is a connection that has not been found dead."""
        return self._up.is_set()

    @property
    def inbox(self) -> str:
        """The prefix of this link's own answer subjects; append tokens of your own (not ``r``)."""
        return self._inbox

    async def start(self, within_s: float | None = 10.0) -> None:
        """Start supervising; return when connected.

        Raises ``UpstreamUnavailable`` when that takes longer than ``within_s`` seconds, and stops. With None it returns
        at once and goes on trying.
        """
        assert self._supervisor is None, "a link is started once"
        self._loop = asyncio.get_running_loop()
        self._supervisor = asyncio.create_task(self._supervise(), name="link")
        if within_s is None:
            return
        try:
            await self.wait_up(within_s)
        except UpstreamUnavailable:
            await self.close()
            raise

    async def wait_up(self, within_s: float) -> None:
        """Return when there is a connection; raise ``UpstreamUnavailable`` after ``within_s`` seconds without one."""
        try:
            async with asyncio.timeout(within_s):
                await self._up.wait()
        except TimeoutError:
            servers = ", ".join(self.settings.servers)
            raise UpstreamUnavailable(f"no connection to NATS at {servers} ({self.last_error or 'time-out'})") from None

    async def close(self) -> None:
        """Close for good; safe to repeat."""
        if self._supervisor is not None:
            while not self._supervisor.done():  # nats-py's wait_for may swallow a cancellation (Python 3.11)
                self._supervisor.cancel()
                await asyncio.wait([self._supervisor], timeout=0.1)
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        await self._drop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Hand a message to the connection, and wait while that is full. Returning says nothing about its arrival."""
        self.send(subject, payload, reply=reply, headers=headers)
        client = self._client
        if client is not None and client.is_full:
            try:
                await client.drained()
            except ENDED as error:
                raise UpstreamUnavailable(f"publish: {type(error).__name__}") from error

    def send(self, subject: str, payload: bytes, *, reply: str = "", headers: dict[str, str] | None = None) -> None:
        """``publish`` that waits for nothing, for messages whose number is bounded by the answers to them."""
        client = self._client
        if client is None or not self._up.is_set():
            raise UpstreamUnavailable("no connection to NATS")
        try:
            client.send(subject, payload, reply, headers)
        except ENDED as error:
            raise UpstreamUnavailable(f"publish: {type(error).__name__}") from error

    async def request(
        self, subject: str, payload: bytes = b"", *, headers: dict[str, str] | None = None, timeout_s: float = 5.0
    ) -> Reply:
        """Publish and wait for the first answer.

        Raises ``UpstreamUnavailable`` after ``timeout_s`` seconds, when nobody listens, or when the connection is
        lost: the request may or may not have had its effect.
        """
        token = b"%d" % next(self._tokens)
        self.send(subject, payload, reply=f"{self._inbox}.r.{token.decode()}", headers=headers)
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self._answers[token] = answer
        late = self._loop.call_later(timeout_s, _too_late, answer)
        try:
            reply = await answer  # while the connection is full, too: no answer comes before what it answers
        except TimeoutError:
            raise UpstreamUnavailable(f"no answer from {subject} within {timeout_s} s") from None
        finally:
            late.cancel()
            self._answers.pop(token, None)
        if not reply.payload and reply.headers.startswith(b"NATS/1.0 503"):
            raise UpstreamUnavailable(f"nobody answers {subject}")
        return reply

    async def tap(self, subject: str, callback: TapCallback) -> Tap:
        """Call ``callback`` with every message on ``subject`` (a pattern), in order, until the tap is closed.

        The callback runs inside the read loop: it must be quick and must not await. One tap a subject. While the
        connection is down the tap is remembered and made when it is back; messages of the time between are not
        delivered.
        """
        assert subject not in self._taps, "one tap a subject"
        self._taps[subject] = callback
        if self._client is not None and self._up.is_set():
            with contextlib.suppress(UpstreamUnavailable):  # just lost: the next connection makes it
                await self._subscribe(self._client, subject)
        return Tap(self, subject)

    async def _untap(self, subject: str) -> None:
        self._taps.pop(subject, None)
        subscription = self._subscriptions.pop(subject, None)
        if subscription is not None:
            with contextlib.suppress(*ENDED):
                await subscription.unsubscribe()

    def _answered(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        del reply
        answer = self._answers.get(subject[subject.rfind(b".") + 1 :])
        if answer is not None and not answer.done():
            answer.set_result(Reply(data, headers))

    async def _subscribe(self, client: TappedClient, subject: str) -> None:
        try:
            self._subscriptions[subject] = await client.subscribe(subject)
        except ENDED as error:
            raise UpstreamUnavailable(f"subscribe: {type(error).__name__}") from error

    async def _subscribe_missing(self, client: TappedClient) -> None:
        while missing := self._taps.keys() - self._subscriptions.keys():
            await self._subscribe(client, missing.pop())

    async def _supervise(self) -> None:
        failures = 0
        for server in itertools.cycle(self.settings.servers):
            try:
                await self._connect(server)
            except Exception as error:  # noqa: BLE001  # the top of this task: no odd server may end the trying
                failures += 1
                self._note(error)
                log.warning("NATS connection failed", extra={"server": server, "error": self.last_error})
                await self._drop()
                longest = min(self.settings.backoff_max_s, 0.1 * 2 ** min(failures, 10))
                await asyncio.sleep(self._random.uniform(0.02, longest))
                continue
            failures = 0
            await self._watch()
            log.warning("NATS connection lost", extra={"server": server, "error": self.last_error})
            await self._drop()

    async def _connect(self, server: str) -> None:
        settings = self.settings
        password = settings.password.reveal() if settings.password else None
        if settings.password_file:
            password = (await asyncio.to_thread(Path(settings.password_file).read_text)).strip()
        self._lost.clear()
        client = self._client = TappedClient(self._taps, self.after_read)
        async with asyncio.timeout(settings.connect_s):
            await client.connect(
                server,
                name=settings.name,
                user=settings.user,
                password=password,
                user_credentials=settings.credentials,
                tls=settings.tls,
                allow_reconnect=False,
                max_reconnect_attempts=1,  # else it tries a dead server again and again inside connect
                reconnect_time_wait=0,
                connect_timeout=math.ceil(settings.connect_s),
                ping_interval=3600,  # ours is the heartbeat below
                max_outstanding_pings=1_000_000,
                inbox_prefix=settings.inbox_prefix,
                error_cb=self._on_error,
                closed_cb=self._on_closed,
            )
            await self._subscribe_missing(client)
            await self._ping(client)
            await self._subscribe_missing(client)  # taps that were made while the server answered
        self.connects += 1
        log.info("NATS connection up", extra={"server": server, "connects": self.connects})
        self._up.set()
        for callback in list(self.changed):
            callback(True)  # noqa: FBT003

    async def _watch(self) -> None:
        """Return when the connection is lost or a PING stays unanswered."""
        client = self._client
        assert client is not None
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.heartbeat_s):
                    await self._lost.wait()
                    return
            try:
                async with asyncio.timeout(self.settings.dead_after_s):
                    await self._ping(client)
            except TimeoutError:
                self.last_error = "no PONG"
                return
            except ENDED as error:
                if not self._lost.is_set():
                    self.last_error = type(error).__name__
                return

    async def _ping(self, client: TappedClient) -> None:
        pong = self._pong = asyncio.get_running_loop().create_future()
        await client._send_ping(pong)
        await pong

    async def _drop(self) -> None:
        """Let go of the connection, tell everyone who waits for it."""
        was_up = self._up.is_set()
        self._up.clear()
        client, self._client = self._client, None
        self._subscriptions.clear()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(UpstreamUnavailable("the connection to NATS was lost"))
                answer.exception()  # a caller that has gone leaves nobody to read it
        if was_up:
            for callback in list(self.changed):
                callback(False)  # noqa: FBT003
        if client is not None:
            with contextlib.suppress(Exception):  # a dead client may fail anywhere while it closes
                async with asyncio.timeout(2):
                    await client._close(Client.CLOSED, False)  # noqa: FBT003
            _let_go(client)

    def _note(self, error: Exception) -> None:
        """Keep the kind of a failure; a wrong password is plain in the server's text alone."""
        if "authorization violation" in str(error).lower():
            self.last_error = "authorization violation: wrong user, password or credentials"
        elif isinstance(error, ConnectionResetError) and self.last_error.startswith("authorization"):
            pass  # the server has refused again and hung up before its word was read
        elif not isinstance(error, NoServersError | ConnectionClosedError):  # which follow the reason, and say less
            self.last_error = type(error).__name__

    async def _on_error(self, error: Exception) -> None:
        self._note(error)
        # nats-server's text for a refused subject names the subject and nothing else; a refusal shows nowhere but here
        log.warning(
            "NATS reported an error", extra={"error": str(error) if "ermission" in str(error) else self.last_error}
        )

    async def _on_closed(self) -> None:
        self._ended()

    def _ended(self) -> None:
        """The connection is over. nats-py forgets the PING that waits for its PONG then."""
        self._lost.set()
        if self._pong is not None and not self._pong.done():
            self._pong.set_exception(ConnectionClosedError())
            self._pong.exception()  # a ping that could not be sent leaves nobody to read it


def _too_late(answer: asyncio.Future[Reply]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def _let_go(client: TappedClient) -> None:
    """End what nats-py's close leaves when the peer takes no more bytes: the socket, and with it who waits to write."""
    writer = getattr(client._transport, "_io_writer", None)
    if writer is not None:
        writer.transport.abort()

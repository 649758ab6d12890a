"""Shell: publishes events and waits for JetStream's acknowledgements, many at a time on one connection.

nats-py waits for each acknowledgement in turn; here one tap takes all of them, so that a thousand events may be under
way. An event that is not acknowledged is sent again under the same message id, which JetStream stores once: after a
lost answer, while the stream has no leader, while the connection is down. Events are sent in the order in which they
were handed over; one that has to be sent again may be stored after later ones.
"""

import asyncio
import heapq
import itertools
import secrets
import time
from collections import deque
from collections.abc import Mapping
from random import Random
from types import TracebackType
from typing import Self

import msgspec

from mesh.envelope import RANDOM_BYTES, Envelopes, Message
from mesh.link import Link, Tap
from mesh.retry import RetryPolicy
from security.errors import ConfigurationError, LimitReached, UpstreamUnavailable
from security.sealing import seal

TICK_S = 0.02  # how exactly attempts are timed
IN_PROCESS = 10158  # err_code: an earlier attempt of the same id is still being replicated; it passes


class PublisherSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and patience of a publisher."""

    in_flight: int = 1_000
    """Events handed over and not yet acknowledged; ``publish`` waits for its turn beyond it."""
    in_flight_bytes: int = 67_108_864
    """Bytes of those events; one event alone may always go."""
    retry: RetryPolicy = RetryPolicy()
    """When to send again and when to give up."""


class PublishAck(msgspec.Struct, frozen=True, gc=False):
    """JetStream has stored the event."""

    stream: str
    seq: int
    """Its sequence; of the first, when this was a repeat."""
    duplicate: bool = False
    """Whether the id was stored before, by an earlier attempt of ours or by somebody else."""


class _Error(msgspec.Struct, frozen=True, gc=False):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, gc=False):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


class _InFlight:
    """One event under way."""

    __slots__ = ("attempts", "done", "first", "message", "reply", "token", "told")

    def __init__(
        self, token: bytes, reply: str, message: Message, first: float, done: asyncio.Future[PublishAck]
    ) -> None:
        self.token = token
        self.reply = reply
        self.message = message
        self.first = first  # monotonic seconds
        self.done = done
        self.attempts = 0
        self.told = "no answer"  # of the newest attempt that failed


class Publisher:
    """Publishes events on a link. Use it with ``async with``: leaving it waits until each is stored or has failed."""

    def __init__(
        self, link: Link, envelopes: Envelopes | None = None, settings: PublisherSettings | None = None
    ) -> None:
        self.acknowledged = 0
        """Events stored."""
        self.repeated = 0
        """Attempts after the first."""
        self.failed = 0
        """Events given up or refused."""
        self._link = link
        self._envelopes = envelopes or Envelopes()
        self._settings = settings or PublisherSettings()
        self._inbox = f"{link.inbox}.p{secrets.token_hex(4)}"
        self._tokens = itertools.count(1)
        self._in_flight: dict[bytes, _InFlight] = {}
        self._bytes = 0
        self._to_send: deque[_InFlight] = deque()
        self._wake = asyncio.Event()
        self._due: list[tuple[float, int, bytes]] = []  # when to look at an event again: a heap
        self._waiting: deque[asyncio.Future[None]] = deque()  # for a turn
        self._empty = asyncio.Event()
        self._empty.set()
        self._random = Random(secrets.randbits(64))  # noqa: S311  # spreads retries, keeps no secret
        self._decoder = msgspec.json.Decoder(_Answer)
        self._loop = asyncio.get_running_loop()
        self._tap: Tap | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tap = await self._link.tap(f"{self._inbox}.*", self._answered)
        self._tasks = [
            asyncio.create_task(self._send_all(), name="publisher: send"),
            asyncio.create_task(self._look_again(), name="publisher: retry"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.drain()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for event in list(self._in_flight.values()):
                self._end(event)
                event.done.cancel()
            if self._tap is not None:
                await self._tap.close()

    @property
    def in_flight(self) -> int:
        """Events handed over and not yet acknowledged."""
        return len(self._in_flight)

    async def publish(
        self, subject: str, event: object, *, message_id: str | None = None, headers: Mapping[str, str] | None = None
    ) -> PublishAck:
        """Publish one event; return when JetStream has stored it.

        A caller that repeats an event itself, such as after its own restart, gives the same ``message_id`` each time,
        and stops within the stream's duplicate window: later it would be stored as a second event.

        Raises UpstreamUnavailable after ``give_up_s``: the event may be stored or not. Raises LimitReached for an event
        that is too large, ConfigurationError when the stream refuses it, and what ``Envelopes.message`` raises: then it
        is not stored. A caller that is cancelled does not learn which.
        """
        return await (await self.hand_over(subject, event, message_id=message_id, headers=headers))

    async def hand_over(
        self, subject: str, event: object, *, message_id: str | None = None, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[PublishAck]:
        """Publish as ``publish`` does, and return once there is room: the future brings the acknowledgement.

        For many events in a row: hand them over, then look at the futures. One that is never looked at and fails is
        reported by asyncio.
        """
        message = self._message(subject, event, message_id, headers)
        while not self._has_room(message):
            await self._turn()
        return self._take(message)

    def publish_nowait(
        self, subject: str, event: object, *, message_id: str | None = None, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[PublishAck]:
        """As ``hand_over``, without waiting: raises LimitReached when there is no room."""
        message = self._message(subject, event, message_id, headers)
        if not self._has_room(message):
            limits = self._settings
            raise LimitReached(
                f"in_flight ({limits.in_flight}) or in_flight_bytes ({limits.in_flight_bytes}) are under way already"
            )
        return self._take(message)

    async def drain(self) -> None:
        """Return when nothing is under way: each event is stored or has failed."""
        await self._empty.wait()

    def _message(
        self, subject: str, event: object, message_id: str | None, headers: Mapping[str, str] | None
    ) -> Message:
        random = secrets.token_bytes(RANDOM_BYTES)
        return self._envelopes.message(
            subject, event, random=random, unix_s=time.time(), seal=seal, message_id=message_id, headers=headers
        )

    def _has_room(self, message: Message) -> bool:
        if not self._in_flight:
            return True
        limits = self._settings
        return len(self._in_flight) < limits.in_flight and self._bytes + message.size_bytes <= limits.in_flight_bytes

    async def _turn(self) -> None:
        turn = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next_turn()  # it was ours and we do not take it
            raise

    def _next_turn(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _take(self, message: Message) -> asyncio.Future[PublishAck]:
        assert self._tasks, "a publisher is used inside `async with`"
        token = b"%d" % next(self._tokens)
        done: asyncio.Future[PublishAck] = self._loop.create_future()
        event = _InFlight(token, f"{self._inbox}.{token.decode()}", message, self._loop.time(), done)
        self._in_flight[token] = event
        self._bytes += message.size_bytes
        self._empty.clear()
        self._to_send.append(event)
        self._wake.set()
        return done

    def _end(self, event: _InFlight) -> None:
        """Let go of an event, whatever became of it."""
        if self._in_flight.pop(event.token, None) is None:
            return
        self._bytes -= event.message.size_bytes
        self._next_turn()
        if not self._in_flight:
            self._empty.set()

    def _fail(self, event: _InFlight, error: Exception) -> None:
        self.failed += 1
        self._end(event)
        if not event.done.done():
            event.done.set_exception(error)

    def _again(self, event: _InFlight) -> None:
        """An attempt has failed: plan the next, or give up."""
        now = self._loop.time()
        retry = self._settings.retry
        at = retry.next_attempt(max(1, event.attempts), event.first, now, self._random.random())
        if at is None:
            self._give_up(event)
        else:
            heapq.heappush(self._due, (at, event.attempts, event.token))

    def _give_up(self, event: _InFlight) -> None:
        message, retry = event.message, self._settings.retry
        text = (
            f"{message.subject}: not acknowledged within {retry.give_up_s} s and {event.attempts} attempts "
            f"({event.told}); it may be stored or not. Repeat it under message id {message.message_id} "
            "within the stream's duplicate window "
            f"({retry.duplicate_window_s} s), not later"
        )
        self._fail(event, UpstreamUnavailable(text))

    async def _send_all(self) -> None:
        """Send what waits, in order."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._to_send:
                event = self._to_send.popleft()
                if event.token in self._in_flight:
                    await self._send(event)

    async def _send(self, event: _InFlight) -> None:
        now = self._loop.time()
        retry = self._settings.retry
        if event.done.done():  # the caller has gone
            self._end(event)
        elif not retry.may_send(event.first, now):
            self._give_up(event)
        else:
            event.attempts += 1
            self.repeated += event.attempts > 1
            message = event.message
            try:
                await self._link.publish(message.subject, message.payload, reply=event.reply, headers=message.headers)
            except UpstreamUnavailable as error:
                event.told = str(error)
                self._again(event)
            else:
                heapq.heappush(self._due, (now + retry.attempt_s, event.attempts, event.token))

    async def _look_again(self) -> None:
        """Send again what is due: attempts without an answer, and those that were told to wait."""
        while True:
            await asyncio.sleep(TICK_S)
            now = self._loop.time()
            while self._due and self._due[0][0] <= now:
                _, attempt, token = heapq.heappop(self._due)
                event = self._in_flight.get(token)
                if event is not None and attempt == event.attempts:  # else it was answered, or sent again since
                    self._to_send.append(event)
                    self._wake.set()

    def _answered(self, subject: bytes, reply: bytes, payload: bytes, header_block: bytes) -> None:
        del reply
        event = self._in_flight.get(subject[subject.rfind(b".") + 1 :])
        if event is None:
            return  # answered before: both attempts arrived
        if not payload and header_block.startswith(b"NATS/1.0 503"):
            event.told = "no stream listens to the subject"
            self._again(event)  # it has no leader, or is not there (yet)
            return
        try:
            answer = self._decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # no acknowledgement: a service that listens to the subject and answers
        if answer.error is not None:
            self._refused(event, answer.error)
        elif answer.stream and answer.seq:
            self.acknowledged += 1
            self._end(event)
            if not event.done.done():
                event.done.set_result(PublishAck(answer.stream, answer.seq, answer.duplicate))

    def _refused(self, event: _InFlight, error: _Error) -> None:
        told = f"{event.message.subject}: {error.description} ({error.err_code})"
        if error.code >= 500 or error.err_code == IN_PROCESS:
            event.told = f"{error.description} ({error.err_code})"
            self._again(event)  # no leader, no room, restarting: it passes, or the time is over
        elif error.err_code == 10054:
            self._fail(event, LimitReached(f"{told}: more than the stream's max_msg_size"))
        else:
            self._fail(event, ConfigurationError(f"the stream refuses the event: {told}"))

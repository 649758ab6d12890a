"""Shell: what an ``async for`` runs over: the queue of an iterator, and the iterator."""

import asyncio
from collections import deque
from types import TracebackType
from typing import Literal, Protocol, Self
from weakref import ref

from tidewire_client.event import Event
from tidewire_client.frames import EventFrame

AckMode = Literal["auto", "manual"]


class Inbox:
    """Events received for one set of patterns and not yet taken. The window bounds it.

    It outlives its iterator: when a loop is left by ``break`` or an exception, the events stay unprocessed, and the
    next ``subscribe`` with the same patterns goes on with them, the one in hand first.
    """

    def __init__(self, number: int, patterns: tuple[str, ...]) -> None:
        self.number = number
        self.patterns = patterns
        self.in_hand: tuple[int, EventFrame] | None = None
        self.iterator: ref[Subscription] | None = None
        self._waiting: deque[tuple[int, EventFrame]] = deque()
        self._changed = asyncio.Event()
        self._end: Exception | None = None

    def put(self, epoch: int, frame: EventFrame) -> None:
        """Add an event at the end."""
        self._waiting.append((epoch, frame))
        self._changed.set()

    def put_back(self) -> None:
        """The event in hand was not finished: it is the first again."""
        if self.in_hand is not None:
            self._waiting.appendleft(self.in_hand)
            self.in_hand = None
            self._changed.set()

    def end(self, reason: Exception) -> None:
        """No more events: whoever takes gets ``reason`` from now on. What waits is dropped, unacknowledged."""
        self._end = self._end or reason
        self._waiting.clear()
        self.in_hand = None
        self._changed.set()

    async def take(self) -> tuple[int, EventFrame]:
        """Wait for the next event, and hold it in hand. Cancelling loses nothing."""
        while not self._waiting:
            if self._end is not None:
                raise self._end
            self._changed.clear()
            await self._changed.wait()
        self.in_hand = self._waiting.popleft()
        return self.in_hand


class Source(Protocol):
    """Who feeds and hears a subscription: the client."""

    def make_event(self, inbox: Inbox, epoch: int, frame: EventFrame) -> Event:
        """The event as the program sees it."""

    def finish(self, inbox: Inbox, epoch: int, seq: int) -> None:
        """The event is processed."""

    async def give_up(self, inbox: Inbox) -> None:
        """The iterator is not wanted any more."""


class Subscription:
    """An asynchronous iterator of events. One task at a time may wait for it.

    With ``ack="auto"`` asking for the next event says that the one before is processed. Leaving the loop by ``break``
    or an exception leaves the event in hand unprocessed: call ``await event.ack()`` before a ``break`` that means
    "done".
    """

    def __init__(self, inbox: Inbox, source: Source, ack: AckMode) -> None:
        self._inbox = inbox
        self._source = source
        self._ack = ack
        self._is_waiting = False
        inbox.iterator = ref(self)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns as they were asked for."""
        return self._inbox.patterns

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._is_waiting:
            raise RuntimeError("two tasks wait for one subscription; make one subscription for each")
        inbox = self._inbox
        if inbox.in_hand is not None:
            epoch, frame = inbox.in_hand
            inbox.in_hand = None
            if self._ack == "auto":
                self._source.finish(inbox, epoch, frame.seq)
        self._is_waiting = True
        try:
            epoch, frame = await inbox.take()
        finally:
            self._is_waiting = False
        return self._source.make_event(inbox, epoch, frame)

    async def aclose(self) -> None:
        """Give the subscription up: its patterns end, and its events that wait are not due any more."""
        await self._source.give_up(self._inbox)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.aclose()

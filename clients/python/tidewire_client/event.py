"""Shell: one event as the program sees it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any


class Event:
    """An event of a subscription.

    Attributes:
        seq: the stream sequence, from 1; rises within one stream, not contiguous.
        subject: the literal subject.
        time: when the gateway's stream stored it, RFC 3339 UTC.
        data: the published value; bytes when the payload was not JSON, or could not be decoded here.
        replay: whether it is a missed one.
        id: the publisher's message id, or None.
        headers: the publisher's headers.
        opened: classes of sealed fields that have been put back into ``data``.
        shut: classes of sealed fields that stay shut here, each with its reason (``no_key``, ...).
    """

    __slots__ = ("_ack", "data", "headers", "id", "opened", "replay", "seq", "shut", "subject", "time")

    def __init__(
        self,
        *,
        seq: int,
        subject: str,
        time: str,
        data: Any,
        replay: bool,
        id: str | None,
        headers: Mapping[str, Any],
        opened: tuple[str, ...],
        shut: Mapping[str, str],
        ack: Callable[[], Awaitable[None]],
    ) -> None:
        self.seq = seq
        self.subject = subject
        self.time = time
        self.data = data
        self.replay = replay
        self.id = id
        self.headers = headers
        self.opened = opened
        self.shut = shut
        self._ack = ack

    async def ack(self) -> None:
        """Say that this event is processed. Saying so twice is harmless; the gateway hears of it within 250 ms."""
        await self._ack()

    def __repr__(self) -> str:
        return f"Event(seq={self.seq}, subject={self.subject!r}, replay={self.replay})"  # no data: it may be sensitive

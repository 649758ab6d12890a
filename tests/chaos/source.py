"""The service that publishes, and the reading of the stream that shows what it holds."""

import asyncio
import base64
import time
from collections.abc import Sequence
from random import Random

import msgspec

from mesh.api import NO_MESSAGE, Api, ApiError, StreamInfo
from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher, PublisherSettings
from mesh.retry import RetryPolicy
from security.errors import LimitReached, UpstreamUnavailable
from tests.chaos.oracle import Oracle, Stored
from tests.servers import linked

STREAM = "EVENTS"
AT_ONCE = 4


class _Payload(msgspec.Struct):
    n: int


class Source:
    """Publishes at a rate until it is cancelled; can be paused, so that the stream stands still."""

    def __init__(self, servers: Sequence[EmbeddedServer], oracle: Oracle, subjects: Sequence[str], seed: str) -> None:
        self.rate_per_s = 30.0
        self.failed = 0
        """Published and never acknowledged: perhaps stored."""
        self._servers = servers
        self._oracle = oracle
        self._subjects = subjects
        self._random = Random(f"{seed}/publisher")
        self._number = 0
        self._open = asyncio.Event()
        self._open.set()
        self._under_way = 0
        self._still = asyncio.Event()

    async def run(self) -> None:
        """Publish for ever."""
        settings = PublisherSettings(retry=RetryPolicy(give_up_s=20.0))
        async with (
            linked(*self._servers, user="publisher") as link,
            Publisher(link, settings=settings) as publisher,
        ):
            await asyncio.gather(*(self._publish(publisher) for _ in range(AT_ONCE)))

    async def pause(self) -> None:
        """Return when nothing is under way and nothing will be until ``resume``."""
        self._open.clear()
        while self._under_way:
            self._still.clear()
            await self._still.wait()

    def resume(self) -> None:
        """Publish again."""
        self._open.set()

    async def _publish(self, publisher: Publisher) -> None:
        while True:
            await self._open.wait()
            self._number += 1
            number, subject = self._number, self._random.choice(self._subjects)
            self._oracle.offer(number, subject)
            self._under_way += 1
            try:
                ack = await publisher.publish(subject, {"n": number})
                self._oracle.acknowledge(number, ack.seq, time.monotonic())
            except (UpstreamUnavailable, LimitReached):
                self.failed += 1
            finally:
                self._under_way -= 1
                if not self._under_way:
                    self._still.set()
            await asyncio.sleep(AT_ONCE / self.rate_per_s)


async def look(api: Api, within_s: float = 60.0) -> StreamInfo:
    """The stream's state by a leader, waited for."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                info = await api.stream_info(STREAM)
                if isinstance(info, StreamInfo) and info.leader:
                    return info
            except UpstreamUnavailable:
                pass
            await asyncio.sleep(0.2)


async def read_stream(api: Api, oracle: Oracle, *, whole: bool = False) -> int:
    """Read what the stream holds beyond what was read before (or all of it) into the oracle; returns its last sequence.

    Nobody must publish meanwhile. The leader is asked for one event after the other: slow, and beyond doubt.
    """
    info = await look(api)
    first = max(info.state.first_seq, 1 if whole else oracle.era.read_to + 1)
    found: dict[int, Stored] = {}
    seq = first
    while True:
        try:
            message = await api.next_message(STREAM, seq, ">")
        except UpstreamUnavailable:
            info = await look(api)
            continue
        if isinstance(message, ApiError):
            if message.err_code != NO_MESSAGE:
                await asyncio.sleep(0.2)
                continue
            break
        number = msgspec.json.decode(base64.b64decode(message.data), type=_Payload).n
        found[message.seq] = Stored(number, message.seq, message.subject)
        seq = message.seq + 1
    info = await look(api)
    oracle.read(found, 1 if whole else first, max(info.state.last_seq, seq - 1), time.monotonic())
    return info.state.last_seq

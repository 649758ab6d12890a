"""Shell: calls to the JetStream API, paced.

nats-server serves ``$JS.API`` from one queue and drops all of it, everyone's, when 10,000 requests wait there. So no
more than ``in_flight`` calls of one gateway are under way, no more than ``waiting`` wait here for their turn, and
equal questions about the stream's state share one answer.
"""

import asyncio
from collections import Counter
from typing import Any, TypeVar

import msgspec

from mesh.link import Link
from security.errors import LimitReached, UpstreamUnavailable

T = TypeVar("T")

NO_MESSAGE = 10037
STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014
MESSAGE_TOO_LARGE = 10054
WRONG_LAST_SEQUENCE = (10071, 10164)
"""``err_code`` of nats-server's errors.json.

The second also comes while an earlier write of the same subject is under way, perhaps the writer's own: a majority has
not stored it yet, and it may be stored still.
"""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON of the expected kind."""


class ApiError(msgspec.Struct, frozen=True):
    """An error that the JetStream API answered: an expected value, not an exception."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class _Envelope(msgspec.Struct):
    error: ApiError | None = None


class StreamState(msgspec.Struct, frozen=True):
    """The part of a stream's state that replay needs."""

    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    num_deleted: int = 0
    consumer_count: int = 0
    deleted: tuple[int, ...] = ()


class _Cluster(msgspec.Struct, frozen=True):
    leader: str = ""
    leader_since: str = ""  # in a cluster: nats-server 2.15 tells it


class StreamInfo(msgspec.Struct, frozen=True):
    """What the stream's leader says of it. ``created`` tells one stream from its successor of the same name."""

    created: str
    state: StreamState
    cluster: _Cluster = _Cluster()

    @property
    def leader(self) -> str:
        """Who answered as leader, and since when it is: between two equal answers no other one was. Empty: none."""
        cluster = self.cluster
        return f"{cluster.leader} {cluster.leader_since}".rstrip() if cluster.leader else ""


class StoredMessage(msgspec.Struct, frozen=True):
    """An answer of ``STREAM.MSG.GET``. Payload and headers are left in base64: callers here want the sequence."""

    subject: str
    seq: int
    time: str = ""
    data: str = ""
    hdrs: str = ""


class _GotMessage(msgspec.Struct, frozen=True):
    message: StoredMessage


class ConsumerInfo(msgspec.Struct, frozen=True):
    """What the API says of a consumer after CREATE, INFO or RESET."""

    name: str
    num_pending: int = 0
    created: str = ""
    config: dict[str, Any] = {}


class Api:
    """Paced calls. Each raises ``UpstreamUnavailable`` for time-outs and ``LimitReached`` when too many wait."""

    def __init__(self, link: Link, *, in_flight: int = 32, waiting: int = 20_000, timeout_s: float = 5.0) -> None:
        self.link = link
        self.calls: Counter[str] = Counter()
        """Calls made, by verb without names (``CONSUMER.CREATE``)."""
        self._gate = asyncio.Semaphore(in_flight)
        self._waiting = 0
        self._waiting_most = waiting
        self._timeout_s = timeout_s
        self._infos: dict[str, asyncio.Task[StreamInfo | ApiError]] = {}

    def beside(self) -> "Api":
        """Calls that do not queue behind those of this one, and are counted with them."""
        other = Api(self.link)
        other.calls = self.calls
        return other

    async def call(
        self, verb: str, name: str, body: object, answer: type[T], *, timeout_s: float | None = None
    ) -> T | ApiError:
        """One call of ``$JS.API.{verb}.{name}``."""
        if self._waiting >= self._waiting_most:
            raise LimitReached(f"more than {self._waiting_most} JetStream calls wait")
        self._waiting += 1
        try:
            await self._gate.acquire()
        finally:
            self._waiting -= 1
        try:
            self.calls[verb] += 1
            payload = msgspec.json.encode(body) if body is not None else b""
            reply = await self.link.request(f"$JS.API.{verb}.{name}", payload, timeout_s=timeout_s or self._timeout_s)
        finally:
            self._gate.release()
        try:
            error = msgspec.json.decode(reply.payload, type=_Envelope).error
            return error if error is not None else msgspec.json.decode(reply.payload, type=answer)
        except UNREADABLE as failure:
            raise UpstreamUnavailable(f"{verb}: the answer is not one of JetStream's") from failure

    async def stream_info(self, stream: str) -> StreamInfo | ApiError:
        """State of a stream from its leader, asked after this call began.

        Callers at the same moment share one answer.
        """
        running = self._infos.get(stream)
        if running is not None:
            # an answer that is already on its way may be older than the caller's question: wait for the next one
            await asyncio.wait([running])
            running = self._infos.get(stream)
        if running is None:
            running = asyncio.create_task(self.call("STREAM.INFO", stream, None, StreamInfo), name="stream info")
            self._infos[stream] = running
            running.add_done_callback(lambda task: self._forget(stream, task))
        return await asyncio.shield(running)

    def _forget(self, stream: str, task: "asyncio.Task[StreamInfo | ApiError]") -> None:
        if self._infos.get(stream) is task:
            del self._infos[stream]
        if not task.cancelled():
            task.exception()  # read, so that a question nobody waits for any more does not warn

    async def next_message(self, stream: str, seq: int, pattern: str) -> StoredMessage | ApiError:
        """The leader's first message at or above ``seq`` that matches; ``NO_MESSAGE`` when none does."""
        return await self._message(stream, {"seq": seq, "next_by_subj": pattern})

    async def last_message(self, stream: str, subject: str) -> StoredMessage | ApiError:
        """The leader's newest message on ``subject``; ``NO_MESSAGE`` when there is none."""
        return await self._message(stream, {"last_by_subj": subject})

    async def _message(self, stream: str, body: dict[str, int | str]) -> StoredMessage | ApiError:
        got = await self.call("STREAM.MSG.GET", stream, body, _GotMessage)
        return got.message if isinstance(got, _GotMessage) else got

    async def deleted(self, stream: str) -> StreamInfo | ApiError:
        """State of a stream with the sequences of deleted messages between its first and last."""
        return await self.call("STREAM.INFO", stream, {"deleted_details": True}, StreamInfo)

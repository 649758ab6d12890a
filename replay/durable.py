"""Shell: a session's durable consumer: placed, read, parked, removed.

The consumer is only a tool to read with: the cursor lives in its bucket. So it acknowledges nothing (``ack_policy``
none), starts nowhere (``deliver_policy`` all, which RESET needs), lives on one server, and is placed by RESET before
it is read and when its session is parked, so that ``nats consumer report`` shows how far behind a session is.
nats-server collects it after ``inactive_threshold_s`` without a pull; the next read makes it again.
"""

import asyncio
import logging
from typing import Any

import msgspec

from mesh.api import CONSUMER_NOT_FOUND, NO_MESSAGE, Api, ApiError, ConsumerInfo, StreamInfo
from mesh.epoch import is_born_at
from mesh.pull import Puller
from replay import catchup
from replay.filters import filter_subjects
from replay.interest import Interest
from replay.record import Owner
from security.errors import LimitReached, UpstreamUnavailable

log = logging.getLogger(__name__)


class _Done(msgspec.Struct, frozen=True):
    success: bool = False


class Durables:
    """What all durables of a gateway share."""

    def __init__(self, api: Api, puller: Puller, stream: str, *, inactive_threshold_s: float) -> None:
        self.api = api
        self.puller = puller
        self.stream = stream
        self.inactive_threshold_s = inactive_threshold_s

    def durable(self, key: str, owner: Owner, identity: str) -> "Durable":
        """The durable of one session, as a handle; nothing is asked of NATS yet.

        ``identity``: the stream that is to be read; of another one of the same name nothing is handed on.
        """
        return Durable(self, key, owner, identity)


class Durable:
    """The durable consumer of one session."""

    def __init__(self, shared: Durables, key: str, owner: Owner, identity: str) -> None:
        self._shared = shared
        self._identity = identity
        self._key = key
        self._owner = owner
        self._standing = catchup.Standing()
        self._filters: list[str] | None = None  # as this handle last set them
        self._turn = asyncio.Lock()  # a consumer that is made or parked while it is read would be read wrongly

    def stands_at(self, after: int) -> bool:
        """Whether the consumer has delivered up to ``after`` and goes on there: it need not be placed."""
        return self._standing.has_delivered_up_to(after)

    async def read(
        self, after: int, interest: Interest, floor: int, head: int, *, batch: int, max_bytes: int
    ) -> catchup.Read | catchup.Failed:
        """Read on from ``after``, as ``catchup.read`` says. A time-out is a ``Failed``: nothing was handed on."""
        async with self._turn:
            result = await self._read(sorted(interest.since), after, floor, head, batch, max_bytes)
        if isinstance(result, catchup.Failed):
            return result
        due = [event for event in result.events if interest.is_due(event.subject, event.seq)]
        return msgspec.structs.replace(result, events=due)

    async def park(self, through: int, interest: Interest) -> None:
        """Place the consumer behind ``through`` and refresh its timer. Raises ``UpstreamUnavailable``."""
        if not interest.since:
            return
        async with self._turn:
            self._standing.after = catchup.UNKNOWN
            await self._place(through, sorted(interest.since), remake=False)
            # only a pull refreshes inactive_threshold; one that has no room for anything takes nothing
            await self._shared.puller.pull(self._key, 1, max_bytes=1)

    async def make(self, interest: Interest) -> None:
        """Make the consumer if it is not there, or set its patterns. Raises ``UpstreamUnavailable``."""
        if interest.since:
            async with self._turn:
                await self._make(sorted(interest.since))

    async def remove(self) -> None:
        """Delete the consumer; one that is not there is no error. Raises ``UpstreamUnavailable``."""
        async with self._turn:
            self._standing.after = catchup.UNKNOWN
            await self._remove()

    async def _read(
        self, patterns: list[str], after: int, floor: int, head: int, batch: int, max_bytes: int
    ) -> catchup.Read | catchup.Failed:
        if self._filters != filter_subjects(patterns):
            self._standing.after = catchup.UNKNOWN  # placed for other patterns: it would pass over what these match
        reading = catchup.read(after, patterns, floor, head, self._standing, batch, max_bytes)
        answer: catchup.Answer = None
        try:
            while True:
                ask = reading.send(answer)
                answer = await self._answer(ask, patterns)
        except StopIteration as done:
            result: catchup.Read | catchup.Failed = done.value
            return result
        except (UpstreamUnavailable, LimitReached) as error:
            self._standing.after = catchup.UNKNOWN
            return catchup.Failed(str(error))

    async def _remove(self) -> None:
        name = f"{self._shared.stream}.{self._key}"
        gone = await self._shared.api.call("CONSUMER.DELETE", name, None, _Done)
        if isinstance(gone, ApiError) and gone.err_code != CONSUMER_NOT_FOUND:
            raise UpstreamUnavailable(f"consumer {self._key}: {gone.description}")

    async def _answer(self, ask: catchup.Ask, patterns: list[str]) -> catchup.Answer:
        api, stream = self._shared.api, self._shared.stream
        match ask:
            case catchup.AskState(deleted):
                return self._state(await (api.deleted(stream) if deleted else api.stream_info(stream)))
            case catchup.AskNext(seq, pattern):
                found = await api.next_message(stream, seq, pattern)
                if isinstance(found, ApiError):
                    if found.err_code != NO_MESSAGE:
                        raise UpstreamUnavailable(f"stream {stream}: {found.description}")
                    return None
                return found.seq
            case catchup.AskAfterPull():
                is_ours, info = await asyncio.gather(
                    self._has_filter(filter_subjects(patterns)), api.stream_info(stream)
                )
                return catchup.AfterPull(is_ours, self._state(info))
            case catchup.Place(after, remake):
                await self._place(after, patterns, remake=remake)
                return None
            case catchup.Pull(batch, max_bytes, wait_s):
                try:
                    pulled = await self._shared.puller.pull(self._key, batch, max_bytes=max_bytes, expires_s=wait_s)
                except UpstreamUnavailable as error:
                    return catchup.Pulled((), catchup.UNANSWERED, str(error))
                return catchup.Pulled(pulled.deliveries, pulled.status, pulled.description)

    def _state(self, info: StreamInfo | ApiError) -> catchup.State:
        if isinstance(info, ApiError):
            raise UpstreamUnavailable(f"stream: {info.description}")
        if not is_born_at(self._identity, self._shared.stream, info.created):
            raise UpstreamUnavailable("the stream was replaced")  # the feed will say so, and end this session
        state = info.state
        return catchup.State(info.leader, state.first_seq, state.last_seq, state.num_deleted, state.deleted)

    async def _has_filter(self, filters: list[str]) -> bool:
        name = f"{self._shared.stream}.{self._key}"
        info = await self._shared.api.call("CONSUMER.INFO", name, None, ConsumerInfo)
        return not isinstance(info, ApiError) and info.config.get("filter_subjects") == filters

    async def _place(self, after: int, patterns: list[str], *, remake: bool) -> None:
        if remake:
            await self._remove()
        self._standing.remake = True  # until both calls were answered
        await self._make(patterns)
        name = f"{self._shared.stream}.{self._key}"
        reset = await self._shared.api.call("CONSUMER.RESET", name, {"seq": after + 1}, ConsumerInfo)
        if isinstance(reset, ApiError):
            raise UpstreamUnavailable(f"consumer {self._key}: {reset.description}")
        self._standing.remake = False

    async def _make(self, patterns: list[str]) -> None:
        owner, filters = self._owner, filter_subjects(patterns)
        self._filters = None
        metadata = {"issuer": owner.issuer, "subject": owner.subject, "session": owner.session}
        config: dict[str, Any] = {
            "name": self._key,
            "durable_name": self._key,
            "deliver_policy": "all",
            "ack_policy": "none",
            "replay_policy": "instant",
            "max_deliver": -1,
            "num_replicas": 1,
            "inactive_threshold": int(self._shared.inactive_threshold_s * 1e9),
            "filter_subjects": filters,
            "metadata": metadata | ({"tenant": owner.tenant} if owner.tenant else {}),
        }
        body = {"stream_name": self._shared.stream, "config": config, "action": ""}
        made = await self._shared.api.call("CONSUMER.CREATE", f"{self._shared.stream}.{self._key}", body, ConsumerInfo)
        if isinstance(made, ApiError):
            raise UpstreamUnavailable(f"consumer {self._key}: {made.description}")
        self._filters = filters

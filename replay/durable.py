"""Shell: a session's durable consumer: placed, read, parked, removed.

The consumer is only a tool to read with: the cursor lives in its bucket. So it acknowledges nothing (``ack_policy``
none), starts nowhere (``deliver_policy`` all, which RESET needs), lives on one server, and is placed by RESET before
it is read and when its session is parked, so that ``nats consumer report`` shows how far behind a session is.
nats-server collects it after ``inactive_threshold_s`` without a pull; the next read makes it again.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
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

LEFT = "its session has left"


def _always() -> bool:
    return True


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
        self._reader = secrets.token_hex(8)
        """Tells what this handle made of the consumer from what others did."""
        self._standing = catchup.Standing()
        self._filters: list[str] | None = None  # as this handle last set them
        self._turn = asyncio.Lock()  # a consumer that is made or parked while it is read would be read wrongly

    def stands_at(self, after: int) -> bool:
        """Whether the consumer has delivered up to ``after`` and goes on there: it need not be placed."""
        return self._standing.has_delivered_up_to(after)

    async def read(
        self,
        after: int,
        interest: Interest,
        floor: int,
        head: int,
        *,
        batch: int,
        max_bytes: int,
        is_wanted: Callable[[], bool] = _always,
    ) -> catchup.Read | catchup.Failed:
        """Read on from ``after``, as ``catchup.read`` says. A time-out is a ``Failed``: nothing was handed on.

        The consumer is not touched any more once ``is_wanted`` says no: another gateway may read it by then.
        """
        async with self._turn:
            patterns = sorted(interest.since)  # of now: it may have changed while another read went on
            reading = catchup.read(after, patterns, floor, head, self._standing_for(patterns), batch, max_bytes)
            result = await self._read(reading, patterns, is_wanted)
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
            await self._place(through, sorted(interest.since), _always, remake=False)
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

    def _standing_for(self, patterns: list[str]) -> catchup.Standing:
        if self._filters != filter_subjects(patterns):
            self._standing.after = catchup.UNKNOWN  # placed for other patterns: it would pass over what these match
        return self._standing

    async def _read(
        self, reading: catchup.Reading, patterns: list[str], is_wanted: Callable[[], bool]
    ) -> catchup.Read | catchup.Failed:
        answer: catchup.Answer = None
        try:
            while True:
                ask = reading.send(answer)
                answer = await self._answer(ask, patterns, is_wanted)
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

    async def _answer(self, ask: catchup.Ask, patterns: list[str], is_wanted: Callable[[], bool]) -> catchup.Answer:
        api, stream = self._shared.api, self._shared.stream
        if isinstance(ask, catchup.Place | catchup.Pull) and not is_wanted():
            raise UpstreamUnavailable(LEFT)
        match ask:
            case catchup.AskState(deleted):
                return self._state(await (api.deleted(stream) if deleted else api.stream_info(stream)))
            case catchup.AskNext():
                return await self._next(ask)
            case catchup.AskAfterPull():
                is_ours, info = await asyncio.gather(self._is_ours(filter_subjects(patterns)), api.stream_info(stream))
                return catchup.AfterPull(is_ours, self._state(info))
            case catchup.Place(after, remake):
                await self._place(after, patterns, is_wanted, remake=remake)
                return None
            case catchup.Pull():
                found = asyncio.gather(*(self._next(each) for each in ask.beside), return_exceptions=True)
                pulled, answers = await asyncio.gather(self._pull(ask), found)
                for failure in answers:  # only now: a pull that nobody waits for would be in the way of the next
                    if isinstance(failure, BaseException):
                        raise failure
                return msgspec.structs.replace(pulled, found=tuple(answers))

    async def _next(self, ask: catchup.AskNext) -> int | None:
        found = await self._shared.api.next_message(self._shared.stream, ask.seq, ask.pattern)
        if not isinstance(found, ApiError):
            return found.seq
        if found.err_code != NO_MESSAGE:
            raise UpstreamUnavailable(f"stream {self._shared.stream}: {found.description}")
        return None

    async def _pull(self, ask: catchup.Pull) -> catchup.Pulled:
        pull = self._shared.puller.pull
        try:
            pulled = await pull(self._key, ask.batch, max_bytes=ask.max_bytes, expires_s=ask.wait_s)
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

    async def _is_ours(self, filters: list[str]) -> bool:
        name = f"{self._shared.stream}.{self._key}"
        info = await self._shared.api.call("CONSUMER.INFO", name, None, ConsumerInfo)
        if isinstance(info, ApiError):
            return False
        config = info.config
        return config.get("filter_subjects") == filters and config.get("metadata", {}).get("reader") == self._reader

    async def _place(self, after: int, patterns: list[str], is_wanted: Callable[[], bool], *, remake: bool) -> None:
        if remake:
            await self._remove()
        self._standing.remake = True  # until both calls were answered
        await self._make(patterns)
        if not is_wanted():
            raise UpstreamUnavailable(LEFT)
        name = f"{self._shared.stream}.{self._key}"
        reset = await self._shared.api.call("CONSUMER.RESET", name, {"seq": after + 1}, ConsumerInfo)
        if isinstance(reset, ApiError):
            raise UpstreamUnavailable(f"consumer {self._key}: {reset.description}")
        self._standing.remake = False

    async def _make(self, patterns: list[str]) -> None:
        owner, filters = self._owner, filter_subjects(patterns)
        self._filters = None
        metadata = {"issuer": owner.issuer, "subject": owner.subject, "session": owner.session, "reader": self._reader}
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

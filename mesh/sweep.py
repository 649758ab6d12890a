"""Shell: a sweep: one read of an older stretch of the stream for all who need it: contiguous, or over, never silent.

One ephemeral consumer (memory, one replica, no acks, no filter), pulled when its owner asks for more. It is judged as
the feed is: a jump of the consumer's own numbers is a delivery that was lost, and ends the sweep; a jump of the
stream's sequences alone is a hole in the stream. The stream is looked at after each pull, so that nothing is handed on
of one that was made anew. Where nothing comes the sweep is over: that is no proof of anything.
"""

import contextlib

from mesh.api import Api, ApiError, ConsumerInfo
from mesh.contiguity import Broken, Contiguity, Hole
from mesh.epoch import is_born_at
from mesh.event import StoredEvent
from mesh.pull import Puller, PullResult
from security.errors import UpstreamUnavailable

DRY_WAIT_S = 0.5
"""Seconds that a pull waits where the one before brought nothing: the consumer's server may lag."""
PULL_S = 15.0
"""Seconds in which a pull must have brought all that it will: the machine may be busy."""
DRY_MOST = 6
"""Waits in a row after which the sweep is over."""
INACTIVE_S = 300
"""Seconds without a pull after which the server drops the consumer: from what was read much is given meanwhile."""

Read = StoredEvent | Hole


class Sweep:
    """Reads on from ``after``. The consumer is made with the first read; of one link each has another ``number``."""

    def __init__(self, api: Api, puller: Puller, stream: str, identity: str, after: int, number: int) -> None:
        self._api = api
        self._puller = puller
        self._stream = stream
        self._identity = identity
        self._contiguity = Contiguity(after)
        self._name = f"sweep-{api.link.inbox.rpartition('.')[2]}-{number}"
        self._is_made = False

    async def read(self, most: int, bytes_most: int) -> list[Read]:
        """The next events, at most ``most`` and about ``bytes_most`` bytes, each hole before the event after it.

        At least one. Raises ``UpstreamUnavailable`` and ``LimitReached``: then it is over.
        """
        if not self._is_made:
            await self._make()
        for dry in range(DRY_MOST):
            pulled = await self._pull(most, bytes_most, DRY_WAIT_S if dry else 0.0)
            if not pulled.deliveries and pulled.status not in (404, 408):
                raise UpstreamUnavailable(f"sweep: {pulled.status} {pulled.description}")
            if pulled.deliveries:
                await self._look()
            if found := self._judge(pulled):
                return found
        raise UpstreamUnavailable("sweep: nothing more comes")

    async def close(self) -> None:
        """Delete the consumer, as far as NATS lets us."""
        if self._is_made:
            with contextlib.suppress(UpstreamUnavailable):
                await self._api.link.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}", b"")

    async def _make(self) -> None:
        config = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._contiguity.head + 1,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": INACTIVE_S * 1_000_000_000,
            "metadata": {"tidewire": "sweep"},
        }
        body = {"stream_name": self._stream, "config": config, "action": "create"}
        self._is_made = True  # an answer may be lost
        made = await self._api.call("CONSUMER.CREATE", f"{self._stream}.{self._name}", body, ConsumerInfo)
        if isinstance(made, ApiError):
            raise UpstreamUnavailable(f"sweep: {made.description}")

    async def _pull(self, most: int, bytes_most: int, wait_s: float) -> PullResult:
        pulled = await self._puller.pull(self._name, most, max_bytes=bytes_most, expires_s=wait_s, timeout_s=PULL_S)
        if pulled.status == 409 and "MaxBytes" in pulled.description and not pulled.deliveries:
            pulled = await self._puller.pull(self._name, 1, expires_s=wait_s)  # larger than that: it goes alone
        return pulled

    async def _look(self) -> None:
        info = await self._api.stream_info(self._stream)
        if isinstance(info, ApiError):
            raise UpstreamUnavailable(f"stream {self._stream}: {info.description}")
        if not is_born_at(self._identity, self._stream, info.created):
            raise UpstreamUnavailable("the stream was replaced")  # the feed will say so, and end these sessions
        self._contiguity.first_seq = info.state.first_seq

    def _judge(self, pulled: PullResult) -> list[Read]:
        found: list[Read] = []
        for delivery in pulled.deliveries:
            judged = self._contiguity.step(delivery.event.seq, delivery.consumer_seq)
            if judged is Broken.LOST:
                raise UpstreamUnavailable("sweep: a delivery is missing")
            if judged is Broken.REPEAT:
                continue
            if judged is not None:
                found.append(judged)
            found.append(delivery.event)
        return found

"""Shell: pull requests to durable consumers, one at a time for each consumer.

Data arrive under their original subject, so the reply tells the consumer apart; a status arrives on the request's own
answer subject and has no reply. A header is never taken for a status (any publisher can write one).
"""

import asyncio
import itertools

import msgspec

from mesh.event import Delivery, read_delivery, status_of
from mesh.link import Link, Tap
from security.errors import UpstreamUnavailable


class PullResult(msgspec.Struct, frozen=True):
    """What one pull brought.

    ``status`` is what ended it: 0 full, 404 or 408 nothing more now, 409 see ``description``.
    """

    deliveries: tuple[Delivery, ...]
    status: int = 0
    description: str = ""


class _Pull:
    def __init__(self, batch: int, done: "asyncio.Future[PullResult]") -> None:
        self.batch = batch
        self.done = done
        self.deliveries: list[Delivery] = []

    def finish(self, status: int, description: str) -> None:
        if not self.done.done():
            self.done.set_result(PullResult(tuple(self.deliveries), status, description))


class Puller:
    """Pulls from the consumers of one stream through one tap."""

    def __init__(self, link: Link, stream: str) -> None:
        self._link = link
        self._stream = stream
        self._tokens = itertools.count(1)
        self._by_consumer: dict[bytes, _Pull] = {}
        self._by_token: dict[bytes, _Pull] = {}
        self._tap: Tap | None = None
        self.pulls = 0
        """Pull requests made."""

    async def start(self) -> None:
        """Listen for answers; call once before ``pull``."""
        self._tap = await self._link.tap(f"{self._link.inbox}.p.*", self._received)
        self._link.changed.append(self._changed)

    async def close(self) -> None:
        """Stop listening."""
        self._link.changed.remove(self._changed)
        if self._tap is not None:
            await self._tap.close()

    async def pull(
        self, consumer: str, batch: int, *, max_bytes: int = 0, expires_s: float = 0.0, timeout_s: float = 5.0
    ) -> PullResult:
        """Ask for up to ``batch`` messages and ``max_bytes`` bytes (0: no limit).

        With ``expires_s`` 0 the answer is what is there now; else it waits that long for the first. Raises
        ``UpstreamUnavailable`` when the consumer does not answer; what had arrived by then is dropped (RESET brings
        it again).
        """
        key = consumer.encode()
        if key in self._by_consumer:  # its session was parked and is coming back at this moment
            raise UpstreamUnavailable(f"consumer {consumer} is being read")
        token = b"%d" % next(self._tokens)
        pull = _Pull(batch, asyncio.get_running_loop().create_future())
        self._by_consumer[key] = self._by_token[token] = pull
        self.pulls += 1
        body: dict[str, int | bool] = {"batch": batch}
        if max_bytes:
            body["max_bytes"] = max_bytes
        if expires_s:
            body["expires"] = int(expires_s * 1e9)
        else:
            body["no_wait"] = True
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}"
        try:
            async with asyncio.timeout(timeout_s + expires_s):
                await self._link.publish(
                    subject, msgspec.json.encode(body), reply=f"{self._link.inbox}.p.{token.decode()}"
                )
                return await pull.done
        except TimeoutError:
            raise UpstreamUnavailable(f"consumer {consumer} does not answer") from None
        finally:
            del self._by_consumer[key], self._by_token[token]

    def _received(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if not reply:
            pull = self._by_token.get(subject[subject.rfind(b".") + 1 :])
            status, description = status_of(headers)
            if pull is not None and status != 100:
                pull.finish(status, description)
            return
        delivery = read_delivery(subject, reply, data, headers)
        pull = self._by_consumer.get(delivery.consumer) if delivery is not None else None
        if pull is None or delivery is None or pull.done.done():
            return
        pull.deliveries.append(delivery)
        if len(pull.deliveries) == pull.batch:
            pull.finish(0, "")

    def _changed(self, is_up: bool) -> None:  # noqa: FBT001  # a listener of Link.changed
        if is_up:
            return
        for pull in self._by_token.values():
            if not pull.done.done():
                pull.done.set_exception(UpstreamUnavailable("the connection to NATS was lost"))
                pull.done.exception()

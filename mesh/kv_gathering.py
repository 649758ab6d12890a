"""Shell: a key-value bucket whose reads are gathered: those that come while one is under way share the next call.

A crowd of sessions that comes back reads an entry each. One at a time, a read costs nats-server 55 to 70 us and us
about as much; in a call for many, the third part of it (JetStream's batched direct get, NATS ADR-31).
"""

import asyncio
import itertools
from collections.abc import Iterable

import msgspec

from mesh.api import Api
from mesh.event import headers_of, status_of
from mesh.kv import Bucket, Entry
from mesh.link import Link
from security.errors import UpstreamUnavailable

MOST = 256
"""Most keys in one call; nats-server takes 1,024."""
SLOW_S = 0.05
"""Seconds after which the next call does not wait any more for the one before."""


class _Batch:
    """The answers to one call."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        """By their subject."""
        self.ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        """Code and text of the status that ended it."""

    def end(self, code: int, text: str) -> None:
        if not self.ended.done():
            self.ended.set_result((code, text))


class GatheringBucket(Bucket):
    """``start`` comes first. One a link."""

    def __init__(self, link: Link, api: Api, name: str, *, timeout_s: float = 5.0) -> None:
        super().__init__(link, api, name, timeout_s=timeout_s)
        self._asked: dict[str, asyncio.Future[Entry | None]] = {}
        self._tokens = itertools.count(1)
        self._batches: dict[bytes, _Batch] = {}
        self._reader: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen for answers."""
        await self._link.tap(f"{self._link.inbox}.k.*", self._heard)
        self._link.changed.append(self._changed)

    async def get(self, key: str) -> Entry | None:
        """As of a ``Bucket``: read after this call began, perhaps by a replica that lags."""
        answer = self._asked.get(key)
        if answer is None:
            answer = self._asked[key] = asyncio.get_running_loop().create_future()
            if self._reader is None:
                self._reader = asyncio.create_task(self._read(), name="read entries")
        return await asyncio.shield(answer)

    async def _read(self) -> None:
        """Call for what was asked for, until nothing is."""
        try:
            while self._asked:
                asked = dict(itertools.islice(self._asked.items(), MOST))
                for key in asked:
                    del self._asked[key]
                call = asyncio.create_task(self._answer(asked), name="read entries")
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
                await asyncio.wait([call], timeout=SLOW_S)
        finally:
            self._reader = None

    async def _answer(self, asked: dict[str, "asyncio.Future[Entry | None]"]) -> None:
        try:
            found = await self._found(asked)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is for those who wait
            for answer in asked.values():
                answer.set_exception(UpstreamUnavailable(str(error)))
                answer.exception()  # who asked may be gone
        else:
            for key, answer in asked.items():
                answer.set_result(found.get(key))

    async def _found(self, keys: Iterable[str]) -> dict[str, Entry | None]:
        first, *others = keys
        if not others:
            return {first: await super().get(first)}
        prefix = f"$KV.{self._name}."
        entries = await self._call([prefix + key for key in (first, *others)])
        return {subject.removeprefix(prefix): entry for subject, entry in entries.items()}

    async def _call(self, subjects: list[str]) -> dict[str, Entry]:
        """The newest entry on each subject that has one."""
        self.gets += len(subjects)
        self._api.calls["DIRECT.GET"] += 1
        token, batch = b"%d" % next(self._tokens), _Batch()
        self._batches[token] = batch
        body, reply = msgspec.json.encode({"multi_last": subjects}), f"{self._link.inbox}.k.{token.decode()}"
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._link.publish(f"$JS.API.DIRECT.GET.KV_{self._name}", body, reply=reply)
                code, text = await batch.ended
        except TimeoutError:
            raise UpstreamUnavailable(f"bucket {self._name}: no answer within {self._timeout_s} s") from None
        finally:
            del self._batches[token]
        if code not in (204, 404):
            raise UpstreamUnavailable(f"bucket {self._name}: {code} {text}")
        return batch.entries

    def _heard(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        """An entry, which the server names by its subject, or the end."""
        del reply
        batch = self._batches.get(subject[subject.rfind(b".") + 1 :])
        if batch is None:
            return
        told = dict(headers_of(headers))
        if "Nats-Subject" not in told:
            batch.end(*status_of(headers))
        elif told.get("KV-Operation") not in ("DEL", "PURGE"):
            batch.entries[told["Nats-Subject"]] = Entry(data, int(told["Nats-Sequence"]))

    def _changed(self, is_up: bool) -> None:  # noqa: FBT001  # called by Link
        if not is_up:
            for batch in self._batches.values():
                batch.end(0, "the connection to NATS was lost")

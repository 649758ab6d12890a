"""Shell: a key-value bucket whose reads are gathered: those of a few milliseconds share a call.

A crowd of sessions that comes back reads an entry each. One at a time, a read costs nats-server 55 to 70 us and us
about as much; in a call for many, the third part of it (JetStream's batched direct get, NATS ADR-31). A read that
comes alone is called for at once. No task serves it: a call begins and ends in callbacks of the loop.
"""

import asyncio
import itertools

import msgspec

from mesh.api import Api
from mesh.event import headers_of, status_of
from mesh.kv import Bucket, Entry
from mesh.link import Link
from security.errors import UpstreamUnavailable

MOST = 256
"""Most keys in one call; nats-server takes 1,024."""
TOGETHER_S = 0.01
"""Seconds from one call to the next, at least."""
_FOUND = b"NATS/1.0\r\n"
"""Begins the headers of an entry; those of a status have its code there."""

_Answer = asyncio.Future[Entry | None]


class _Call:
    """What was asked for in one call, and what has come of it."""

    def __init__(self, asked: dict[str, list[_Answer]], late: asyncio.TimerHandle) -> None:
        self.asked = asked
        self.late = late
        self.entries: dict[str, Entry] = {}

    def end(self, failure: str) -> None:
        """Tell those who wait what was found, or why nothing is known."""
        self.late.cancel()
        for key, answers in self.asked.items():
            for answer in answers:
                if answer.done():
                    continue  # who asked has gone
                if failure:
                    answer.set_exception(UpstreamUnavailable(failure))
                else:
                    answer.set_result(self.entries.get(key))


class GatheringBucket(Bucket):
    """``start`` comes first. One a link."""

    def __init__(self, link: Link, api: Api, name: str, *, timeout_s: float = 5.0) -> None:
        super().__init__(link, api, name, timeout_s=timeout_s)
        self._loop: asyncio.AbstractEventLoop
        self._asked: dict[str, list[_Answer]] = {}
        self._called_s = float("-inf")
        self._is_due = False
        self._tokens = itertools.count(1)
        self._calls: dict[bytes, _Call] = {}
        self._prefix = f"$KV.{name}."

    async def start(self) -> None:
        """Listen for answers."""
        self._loop = asyncio.get_running_loop()
        await self._link.tap(f"{self._link.inbox}.k.*", self._heard)
        self._link.changed.append(self._changed)

    async def get(self, key: str) -> Entry | None:
        """As of a ``Bucket``: read after this call began, perhaps by a replica that lags."""
        answer: _Answer = self._loop.create_future()
        self._asked.setdefault(key, []).append(answer)
        self._call_soon()
        return await answer

    def _call_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_later(max(0.0, self._called_s + TOGETHER_S - self._loop.time()), self._call)

    def _call(self) -> None:
        """Call for what was asked for; more than ``MOST`` keys take further calls."""
        self._is_due, self._called_s = False, self._loop.time()
        asked = {key: self._asked.pop(key) for key in list(itertools.islice(self._asked, MOST))}
        if self._asked:
            self._call_soon()
        self.gets += len(asked)
        self._api.calls["DIRECT.GET"] += 1
        token = b"%d" % next(self._tokens)
        self._calls[token] = _Call(asked, self._loop.call_later(self._timeout_s, self._give_up, token))
        subjects, subject, body = [self._prefix + key for key in asked], f"$JS.API.DIRECT.GET.KV_{self._name}", b""
        if len(subjects) == 1:
            subject = f"{subject}.{subjects[0]}"
        else:
            body = msgspec.json.encode({"multi_last": subjects})
        try:
            self._link.send(subject, body, reply=f"{self._link.inbox}.k.{token.decode()}")
        except UpstreamUnavailable as error:
            self._end(token, str(error))

    def _heard(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        """An entry, which the server names by its subject, or the end."""
        del reply
        token = subject[subject.rfind(b".") + 1 :]
        call = self._calls.get(token)
        if call is None:
            return
        if not headers.startswith(_FOUND):
            code, text = status_of(headers)
            self._end(token, "" if code in (204, 404) else f"{code} {text}".rstrip())
            return
        told = dict(headers_of(headers))
        if told.get("KV-Operation") not in ("DEL", "PURGE"):
            key = told["Nats-Subject"].removeprefix(self._prefix)
            call.entries[key] = Entry(data, int(told["Nats-Sequence"]))
        if len(call.asked) == 1:
            self._end(token)  # it is an ordinary read, whose entry is all that comes

    def _give_up(self, token: bytes) -> None:
        self._end(token, f"no answer within {self._timeout_s} s")

    def _end(self, token: bytes, failure: str = "") -> None:
        call = self._calls.pop(token, None)
        if call is not None:
            call.end(failure and f"bucket {self._name}: {failure}")

    def _changed(self, is_up: bool) -> None:  # noqa: FBT001  # called by Link
        if not is_up:
            for token in list(self._calls):
                self._end(token, "the connection to NATS was lost")

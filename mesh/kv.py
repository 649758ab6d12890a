"""Shell: a JetStream key-value bucket, read and written with revisions.

A bucket is a stream ``KV_NAME`` with subjects ``$KV.NAME.KEY`` (NATS ADR-8). A put with the revision that the writer
last saw is refused when another has written since: that is what decides a race.
"""

import base64

import msgspec

from mesh.api import MESSAGE_TOO_LARGE, NO_MESSAGE, UNREADABLE, WRONG_LAST_SEQUENCE, Api, ApiError
from mesh.event import header_of, status_of
from mesh.link import Link
from security.errors import LimitReached, UpstreamUnavailable


class Entry(msgspec.Struct, frozen=True):
    """A stored value and the revision that wrote it (a sequence of the bucket's stream)."""

    value: bytes
    revision: int


class Conflict(msgspec.Struct, frozen=True):
    """Another write was first, or is under way still: the put changed nothing."""


class _PubAck(msgspec.Struct, frozen=True):
    seq: int = 0
    error: ApiError | None = None


class _Subjects(msgspec.Struct, frozen=True):
    subjects: dict[str, int] | None = None


class _Info(msgspec.Struct, frozen=True):
    state: _Subjects
    total: int = 0


class Bucket:
    """One bucket.

    Keys are tokens of ``A-Za-z0-9_-``. Methods raise ``UpstreamUnavailable`` when NATS does not answer.
    """

    def __init__(self, link: Link, api: Api, name: str, *, timeout_s: float = 5.0) -> None:
        self._link = link
        self._api = api
        self._name = name
        self._timeout_s = timeout_s
        self.gets = 0
        self.puts = 0

    async def get(self, key: str) -> Entry | None:
        """The entry, perhaps from a replica that lags; a put against its revision is refused if it did."""
        self.gets += 1
        self._api.calls["DIRECT.GET"] += 1
        subject = f"$JS.API.DIRECT.GET.KV_{self._name}.$KV.{self._name}.{key}"
        reply = await self._link.request(subject, timeout_s=self._timeout_s)
        status, description = status_of(reply.headers)
        if status == 404:
            return None
        if status >= 400:
            raise UpstreamUnavailable(f"bucket {self._name}: {status} {description}")
        if header_of(reply.headers, "KV-Operation") in ("DEL", "PURGE"):
            return None
        revision = header_of(reply.headers, "Nats-Sequence")
        assert revision is not None, "a direct get names the sequence"
        return Entry(reply.payload, int(revision))

    async def get_from_leader(self, key: str) -> tuple[Entry | None, int]:
        """The entry as the bucket's leader has it, and the revision to write against (also of a deleted entry; 0.

        Never written).
        """
        self.gets += 1
        got = await self._api.last_message(f"KV_{self._name}", f"$KV.{self._name}.{key}")
        if isinstance(got, ApiError):
            if got.err_code == NO_MESSAGE:
                return None, 0
            raise UpstreamUnavailable(f"bucket {self._name}: {got.description}")
        if header_of(base64.b64decode(got.hdrs), "KV-Operation") in ("DEL", "PURGE"):
            return None, got.seq
        return Entry(base64.b64decode(got.data), got.seq), got.seq

    async def put(self, key: str, value: bytes, *, revision: int | None = None) -> int | Conflict:
        """Store a value; with ``revision``, only when that is still the newest one (0: only when there is none).

        Returns the new revision once the bucket has it (three replicas: a majority). Raises ``LimitReached`` for a
        value that is too large.
        """
        headers = {} if revision is None else {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        return await self._write(key, value, headers)

    async def delete(self, key: str) -> int:
        """Mark an entry as deleted; returns the revision of the mark."""
        revision = await self._write(key, b"", {"KV-Operation": "DEL"})
        assert not isinstance(revision, Conflict), "no revision was expected"
        return revision

    async def keys(self) -> list[str]:
        """All keys, deleted ones included: a caller reads each anyway. For an operator's eyes, not for a hot path."""
        keys: list[str] = []
        while True:
            body = {"subjects_filter": f"$KV.{self._name}.>", "offset": len(keys)}
            info = await self._api.call("STREAM.INFO", f"KV_{self._name}", body, _Info)
            if isinstance(info, ApiError):
                raise UpstreamUnavailable(f"bucket {self._name}: {info.description}")
            page = list(info.state.subjects or ())
            keys += [subject.rpartition(".")[2] for subject in page]
            if not page or len(keys) >= info.total:
                return keys

    async def _write(self, key: str, value: bytes, headers: dict[str, str]) -> int | Conflict:
        self.puts += 1
        subject = f"$KV.{self._name}.{key}"
        reply = await self._link.request(subject, value, headers=headers or None, timeout_s=self._timeout_s)
        try:
            ack = msgspec.json.decode(reply.payload, type=_PubAck)
        except UNREADABLE as error:
            raise UpstreamUnavailable(f"bucket {self._name}: the answer is not one of JetStream's") from error
        if ack.error is None:
            return ack.seq
        if ack.error.err_code in WRONG_LAST_SEQUENCE:
            return Conflict()
        if ack.error.err_code == MESSAGE_TOO_LARGE:
            raise LimitReached(f"bucket {self._name}: {ack.error.description}: more than its max_msg_size")
        raise UpstreamUnavailable(f"bucket {self._name}: {ack.error.description}")

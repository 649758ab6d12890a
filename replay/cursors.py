"""Shell: the cursor bucket: who serves a session, and how far it has processed.

A connection first *claims* its session: one compare-and-set write against the revision it has read. From then on it
writes its record against its own last revision, so a gateway that was taken over, however late its writes arrive,
cannot move the cursor: its next write is refused, and it learns that it has lost the session. Writes are coalesced: a
session whose client acknowledges a hundred times a second costs two writes a second.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

import msgspec

from mesh.kv import Bucket, Conflict
from replay.record import Record, decode_record, encode_record
from security.errors import LimitReached, UpstreamUnavailable

log = logging.getLogger(__name__)

WRITES = 2
"""How often a record is written in a row when our own record, or none, stands in the way."""
SETTLE_S = 0.5
"""Seconds between looks whether a write under way, before a session's last one, has come to its end."""
SETTLE_LOOKS = 120
"""How often that is looked for: a leader that gets nothing stored for so long has resigned long before."""


class _UnderWay(UpstreamUnavailable):
    """A write of the same record, perhaps another's, is neither stored yet nor given up by the bucket's leader."""


class Known(msgspec.Struct, frozen=True):
    """What is stored of a session."""

    record: Record | None
    revision: int
    unreadable: bool = False
    """Whether something is stored that is not a record of ours."""


class Heard(msgspec.Struct):
    """What others say of a session while a claim on it is open: the newest write."""

    revision: int = 0
    ended: bool = False
    """Whether that write ended the session; else it was a claim."""


class Cursor:
    """One connection's hold on its session's record."""

    def __init__(
        self, key: str, claim: str, revision: int, current: Callable[[], Record], lost: Callable[[bool], None]
    ) -> None:
        self.key = key
        self.claim = claim
        self.revision = revision
        self.claimed_revision = revision
        """Of the write by which the session was claimed; a claim with a greater one is newer."""
        self.claimed_s = int(time.time())
        """When that was: an older record can only come from a bucket that fell back."""
        self.current = current
        """Makes the record of now."""
        self.lost = lost
        """Called once when another connection holds the session (False) or it was ended (True)."""
        self.is_lost = False
        self.saved_through = 0
        self.writing = asyncio.Lock()


def _is_anothers(cursor: Cursor, stored: Record | None, newest: int) -> bool:
    """Whether the entry that stands in a cursor's way is another connection's, or says that the session was ended.

    It is not when there is none (expired, purged), and not when an older copy of the bucket was put back: then it has
    both a lower revision and an earlier time than our claim. Whoever took the session since has written later.
    """
    if stored is None:
        return newest != 0
    if stored.claim == cursor.claim:
        return False
    return newest > cursor.claimed_revision or stored.saved_s >= cursor.claimed_s


class Cursors:
    """The bucket, with a memory of recently seen records and a queue of those to be written."""

    def __init__(self, bucket: Bucket, *, save_within_s: float, together: int = 64, remembered: int = 100_000) -> None:
        self._bucket = bucket
        self._save_within_s = save_within_s
        self._together = together
        self._remembered_most = remembered
        self._remembered: OrderedDict[str, Known] = OrderedDict()
        self._dirty: dict[str, Cursor] = {}  # by claim: of two connections of a session, both learn who has lost
        self._wake = asyncio.Event()
        self._claiming: dict[str, list[Heard]] = {}
        self.conflicts = 0
        """Writes refused because another connection was newer."""

    async def load(self, key: str, *, from_leader: bool = False) -> Known:
        """What is stored.

        From memory or a replica it may be old: the claim is then refused, and the leader is asked.
        """
        remembered = self._remembered.get(key)
        if remembered is not None and not from_leader:
            return remembered
        if from_leader:
            entry, revision = await self._bucket.get_from_leader(key)
        else:
            entry = await self._bucket.get(key)
            if entry is None:
                entry, revision = await self._bucket.get_from_leader(key)
            else:
                revision = entry.revision
        if entry is None:
            return Known(None, revision)
        record = decode_record(entry.value)
        if record is None:
            log.error("a stored cursor cannot be read", extra={"durable": key})
        return Known(record, revision, unreadable=record is None)

    async def claim(self, key: str, record: Record, known: Known) -> int | Conflict:
        """Take the session by writing ``record`` over what was ``known``; returns the revision.

        ``Conflict``: somebody has written since, or is about to; load from the leader and decide again. Raises
        ``UpstreamUnavailable``, and ``LimitReached`` for a record that is too large.
        """
        revision = await self._bucket.put(key, encode_record(record), revision=known.revision)
        if isinstance(revision, Conflict):
            self.conflicts += 1
            self.forget(key)
        else:
            self._remember(key, Known(record, revision))
        return revision

    @contextlib.contextmanager
    def claiming(self, key: str) -> Iterator[Heard]:
        """While a claim of a session is open: what is heard of other claims on it is kept for it."""
        heard = Heard()
        self._claiming.setdefault(key, []).append(heard)
        try:
            yield heard
        finally:
            still_open = [each for each in self._claiming.pop(key) if each is not heard]
            if still_open:
                self._claiming[key] = still_open

    def hear(self, key: str, revision: int, *, ended: bool) -> None:
        """Another gateway has written, as this revision: it claimed the session, or ended it."""
        for heard in self._claiming.get(key, ()):
            if revision > heard.revision:
                heard.revision, heard.ended = revision, ended

    def save_soon(self, cursor: Cursor) -> None:
        """Write the cursor's record within the configured time."""
        self._dirty[cursor.claim] = cursor
        self._wake.set()

    async def save(self, cursor: Cursor) -> bool:
        """Write the cursor's record now; False when the session is lost.

        Raises ``LimitReached`` for a record that is too large, and ``UpstreamUnavailable``, also while an earlier write
        of it is under way: save it again later. For a parked session that write's end is waited for here, because
        nobody would save its last record again; also while the bucket's leader, who could not store it, is replaced.
        """
        waits = False
        for _ in range(SETTLE_LOOKS):
            try:
                return await self._save(cursor)
            except UpstreamUnavailable as error:
                waits = waits or (isinstance(error, _UnderWay) and not cursor.current().gateway)
                if not waits:
                    raise
            await asyncio.sleep(SETTLE_S)
        return await self._save(cursor)

    async def holds(self, cursor: Cursor) -> bool:
        """Whether the cursor's last write is still the newest, as far as the replica that answers knows."""
        entry = await self._bucket.get(cursor.key)
        return entry is not None and entry.revision == cursor.revision

    async def run(self) -> None:
        """Write what is due, for ever. What cannot be written now stays due."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._save_within_s)
            self._wake.clear()
            due, self._dirty = list(self._dirty.values()), {}
            for first in range(0, len(due), self._together):  # so many leave together: NATS reads them together
                async with asyncio.TaskGroup() as group:
                    for cursor in due[first : first + self._together]:
                        group.create_task(self._write(cursor))

    def forget(self, key: str) -> None:
        """Do not answer from memory for this session any more."""
        self._remembered.pop(key, None)

    def drop(self, cursor: Cursor) -> None:
        """The connection has gone and its last record is stored or given up."""
        self._dirty.pop(cursor.claim, None)

    async def _save(self, cursor: Cursor) -> bool:
        async with cursor.writing:
            self._dirty.pop(cursor.claim, None)
            if cursor.is_lost:
                return False
            record, expected = cursor.current(), cursor.revision
            for _ in range(WRITES):
                revision = await self._bucket.put(cursor.key, encode_record(record), revision=expected)
                if not isinstance(revision, Conflict):
                    cursor.revision = revision
                    cursor.saved_through = record.through
                    self._remember(cursor.key, Known(record, revision))
                    return True
                # our own write whose answer was lost looks the same: the claim tells them apart
                entry, expected = await self._bucket.get_from_leader(cursor.key)
                stored = decode_record(entry.value) if entry is not None else None
                if _is_anothers(cursor, stored, expected):
                    self._lose(cursor, ended=entry is None)
                    return False
        raise _UnderWay("an earlier write of the cursor is under way")

    async def _write(self, cursor: Cursor) -> None:
        if cursor.is_lost:
            return
        try:
            await self._save(cursor)  # waits for nothing: others are due as well
        except (UpstreamUnavailable, LimitReached) as error:
            log.warning("a cursor could not be stored yet", extra={"durable": cursor.key, "error": str(error)})
            self._dirty[cursor.claim] = cursor
            self._wake.set()

    def _lose(self, cursor: Cursor, *, ended: bool) -> None:
        self.conflicts += 1
        cursor.is_lost = True
        self.forget(cursor.key)
        cursor.lost(ended)

    def _remember(self, key: str, known: Known) -> None:
        self._remembered[key] = known
        self._remembered.move_to_end(key)
        while len(self._remembered) > self._remembered_most:
            self._remembered.popitem(last=False)

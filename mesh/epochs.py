"""Shell: the stream's epoch in the cursor bucket: read, begun anew, and its witness kept fresh, by compare-and-set.

Of gateways that notice the same loss at the same moment one writes; the others meet its write and take its epoch.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from mesh.epoch import EPOCH_KEY, Epoch, Witness, current_epoch, decode_epoch, encode_epoch, new_epoch
from mesh.kv import Bucket, Conflict
from mesh.link import Link
from security.errors import UpstreamUnavailable

log = logging.getLogger(__name__)

EPOCH_SUBJECT = "tidewire.gateway.epoch"
"""Core NATS subject that says, without a payload, that a new epoch has begun: who reads the stream looks now."""
TRIES = 20
"""How often an epoch is written when others write at the same moment."""


class Epochs:
    """One reader's knowledge of the stream's epoch. Every method may be called at any time."""

    def __init__(
        self,
        link: Link,
        bucket: Bucket,
        *,
        now_ns: Callable[[], int] | None = None,
        refresh_s: float = 3_600.0,
    ) -> None:
        self._link = link
        self._bucket = bucket
        self._now_ns = now_ns if now_ns is not None else time.time_ns
        self._refresh_ns = int(refresh_s * 1e9)
        """The entry is written anew at least so often while somebody reads: entries of the bucket expire."""
        self._mine: Epoch | None = None
        self._revision = 0
        self._written_ns = 0
        """When the entry was last seen to be new."""
        self._over_ns = 0
        self._lock = asyncio.Lock()

    async def open(self, created: str) -> Epoch:
        """The epoch of the stream born at ``created``, as the bucket's leader has it; begins one where none stands.

        Raises ``UpstreamUnavailable`` and ``LimitReached``.
        """
        async with self._lock:
            return await self._open(created)

    def end(self, epoch: Epoch) -> None:
        """It is proved that the stream lost events of this epoch: the next ``open`` gives a newer one."""
        self._over_ns = max(self._over_ns, epoch.began_ns)

    async def begin(self, created: str) -> Epoch:
        """Begin a new epoch, whatever stands, and tell everyone: for an operator who knows more than the stream says.

        Raises ``UpstreamUnavailable`` and ``LimitReached``.
        """
        async with self._lock:
            entry, _ = await self._bucket.get_from_leader(EPOCH_KEY)
            found = decode_epoch(entry.value) if entry is not None else None
            if found is not None:
                self.end(found)
            return await self._open(created)

    async def keep(self, epoch: Epoch, witness: Witness | None) -> bool:
        """Store the newest event read in this epoch, where it is news.

        False: another epoch has begun meanwhile. Raises ``UpstreamUnavailable`` and ``LimitReached``.
        """
        async with self._lock:
            for _ in range(TRIES):
                mine = self._mine
                if mine is None or mine.began_ns != epoch.began_ns:
                    return False
                wanted = mine.with_witness(witness)
                if wanted == mine and self._now_ns() - self._written_ns < self._refresh_ns:
                    return True
                if await self._put(wanted, self._revision):
                    return True
                await self._open(epoch.created)
        raise UpstreamUnavailable("the epoch is being written elsewhere")

    async def _open(self, created: str) -> Epoch:
        for _ in range(TRIES):
            entry, revision = await self._bucket.get_from_leader(EPOCH_KEY)
            found = decode_epoch(entry.value) if entry is not None else None
            if entry is not None and found is None:
                log.error("a stored epoch cannot be read")
            current = current_epoch(found, self._mine, created, self._over_ns)
            if current is not None and current == found:
                self._took(current, revision)
                return current
            is_new = current is None
            current = current or new_epoch(created, (found, self._mine), self._over_ns, self._now_ns())
            if await self._put(current, revision):
                if is_new:
                    log.warning("a new epoch of the stream begins", extra={"epoch": current.began_ns})
                    with contextlib.suppress(UpstreamUnavailable):  # who does not hear it looks by itself
                        await self._link.publish(EPOCH_SUBJECT, b"")
                return current
        raise UpstreamUnavailable("the epoch is being written elsewhere")

    async def _put(self, epoch: Epoch, revision: int) -> bool:
        written = await self._bucket.put(EPOCH_KEY, encode_epoch(epoch), revision=revision)
        if isinstance(written, Conflict):
            return False
        self._took(epoch, written)
        return True

    def _took(self, epoch: Epoch, revision: int) -> None:
        if revision != self._revision:
            self._revision, self._written_ns = revision, self._now_ns()
        self._mine = epoch

"""Pure: which of its histories a stream tells, and how it is noticed that it tells another (docs/decisions/0009).

A stream may lose its newest events under the same name and time of creation: by a crash before they were on disk, or
by an older copy of its files. Then it grows again, with other events under the same sequences. An *epoch* is a time
in which nothing of the kind was noticed; it is part of the stream's identity. A *witness* is one event that was read:
while the stream has that one at that sequence, all before it are the same too.
"""

import datetime
from collections.abc import Sequence

import msgspec

EPOCH_KEY = "epoch"
"""Key in the cursor bucket; the keys of sessions begin with ``s-``."""
NUMBER_LIMIT = 2**63
"""No sequence or time is as large; a larger number could be read, but not written again."""


def nanoseconds(time: str) -> int:
    """A time as the server tells it (RFC 3339 in UTC), in nanoseconds since 1970. Raises ``ValueError`` for others."""
    whole, _, rest = time.removesuffix("Z").partition(".")
    seconds = int(datetime.datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 1_000_000_000 + int(rest.ljust(9, "0")[:9] or 0)


def identity_of(name: str, created: str) -> str:
    """A stream's name and birth in nanoseconds, as in ``EVENTS:1795420000123456789``.

    Two streams that were made one after the other under the same name differ by it; what one stream was before it lost
    its newest events and what it is since do not.
    """
    return f"{name}:{nanoseconds(created)}"


def is_born_at(identity: str, name: str, created: str) -> bool:
    """Whether an identity, with or without an epoch, is one of the stream that was born at ``created``."""
    born = identity_of(name, created)
    return identity == born or identity.startswith(f"{born}:")


class Witness(msgspec.Struct, frozen=True):
    """An event that was read."""

    seq: int
    time_ns: int
    """When it was stored, nanoseconds since 1970 UTC: no two events of one sequence share it."""

    def is_contradicted(self, seq: int, time: str) -> bool:
        """Whether the first event at or above ours, stored at ``time``, is another one. An absent one says nothing."""
        return seq == self.seq and nanoseconds(time) != self.time_ns


class Epoch(msgspec.Struct, frozen=True, omit_defaults=True):
    """An epoch as the bucket keeps it."""

    created: str
    """The stream's birth, as the server tells it: an epoch of another stream is none of this one's."""
    began_ns: int
    """When it was begun, nanoseconds since 1970 UTC. It is the epoch's name, and the newer one is right."""
    witness: Witness | None = None
    """The newest event that a gateway is known to have read."""

    def identity(self, name: str) -> str:
        """The identity of the stream of this name."""
        return f"{identity_of(name, self.created)}:{self.began_ns}"

    def with_witness(self, witness: Witness | None) -> "Epoch":
        """The same with the newer of two witnesses."""
        if witness is None or (self.witness is not None and self.witness.seq >= witness.seq):
            return self
        return msgspec.structs.replace(self, witness=witness)


_decoder = msgspec.json.Decoder(Epoch)


def encode_epoch(epoch: Epoch) -> bytes:
    """An epoch as the bucket keeps it."""
    return msgspec.json.encode(epoch)


def decode_epoch(value: bytes) -> Epoch | None:
    """Read an epoch; None when it is not one that we wrote."""
    try:
        epoch = _decoder.decode(value)
        _ = nanoseconds(epoch.created)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError):
        return None
    numbers = [epoch.began_ns]
    if epoch.witness is not None:
        numbers += [epoch.witness.seq, epoch.witness.time_ns]
    return epoch if all(0 < number < NUMBER_LIMIT for number in numbers) else None


def current_epoch(found: Epoch | None, mine: Epoch | None, created: str, over_ns: int) -> Epoch | None:
    """The epoch of a stream born at ``created``; None when a new one must begin.

    ``found`` is in the bucket, ``mine`` is what this gateway reads by: it stands where the bucket lost it or knows an
    older one. All that began up to ``over_ns`` are known to be over.
    """
    if found is not None and mine is not None and found.began_ns > mine.began_ns:
        mine = None
    if found is not None and mine is not None and found.began_ns < mine.began_ns:
        found = None
    standing = [each for each in (found, mine) if each is not None]
    if not standing or standing[0].created != created or standing[0].began_ns <= over_ns:
        return None
    return standing[0].with_witness(standing[-1].witness)


def new_epoch(created: str, known: Sequence[Epoch | None], over_ns: int, now_ns: int) -> Epoch:
    """An epoch newer than all that are known, at ``now_ns`` where the clocks agree."""
    before = max((each.began_ns for each in known if each is not None), default=0)
    return Epoch(created, max(now_ns, before + 1, over_ns + 1))

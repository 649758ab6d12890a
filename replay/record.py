"""Pure: what the cursor bucket keeps of a session, and under which key.

The key is derived from issuer, subject and session name, so nobody can attach to a session by its name alone, and it
fits every grammar it must: a bucket key and a consumer name (below 32 bytes, no dot, space or wildcard).
"""

import base64
import hashlib

import msgspec

from mesh.contiguity import Hole
from replay.position import Position


class Owner(msgspec.Struct, frozen=True):
    """Whose session it is."""

    issuer: str
    subject: str
    session: str
    tenant: str = ""


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A session at rest."""

    stream: str
    """Identity of the stream that the sequences below belong to."""
    acked: int
    """The cursor: newest sequence that the client said it has processed."""
    through: int
    """Nothing due is unprocessed up to here; at or above ``acked``. Replay starts after it."""
    patterns: dict[str, int]
    """Patterns held, each with the sequence after which it holds."""
    owner: Owner
    claim: str
    """Random name of the connection that wrote this; a writer whose claim is no longer here has been taken over."""
    gateway: str = ""
    """Which gateway serves the session; empty when it is parked."""
    saved_s: int = 0
    """When it was written, seconds since 1970 UTC."""
    untold: Hole | None = None
    """A gap that the client has not been seen to have read: it is told again."""

    @property
    def position(self) -> Position:
        """The cursor as a position."""
        return Position(self.stream, self.acked)


NUMBER_LIMIT = 2**63
"""No sequence or time is as large; a larger number could be read, but not written again."""

SESSION_PREFIX = "s-"
"""With it the keys of sessions begin, and no others."""

_decoder = msgspec.json.Decoder(Record)


def session_key(owner: Owner) -> str:
    """The session's key: ``s-`` and 26 characters of base32 over SHA-256; each part is prefixed by its length."""
    parts = (owner.issuer, owner.subject, owner.session)
    digest = hashlib.sha256(b"".join(b"%d:%s" % (len(part.encode()), part.encode()) for part in parts)).digest()
    return SESSION_PREFIX + base64.b32encode(digest[:20]).decode().lower()[:26]  # 26 characters are 130 bits


def is_session_key(key: str) -> bool:
    """Whether a key of the bucket is a session's."""
    return key.startswith(SESSION_PREFIX)


def encode_record(record: Record) -> bytes:
    """A record as the bucket keeps it."""
    return msgspec.json.encode(record)


def decode_record(value: bytes) -> Record | None:
    """Read a record; None when it is not one that we wrote."""
    try:
        record = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    numbers = (record.acked, record.through, record.saved_s, *record.patterns.values())
    sane = record.acked <= record.through
    if record.untold is not None:
        numbers += (record.untold.after, record.untold.before)
        sane = sane and record.untold.after < record.untold.before
    return record if sane and all(0 <= number < NUMBER_LIMIT for number in numbers) else None

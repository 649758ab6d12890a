"""Pure: what a stored JetStream message is to us, read from the raw bytes of its delivery.

Any publisher may have stored it: the subject need not be UTF-8 and the header block need not be well formed. Nothing
here raises for that; bad bytes become U+FFFD and ``damaged`` says so.
"""

import msgspec

MESSAGE_ID = "Nats-Msg-Id"
"""Header by which JetStream drops repeats of one publish (NATS ADR-4 names, JetStream model)."""

_STATUS_LINE = b"NATS/1.0"


class StoredEvent(msgspec.Struct, gc=False, eq=False):
    """One stored event. The garbage collector passes it over: it can be part of no cycle, and windows hold many.

    The two frames belong to the floor that sends it: what it made of the event, kept for the next reader.
    """

    seq: int
    """Sequence in the stream, from 1."""
    subject: str
    """Subject as text; bad bytes replaced."""
    time_ns: int
    """When it was stored, nanoseconds since 1970 UTC."""
    payload: bytes
    """The bytes published."""
    header_block: bytes = b""
    """The header block as stored, or empty."""
    damaged: bool = False
    """Whether bytes of the subject had to be replaced."""
    is_withheld: bool = False
    """Whether it must not be delivered: only its place in the order is left."""
    text_frame: bytes | None = None
    binary_frame: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """Payload, headers and subject together."""
        return len(self.payload) + len(self.header_block) + len(self.subject)

    def withhold(self) -> None:
        """Drop what the event holds, keep its place."""
        self.payload = self.header_block = b""
        self.is_withheld = True

    def __repr__(self) -> str:
        return f"StoredEvent(seq={self.seq}, subject={self.subject!r}, size_bytes={self.size_bytes})"


class Delivery(msgspec.Struct, gc=False, eq=False):
    """An event with what the consumer says of its delivery."""

    event: StoredEvent
    consumer: bytes
    """Name of the delivering consumer."""
    consumer_seq: int
    """Deliveries of this consumer so far, this one included, from 1; back to 1 after a RESET."""
    pending: int
    """Matching events after this one, as far as the answering replica knew."""


def read_delivery(subject: bytes, reply: bytes, payload: bytes, header_block: bytes) -> Delivery | None:
    """Read a consumer's delivery; None for anything else (a status is told by its lack of a reply, never by a header).

    The reply subject carries the facts, in one of two forms (NATS ADR-15):
    ``$JS.ACK.STREAM.CONSUMER.delivered.seq.consumer_seq.time.pending`` and the longer one with domain and account
    hash before the stream.
    """
    tokens = reply.split(b".")
    first = 2 if len(tokens) == 9 else 4
    if len(tokens) < first + 7 or tokens[0] != b"$JS" or tokens[1] != b"ACK":
        return None
    _, consumer, _, stream_seq, delivered, nanoseconds, behind = tokens[first : first + 7]
    try:
        seq, consumer_seq, time_ns, pending = int(stream_seq), int(delivered), int(nanoseconds), int(behind)
    except ValueError:
        return None
    if seq < 1 or consumer_seq < 1:
        return None
    try:
        event = StoredEvent(seq, subject.decode(), time_ns, payload, header_block)
    except UnicodeDecodeError:
        event = StoredEvent(seq, subject.decode(errors="replace"), time_ns, payload, header_block, damaged=True)
    return Delivery(event, consumer, consumer_seq, pending)


def headers_of(header_block: bytes) -> list[tuple[str, str]]:
    """Names and values of a header block, in order; a line that is none is skipped, bad bytes are replaced."""
    if not header_block:
        return []
    found: list[tuple[str, str]] = []
    for line in header_block.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            found.append((name.strip().decode(errors="replace"), value.strip().decode(errors="replace")))
    return found


def header_of(header_block: bytes, name: str) -> str | None:
    """The first value of a header by its exact name, or None."""
    if not header_block or name.encode() not in header_block:
        return None
    return next((value for key, value in headers_of(header_block) if key == name), None)


def is_well_formed(header_block: bytes) -> bool:
    """Whether a header block is UTF-8 and made as nats-server makes them; an absent one is."""
    if not header_block:
        return True
    if not (header_block.startswith(_STATUS_LINE) and header_block.endswith(b"\r\n\r\n")):
        return False
    try:
        header_block.decode()
    except UnicodeDecodeError:
        return False
    return True


def status_of(header_block: bytes) -> tuple[int, str]:
    """Code and description of a status message's first line, 0 and empty when there is none."""
    line = header_block.partition(b"\r\n")[0]
    parts = line.decode(errors="replace").split(" ", 2)
    if len(parts) < 2 or len(parts[1]) != 3 or not parts[1].isascii() or not parts[1].isdigit():
        return 0, ""
    return int(parts[1]), parts[2] if len(parts) > 2 else ""

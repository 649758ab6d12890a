"""Shell: structured logs on the standard ``logging`` module, which never hold a token, key or payload.

A record is a fixed text, the *event name*, and fields given as ``extra``: ``log.info("session live", extra={"seq":
7})``. Only
fields of `FIELDS` are written, so that a payload handed over by mistake is dropped. What is written passes a last
net: anything
that looks like a JWT or JWE becomes ``[redacted]`` and is counted, control characters are escaped. A traceback names
files,
lines and the kind of the exception, never local variables nor the text of a foreign one: those quote input.
"""

import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Literal, TextIO

from security.errors import TidewireError

FIELDS = frozenset(
    {
        "address", "host", "port", "origin", "server", "url_path", "http", "protocol", "encoding", "client", "code",
        "close", "reason",
        "principal", "issuer", "audience", "tenant", "kid", "check", "session", "sessions", "phase", "outcome",
        "connection", "connections", "frames",
        "stream", "bucket", "subject", "pattern", "patterns", "consumer", "durable", "seq", "first", "last",
        "before", "after", "head", "cursor", "position", "pending", "barrier", "lag",
        "event_time", "count", "events", "bytes", "batch", "held", "rows", "dropped", "poisoned", "repeats",
        "missing", "expected", "sealed_class",
        "profile", "path", "field", "limit", "file", "version", "worker", "workers", "pid", "signal", "status",
        "restarts", "role",
        "server_id", "leader", "replicas", "tap", "task", "op", "state", "kind", "error", "cause", "failures",
        "attempt", "retry", "connects",
        "key", "backoff_s", "delay_s", "elapsed_ms", "timeout_s", "waited_ms", "uptime_s", "in_flight", "recent",
        "replaying", "parked", "live", "ready", "saved", "source", "epoch",
    }
)  # fmt: skip
"""Names of the fields that may be written. A ``principal`` is a hash, a ``session`` a name of the client's choice."""

_SEGMENT = r"[A-Za-z0-9_-]"
TOKEN_SHAPE = re.compile(
    rf"(?<!{_SEGMENT})e(?:y[A-DI-L]|w[k-r0-3]){_SEGMENT}{{9,}}(?:\.{_SEGMENT}*){{0,4}}"
    rf"|{_SEGMENT}{{20,}}\.{_SEGMENT}{{20,}}\.{_SEGMENT}{{40,}}"
)
"""A compact JWS or JWE, whole or cut short: the base64url of an object and what follows, or three long segments.

The first form knows how a brace and a quotation mark, or white space, begin in base64url. The second needs a last
segment longer than a UUID, since a subject of three long tokens is no secret.
"""
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 2_048

_redacted = 0


def redacted() -> int:
    """How many texts were redacted in this process; anything above 0 is a bug in the code that logged them."""
    return _redacted


def redact(text: str) -> str:
    """The text without anything of the shape of a token, JWE or URL with a password; each one found is counted."""
    global _redacted  # noqa: PLW0603  # one count a process, like the logging module's own state
    text, tokens = TOKEN_SHAPE.subn("[redacted]", text)
    text, passwords = _USER_INFO.subn("[redacted]@", text)
    _redacted += tokens + passwords
    return text


def clean(text: str) -> str:
    """The text redacted, on one line, with control and direction characters escaped, at most 2,048 characters."""
    text = _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", redact(text))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}[{len(text) - _LONGEST:,} more]"


class _Formatter(logging.Formatter):
    """One line a record: when, how severe, who says it, the event name, its fields."""

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._worker = worker

    def parts(self, record: logging.LogRecord) -> Iterator[tuple[str, object]]:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        yield "time", f"{whole}.{int(record.msecs):03d}Z"
        yield "level", record.levelname.lower()
        yield "logger", record.name
        yield "event", clean(_text(record))
        if self._worker is not None:
            yield "worker", self._worker
        for name, value in vars(record).items():
            if name in FIELDS and name not in _OWN:
                yield name, _plain(value)
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            yield "exception", type(error).__name__
            if isinstance(error, TidewireError):  # a text of ours, which quotes no input
                yield "because", clean(str(error))
            yield "at", _where(error)


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line without its end."""
        return json.dumps(dict(self.parts(record)), ensure_ascii=True)


class TextFormatter(_Formatter):
    """One line for people: time, level, event name, then ``name=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line without its end."""
        parts = dict(self.parts(record))
        head = f"{parts.pop('time')} {str(parts.pop('level')).upper():7} {parts.pop('logger')}: {parts.pop('event')}"
        return " ".join([head, *(f"{name}={_quoted(value)}" for name, value in parts.items())])


_OWN = frozenset(vars(logging.makeLogRecord({})))
"""Attributes every record has, such as ``name``, which are no fields."""


def start(
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["json", "text"],
    *,
    worker: int | None = None,
    to: TextIO | None = None,
) -> None:
    """Send every logger's records to ``to`` (standard error by default). Replaces what an earlier call set up.

    Libraries are heard from ``warning`` on: at finer levels they write what they send and receive.
    """
    handler = logging.StreamHandler(to if to is not None else sys.stderr)
    handler.setFormatter(JsonFormatter(worker) if form == "json" else TextFormatter(worker))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("gateway", "replay", "mesh", "security"):
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(True)  # noqa: FBT003  # its parameter has no other name in 3.11
    logging.raiseExceptions = False  # a failing handler would print the record's arguments
    sys.unraisablehook = _unraisable


def _unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """What nobody could catch, as in a callback of OpenSSL: Python would print it with what a stranger sent."""
    kind = unraisable.exc_type.__name__
    logging.getLogger(__name__).error("an exception could not be raised", extra={"error": kind})


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit the text: keep the text
        return str(record.msg)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, tuple | list | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(item) for item in items][:32]
    if isinstance(value, BaseException):
        return type(value).__name__
    if isinstance(value, bytes | bytearray | memoryview | dict):
        return f"[{type(value).__name__} not written]"  # what looks like a payload or a frame
    return clean(str(value))


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if text and not re.search(r'[\s"=]', text) else json.dumps(text, ensure_ascii=False)


def _where(error: BaseException) -> str:
    """The frames of a traceback and of its causes, oldest call first, by file, line and function only."""
    chain: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(chain) < 8:
        seen.add(id(current))
        frames = traceback.extract_tb(current.__traceback__)[-16:]
        calls = " > ".join(f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno} {frame.name}" for frame in frames)
        chain.append(f"{type(current).__name__} at {calls}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return clean("; caused by ".join(chain))

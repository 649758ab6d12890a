"""Pure: docs/protocol.md, version 1 in JSON: cumulative acknowledgements, resume from the newest sequence received."""

import re
from typing import Any, ClassVar

import msgspec

from bench.dialects.dialect import Reader
from bench.dialects.event_text import EVENT, Event
from bench.plan import session_name
from bench.websocket import client_text

_SEQ = re.compile(rb'"seq":(\d+)')
_END = 1_024
"""Bytes at the end of a message that hold the newest event."""
_PING = b'{"type":"ping"}'
_PONG = client_text(b'{"type":"pong"}')
_TROUBLE = re.compile(rb'"type":"(?:gap|goodbye|error)"')


class _Frame(msgspec.Struct):
    type: str
    stream: str = ""


class Tidewire:
    """A session; its name comes from the device's number."""

    path: ClassVar[str] = "/v1/session"
    subprotocol: ClassVar[str] = "tidewire.v1.json"

    def __init__(self, reader: Reader) -> None:
        self.reply = b""
        self.is_live = False
        self.wrong = ""
        self._reader = reader
        self._stream = ""
        self._newest = b""

    def opened(self) -> None:
        """A new connection: nothing of the last one holds."""
        self.is_live = False

    def hello(self) -> bytes:
        """``connect``: with ``resume``, once something was received."""
        frame: dict[str, Any] = {
            "type": "connect",
            "token": self._reader.token,
            "session": session_name(self._reader.number),
            "subscribe": [self._reader.subject],
        }
        if self._reader.window:
            frame["window"] = self._reader.window
        if self._stream and self.seq:
            frame["resume"] = {"stream": self._stream, "seq": self.seq}
        return client_text(msgspec.json.encode(frame))

    def take(self, message: bytes) -> list[Event]:
        """A frame or a batch of frames."""
        got = EVENT.findall(message)
        if got:
            self._newest = message[-_END:]
            if self.is_live and not message.startswith(b"["):
                return got
        if not got or not self.is_live:
            self._look(message)
        if _PING in message:
            self.reply = _PONG
        return got

    @property
    def seq(self) -> int:
        """The newest event's sequence; 0 before the first."""
        message = self._newest
        named = _SEQ.match(message, message.rfind(b'"seq":', 0, message.rfind(b'{"s":'))) if message else None
        return int(named[1]) if named else 0

    def ack(self) -> bytes:
        """One cumulative ``ack``."""
        seq = self.seq
        return client_text(b'{"type":"ack","seq":%d}' % seq) if seq else b""

    def _look(self, message: bytes) -> None:
        if b'"type":"live"' in message:
            self.is_live = True
        if b'"type":"welcome"' in message:
            frame = msgspec.json.decode(message, type=_Frame | list[_Frame])
            self._stream = next(f.stream for f in (frame if isinstance(frame, list) else [frame]) if f.stream)
        if _TROUBLE.search(message):
            self.wrong = message[:200].decode(errors="replace")

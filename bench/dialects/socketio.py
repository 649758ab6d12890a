"""Pure: Socket.IO's protocol, version 5, on Engine.IO's, version 4: one text packet a message, with state recovery."""

import re
from typing import ClassVar

import msgspec

from bench.dialects.dialect import Reader
from bench.dialects.event_text import EVENT, Event
from bench.websocket import client_text

_PONG = client_text(b"3")
_END = 60
"""Bytes at the end of a message that hold the id of its event: the last argument, for the next recovery."""
_ID = re.compile(rb'"([^"]*)"\]$')


class _Connected(msgspec.Struct):
    sid: str
    pid: str = ""


class SocketIo:
    """A client of the main namespace that asks for its subject as it connects."""

    path: ClassVar[str] = "/socket.io/?EIO=4&transport=websocket"
    subprotocol: ClassVar[str] = ""

    def __init__(self, reader: Reader) -> None:
        self.reply = b""
        self.is_live = False
        self.wrong = ""
        self.seq = 0
        self._reader = reader
        self._private_id = ""
        self._newest = b""

    def opened(self) -> None:
        """A new connection: nothing of the last one holds."""
        self.is_live = False

    def hello(self) -> bytes:
        """CONNECT: with the private id and the newest event's id, once both are known."""
        asked = {"subject": self._reader.subject}
        newest = _ID.search(self._newest)
        if self._private_id and newest:
            asked |= {"pid": self._private_id, "offset": newest[1].decode()}
        return client_text(b"40" + msgspec.json.encode(asked))

    def take(self, message: bytes) -> list[Event]:
        """One packet: an event, CONNECT, a ping, or Engine.IO's opening."""
        if message.startswith(b"42"):
            self._newest = message[-_END:]
            return EVENT.findall(message)
        if message == b"2":
            self.reply = _PONG
        elif message.startswith(b"40"):
            self._private_id = msgspec.json.decode(message[2:], type=_Connected).pid
            self.is_live = True
        elif not message.startswith(b"0"):
            self.wrong = message[:200].decode(errors="replace")
        return []

    def ack(self) -> bytes:
        """Recovery knows no acknowledgements."""
        return b""

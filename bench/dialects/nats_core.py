"""Pure: the NATS client protocol over WebSocket, one subscription of core NATS: nothing is kept for who is away.

A stream of bytes: a message of the WebSocket may end within a NATS message.
"""

from typing import ClassVar

from bench.dialects.dialect import Reader
from bench.dialects.event_text import EVENT, Event
from bench.websocket import client_binary

_CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1}\r\n'
_PONG = client_binary(b"PONG\r\n")
_END = b"\r\n"


class NatsCore:
    """A subscription without a queue group."""

    path: ClassVar[str] = "/"
    subprotocol: ClassVar[str] = ""

    def __init__(self, reader: Reader) -> None:
        self.reply = b""
        self.is_live = False
        self.wrong = ""
        self.seq = 0
        self._subject = reader.subject.encode()
        self._rest = b""

    def opened(self) -> None:
        """A new connection: nothing of the last one holds."""
        self.is_live, self._rest = False, b""

    def hello(self) -> bytes:
        """CONNECT, SUB and a PING, whose PONG says that the subscription holds."""
        return client_binary(_CONNECT + b"SUB %s 1\r\nPING\r\n" % self._subject)

    def take(self, message: bytes) -> list[Event]:
        """A piece of the stream."""
        data = self._rest + message
        got: list[Event] = []
        at = 0
        while (end := data.find(_END, at)) >= 0:
            if data.startswith(b"MSG ", at):
                size = int(data[data.rindex(b" ", at, end) + 1 : end])
                if len(data) < end + size + 4:
                    break
                found = EVENT.match(data, end + 2)
                if found:
                    got.append((found[1], found[2], found[3]))
                at = end + size + 4
            else:
                self._look(data[at:end])
                at = end + 2
        self._rest = data[at:]
        return got

    def ack(self) -> bytes:
        """Core NATS knows no acknowledgements."""
        return b""

    def _look(self, line: bytes) -> None:
        if line == b"PING":
            self.reply += _PONG
        elif line == b"PONG":
            self.is_live = True
        elif line.startswith(b"-ERR"):
            self.wrong = line.decode(errors="replace")

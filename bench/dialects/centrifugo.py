"""Pure: Centrifugo's bidirectional protocol in JSON, version 2: a token, one subscription with recovery.

Commands and replies are JSON objects, one a line; ``{}`` is its ping, and the answer to it.
"""

import re
from typing import Any, ClassVar

import msgspec

from bench.dialects.dialect import Reader
from bench.dialects.event_text import EVENT, Event
from bench.websocket import client_text

_PONG = client_text(b"{}")
_END = 100
"""Bytes at the end of a message that hold what follows the newest event's data."""
_POSITION = re.compile(rb'"offset":(\d+)')


class Centrifugo:
    """A client with one subscription, whose place in the history it keeps."""

    path: ClassVar[str] = "/connection/websocket"
    subprotocol: ClassVar[str] = "centrifuge-json"

    def __init__(self, reader: Reader) -> None:
        self.reply = b""
        self.is_live = False
        self.wrong = ""
        self.seq = 0
        self._reader = reader
        self._epoch = ""
        self._place = 0
        self._newest = b""

    def opened(self) -> None:
        """A new connection: nothing of the last one holds."""
        self.is_live = False

    def hello(self) -> bytes:
        """``connect`` and ``subscribe`` in one message: it recovers, once the place in the history is known."""
        subscribe: dict[str, Any] = {"channel": self._reader.subject}
        if self._epoch:
            subscribe |= {"recover": True, "epoch": self._epoch, "offset": self._known_place()}
        commands = ({"id": 1, "connect": {"token": self._reader.token}}, {"id": 2, "subscribe": subscribe})
        return client_text(b"\n".join(map(msgspec.json.encode, commands)))

    def take(self, message: bytes) -> list[Event]:
        """Replies and pushes, one a line."""
        got = EVENT.findall(message)
        if got:
            self._newest = message[-_END:]
        if not got or not self.is_live:
            for line in message.splitlines():
                self._look(line)
        elif message.startswith(b"{}\n") or message.endswith(b"\n{}") or b"\n{}\n" in message:
            self.reply = _PONG
        return got

    def ack(self) -> bytes:
        """It knows no acknowledgements."""
        return b""

    def _known_place(self) -> int:
        named = _POSITION.findall(self._newest)
        return max(self._place, int(named[-1])) if named else self._place

    def _look(self, line: bytes) -> None:
        if line == b"{}":
            self.reply = _PONG
            return
        answer = msgspec.json.decode(line)
        if "error" in answer or "disconnect" in answer.get("push", {}):
            self.wrong = line[:200].decode(errors="replace")
        elif "subscribe" in answer:
            told = answer["subscribe"]
            if told.get("was_recovering") and not told.get("recovered"):
                self.wrong = "it could not recover"
            recovered = [publication["offset"] for publication in told.get("publications", ())]
            self._epoch, self._place = told.get("epoch", ""), max([told.get("offset", 0), *recovered])
            self._newest = b""
            self.is_live = True

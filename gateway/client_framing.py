"""Pure: what RFC 6455 5 forbids a client and aiohttp's reader lets pass.

That is a frame that is not masked (5.1), a message begun inside another whose first piece was empty (5.4), and a length
that is spelled longer than it need be (5.2). A walk over the heads finds them; everything else is the reader's.
"""

from collections.abc import Callable
from typing import Protocol

_BREACH = b"\xf0\x80"  # a head that the reader refuses with 1002: all reserved bits are set
_WAIT, _FORBIDDEN = -1, -2
_LONG = {126: (2, 126), 127: (8, 65_536)}  # short length: bytes of the long one, and the least that needs them


class Reader(Protocol):
    """What is fed with the bytes of a WebSocket."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; answers whether the socket is done for, and what is left of them."""
        ...

    def feed_eof(self) -> None:
        """There are no more."""
        ...


class StrictReader:
    """Stands before a reader and hands bytes on up to the first breach.

    In the place of that comes a head that the reader fails the connection for, so that it does so in its own order.
    ``takes_control`` is asked for each ping, pong and close; when it says no that is a breach, and ``is_flooded``.
    """

    __slots__ = ("_feed", "_in_message", "_is_broken", "_left", "_reader", "_started", "_takes_control", "is_flooded")

    def __init__(self, reader: Reader, takes_control: Callable[[], bool] = lambda: True) -> None:
        self._reader = reader
        self._feed = reader.feed_data
        self._started = b""  # a head of which the rest has not come: the reader must not act on it unjudged
        self._left = 0  # bytes up to the next head
        self._in_message = False  # a message's first piece has come, its last one has not
        self._is_broken = False
        self._takes_control = takes_control
        self.is_flooded = False

    def feed_eof(self) -> None:
        """The socket has ended."""
        self._reader.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Bytes of the socket, in order; answers as the reader does."""
        if self._is_broken:
            return False, b""
        if self._started:
            data, self._started = self._started + data, b""
        size, at = len(data), self._left
        while at < size:
            if size - at > 1 and not self._in_message and data[at] in b"\x81\x82" and 0x80 <= data[at + 1] < 0xFE:
                at += data[at + 1] - 0x7A  # nearly always: a whole message of less than 126 bytes behind head and mask
                continue
            behind = self._judge(data, at)
            if behind == _WAIT:
                self._started, self._left = data[at:], 0
                return self._feed(data[:at])
            if behind == _FORBIDDEN:
                self._is_broken = True
                return self._feed(data[:at] + _BREACH)
            at = behind
        self._left = at - size
        return self._feed(data)

    def _judge(self, data: bytes, at: int) -> int:
        """The place behind the frame whose head is at ``at``."""
        if len(data) - at < 2:
            return _WAIT
        first, length = data[at], data[at + 1] & 0x7F
        if data[at + 1] < 0x80:
            return _FORBIDDEN
        behind = at + 6
        is_control = first & 8 != 0
        if length > 125 and not is_control:  # the reader knows that a control frame is not as long
            width, least = _LONG[length]
            if len(data) < at + 2 + width:
                return _WAIT
            length = int.from_bytes(data[at + 2 : at + 2 + width])
            if not least <= length < 1 << 63:
                return _FORBIDDEN
            behind += width
        if is_control:
            self.is_flooded = not self._takes_control()
            return _FORBIDDEN if self.is_flooded else behind + length
        continues = first & 15 == 0
        if continues is not self._in_message:
            return _FORBIDDEN
        self._in_message = first < 0x80
        return behind + length

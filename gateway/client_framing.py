"""Pure: the WebSocket framing of what a client sends (RFC 6455 5), read strictly and with nothing kept while idle.

Beside what a reader must do it refuses what many let pass: a frame that is not masked (5.1), a message begun inside
another whose first piece was empty (5.4), a length that is spelled longer than it need be (5.2), close codes that no
peer may send (7.4).
"""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
"""Opcodes of RFC 6455 5.2."""
BREACH = -1
"""In the place of an opcode: the connection is to be failed, with the close code that stands for the payload."""
TOO_LARGE = 1009
"""The code of a breach: a message is larger than is taken."""

Received = tuple[int, bytes]
"""An opcode and its whole, unmasked payload."""

_CONTINUATION = 0
_LONG = {126: (2, 126), 127: (8, 65_536)}  # short length: bytes of the long one, and the least that needs them
_NO_MASK = bytes(4)
_PROTOCOL_ERROR, _INVALID_TEXT = 1002, 1007
_NOT_SENT = frozenset((1004, 1005, 1006))


class ClientFraming:
    """Takes the bytes of one socket in order. After a close or a breach it takes no more."""

    __slots__ = ("_is_over", "_message", "_message_most", "_missing", "_opcode", "_rest")

    def __init__(self, message_most_bytes: int) -> None:
        self._message_most = message_most_bytes
        self._rest: bytearray | None = None  # of a frame that has not come whole
        self._missing = 0  # bytes that must come before it is worth looking again
        self._message: bytearray | None = None  # the pieces of a message so far
        self._opcode = _CONTINUATION  # of that message
        self._is_over = False

    def feed(self, data: bytes) -> list[Received]:
        """Whole messages and control frames, in order; a close or a breach comes last."""
        received: list[Received] = []
        if self._is_over:
            return received
        if self._rest is not None:
            self._rest += data
            if len(data) < self._missing:
                self._missing -= len(data)
                return received
            data, self._rest = bytes(self._rest), None
        at = 0
        while at < len(data) and not self._is_over:
            try:
                at = self._read(data, at, received)
            except _Wait as wait:
                self._rest, self._missing = bytearray(data[at:]), wait.missing
                break
            except _Breach as breach:
                self._is_over, self._message = True, None
                received.append((BREACH, breach.code.to_bytes(2)))
        return received

    def _read(self, data: bytes, at: int, received: list[Received]) -> int:
        """Read the frame at ``at``; returns the place behind it."""
        start, length = self._head(data, at)
        end = start + length
        if end > len(data):
            raise _Wait(end - len(data))
        frame = self._take(data[at], _unmask(data[start - 4 : start], data[start:end]))
        if frame is not None:
            received.append(frame)
            self._is_over = frame[0] == CLOSE
        return end

    def _head(self, data: bytes, at: int) -> tuple[int, int]:
        """Where the payload of the frame at ``at`` starts, and its length."""
        left = len(data) - at
        if left < 2:
            raise _Wait(2 - left)
        first, length = data[at], data[at + 1] & 0x7F
        opcode = first & 15
        is_control = opcode >= CLOSE
        if data[at + 1] < 0x80 or first & 0x70 or opcode not in (_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise _Breach(_PROTOCOL_ERROR)
        if is_control and (length > 125 or first < 0x80):
            raise _Breach(_PROTOCOL_ERROR)
        if not is_control and (opcode == _CONTINUATION) is (self._message is None):
            raise _Breach(_PROTOCOL_ERROR)
        start = at + 6
        if length > 125:
            width, least = _LONG[length]
            if left < 2 + width:
                raise _Wait(2 + width - left)
            length = int.from_bytes(data[at + 2 : at + 2 + width])
            if not least <= length < 1 << 63:
                raise _Breach(_PROTOCOL_ERROR)
            start += width
        if not is_control and length + len(self._message or b"") > self._message_most:
            raise _Breach(TOO_LARGE)
        return start, length

    def _take(self, first: int, payload: bytes) -> Received | None:
        """A frame has come whole; None: it is a piece of a message that goes on."""
        opcode = first & 15
        if opcode >= CLOSE:
            if opcode == CLOSE:
                _judge_close(payload)
            return opcode, payload
        if first < 0x80 or opcode == _CONTINUATION:
            if self._message is None:
                self._message, self._opcode = bytearray(), opcode
            self._message += payload
            if first < 0x80:
                return None
            opcode, payload, self._message = self._opcode, bytes(self._message), None
        if opcode == TEXT and not payload.isascii():
            _judge_text(payload)
        return opcode, payload


class _Wait(Exception):
    """A frame has not come whole: so many bytes are missing at least."""

    def __init__(self, missing: int) -> None:
        super().__init__(missing)
        self.missing = missing


class _Breach(Exception):
    """The connection is to be failed with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _unmask(mask: bytes, payload: bytes) -> bytes:
    if mask == _NO_MASK:
        return payload
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


def _judge_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise _Breach(_INVALID_TEXT) from None


def _judge_close(payload: bytes) -> None:
    if not payload:
        return
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or not (1000 <= code <= 1014 or 3000 <= code <= 4999) or code in _NOT_SENT:
        raise _Breach(_PROTOCOL_ERROR)
    _judge_text(payload[2:])

"""Pure: the WebSocket framing of what a gateway sends (RFC 6455 5.2): unmasked, whole messages.

Written here and not by aiohttp, since the same bytes go to many sockets, straight to the transport.
"""

from gateway.frames import JSON, join

MESSAGE_BYTES = 131_072
"""A batch is cut when it is longer, so that a client never has to hold a large one; a single frame may be longer."""
MESSAGE_FRAMES = 256
"""Most frames in one batch."""


class SameMessages:
    """``websocket_messages``, which remembers the last: in a broadcast one session after the other sends the same."""

    __slots__ = ("_encoding", "_frames", "_messages")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._encoding = ""
        self._messages = b""

    def of(self, frames: list[bytes], encoding: str) -> bytes:
        """The same as ``websocket_messages``. ``frames`` belongs to us from here on."""
        if frames != self._frames or encoding != self._encoding:
            self._frames, self._encoding = frames, encoding
            self._messages = websocket_messages(frames, encoding)
        return self._messages


def websocket_messages(frames: list[bytes], encoding: str) -> bytes:
    """Encoded frames as the bytes of one or more WebSocket messages, in order."""
    if len(frames) == 1:
        return websocket_message(frames[0], encoding)
    parts: list[bytes] = []
    batch: list[bytes] = []
    size = 0
    for frame in frames:
        if batch and (size + len(frame) > MESSAGE_BYTES or len(batch) == MESSAGE_FRAMES):
            parts.append(websocket_message(join(batch, encoding), encoding))
            batch, size = [], 0
        batch.append(frame)
        size += len(frame)
    parts.append(websocket_message(join(batch, encoding), encoding))
    return b"".join(parts)


def websocket_message(payload: bytes, encoding: str) -> bytes:
    """One WebSocket message, in one frame."""
    first = b"\x81" if encoding == JSON else b"\x82"
    size = len(payload)
    if size < 126:
        return first + bytes((size,)) + payload
    if size < 65_536:
        return first + b"\x7e" + size.to_bytes(2) + payload
    return first + b"\x7f" + size.to_bytes(8) + payload

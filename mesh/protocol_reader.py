"""Pure: the messages in what nats-server sends, taken from the bytes as they come.

Only ``MSG`` and ``HMSG`` are read here; every other line of the NATS client protocol is given back as it came. A
message's line is split at spaces alone: nats-server takes any other byte but tab and line ends as part of a subject,
form feeds and bytes that are not UTF-8 included.
"""

from collections.abc import Callable

LINE_MOST_BYTES = 65_536
"""Longest line: a subject and a reply of nats-server's ``max_control_line`` (4 KiB by default), or a long INFO."""
MESSAGE_MOST_BYTES = 64 * 1024 * 1024
"""Longest header block and payload together: more than 64 MiB no nats-server allows as ``max_payload``."""

HeardCallback = Callable[[bytes, bytes, bytes, bytes, bytes], None]
"""What is called with a message: subscription id, subject, reply, payload and header block, as they came."""


class Malformed(Exception):
    """The bytes are not what a nats-server sends; what follows cannot be told apart any more."""


class ProtocolReader:
    """Takes bytes in pieces of any size and calls ``heard`` with each whole message, in order."""

    __slots__ = ("_have", "_heard", "_need", "_parts")

    def __init__(self, heard: HeardCallback) -> None:
        self._heard = heard
        self._parts: list[bytes] = []
        """What has come of something that is not whole."""
        self._have = 0
        self._need = 0
        """How many bytes it will have at least."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return the whole lines among them that are no messages.

        Raises ``Malformed``, after which it is not to be used any more.
        """
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return b""
            data = b"".join(self._parts)
            self._parts.clear()
        return self._read(data)

    def _read(self, data: bytes) -> bytes:
        others: list[bytes] = []
        heard, at, size = self._heard, 0, len(data)
        while at < size:
            end = data.find(b"\r\n", at)
            if (end if end >= 0 else size) - at > LINE_MOST_BYTES:
                raise Malformed("a line is too long")
            if end < 0:
                self._keep(data, at, 1)
                break
            body = end + 2
            if data.startswith(b"MSG ", at):
                words = data[at + 4 : end].split(b" ")
                with_headers = 0
            elif data.startswith(b"HMSG ", at):
                words = data[at + 5 : end].split(b" ")
                with_headers = 1
            else:
                others.append(data[at:body])
                at = body
                continue
            count = len(words) - with_headers
            try:
                rest = int(words[-1])
                headers = int(words[-2]) if with_headers else 0
            except (ValueError, IndexError):
                raise Malformed("a message's size is no number") from None
            if not (3 <= count <= 4 and 0 <= headers <= rest <= MESSAGE_MOST_BYTES):
                raise Malformed("a message's line has too few words, too many, or a size out of range")
            after = body + rest
            if after + 2 > size:
                self._keep(data, at, after + 2 - size)
                break
            reply = words[2] if count == 4 else b""
            heard(words[1], words[0], reply, data[body + headers : after], data[body : body + headers])
            at = after + 2
        return b"".join(others)

    def _keep(self, data: bytes, at: int, missing: int) -> None:
        """Keep what is not whole, until at least ``missing`` bytes more are there."""
        self._parts.append(data[at:])
        self._have = len(data) - at
        self._need = self._have + missing

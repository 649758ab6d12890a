"""Pure: the least of RFC 6455 that a load client needs: masked messages out, whole messages in.

The masking key is zero: the bit is set and the server unmasks as it must, and the load costs the client nothing.
"""

import struct

_HEAD = struct.Struct(">BBH")
"""The first bytes of a message: what it is, its size or how that is told, and its size where that has two bytes."""
_MASKED = 0x80
_TEXT = 0x81
_BINARY = 0x82
_PONG = 0x8A
CLOSE = 8
PING = 9
PONG = 10


def upgrade(host: str, path: str, subprotocol: str = "") -> bytes:
    """The request that opens a WebSocket."""
    asked = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{asked}\r\n"
    ).encode()


def client_text(data: bytes) -> bytes:
    """A text message as a client sends it; below 65,536 bytes."""
    return _from_client(_TEXT, data)


def client_binary(data: bytes) -> bytes:
    """A binary message as a client sends it; below 65,536 bytes."""
    return _from_client(_BINARY, data)


def client_pong(data: bytes) -> bytes:
    """The answer to a ping, with the ping's own bytes."""
    return _from_client(_PONG, data)


def server_text(data: bytes) -> bytes:
    """A text message as a server sends it; below 65,536 bytes."""
    size = len(data)
    return bytes((_TEXT, size)) + data if size < 126 else bytes((_TEXT, 126)) + size.to_bytes(2) + data


def messages(received: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole unmasked messages at the front, (opcode, payload) of each, and the rest, to be put before what follows.

    Of a message in fragments each fragment is one of its own.
    """
    whole: list[tuple[int, bytes]] = []
    at, have = 0, len(received)
    while have - at >= _HEAD.size:
        first, size, length = _HEAD.unpack_from(received, at)
        if size < 126:
            start = at + 2
            end = start + size
        elif size == 126:
            start = at + 4
            end = start + length
        else:
            start = at + 10
            end = start + int.from_bytes(received[at + 2 : start])
        if have < end or have < start:
            break
        whole.append((first & 15, received[start:end]))
        at = end
    if 2 <= have - at < _HEAD.size and received[at + 1] <= have - at - 2:
        end = at + 2 + received[at + 1]
        whole.append((received[at] & 15, received[at + 2 : end]))
        at = end
    return whole, received[at:]


def _from_client(first: int, data: bytes) -> bytes:
    size = len(data)
    if size < 126:
        return bytes((first, _MASKED | size, 0, 0, 0, 0)) + data
    return bytes((first, _MASKED | 126)) + size.to_bytes(2) + b"\0\0\0\0" + data

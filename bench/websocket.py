"""Pure: the least of RFC 6455 that a load client needs: masked text messages out, whole messages in.

The masking key is zero: the bit is set and the server unmasks as it must, and the load costs the client nothing.
"""

_MASKED = 0x80
_TEXT = 0x81
CLOSE = 8


def upgrade(host: str, path: str, subprotocol: str) -> bytes:
    """The request that opens a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    ).encode()


def client_text(data: bytes) -> bytes:
    """A text message as a client sends it; below 65,536 bytes."""
    size = len(data)
    if size < 126:
        return bytes((_TEXT, _MASKED | size, 0, 0, 0, 0)) + data
    return bytes((_TEXT, _MASKED | 126)) + size.to_bytes(2) + b"\0\0\0\0" + data


def server_text(data: bytes) -> bytes:
    """A text message as a server sends it; below 65,536 bytes."""
    size = len(data)
    return bytes((_TEXT, size)) + data if size < 126 else bytes((_TEXT, 126)) + size.to_bytes(2) + data


def take_messages(received: bytearray) -> list[tuple[int, bytes]]:
    """Remove whole unmasked messages from the front: (opcode, payload) of each. A rest stays for the next call."""
    taken: list[tuple[int, bytes]] = []
    at = 0
    while len(received) - at >= 2:
        opcode, size, head = received[at] & 15, received[at + 1], 2
        if size == 126:
            size, head = int.from_bytes(received[at + 2 : at + 4]), 4
        elif size == 127:
            size, head = int.from_bytes(received[at + 2 : at + 10]), 10
        if len(received) < at + head or len(received) < at + head + size:
            break
        taken.append((opcode, bytes(received[at + head : at + head + size])))
        at += head + size
    del received[:at]
    return taken

"""Pure: the least of MQTT 3.1.1 that a publisher and a reader with QoS 1 need."""

from typing import NamedTuple

CONNACK = 2
PUBLISH = 3
PUBACK = 4
SUBACK = 9
_QOS_1 = 0x02


class Packet(NamedTuple):
    """A control packet without its fixed header."""

    kind: int
    """Its type, ``PUBLISH`` and so on."""
    flags: int
    body: bytes


def connect(client: str, *, is_clean: bool) -> bytes:
    """CONNECT without a keep-alive; not clean: a session that outlives the connection."""
    return _packet(0x10, _text(b"MQTT") + bytes((4, 0x02 if is_clean else 0, 0, 0)) + _text(client.encode()))


def subscribe(subject: bytes) -> bytes:
    """SUBSCRIBE with packet id 1, QoS 1."""
    return _packet(0x82, b"\0\1" + _text(subject) + b"\1")


def publish(subject: bytes, payload: bytes, packet_id: int) -> bytes:
    """PUBLISH with QoS 1; ``packet_id`` from 1 to 65,535."""
    return _packet(0x32, _text(subject) + packet_id.to_bytes(2) + payload)


def puback(packet_id: bytes) -> bytes:
    """PUBACK; the id as it came."""
    return b"\x40\x02" + packet_id


def packets(received: bytes) -> tuple[list[Packet], bytes]:
    """The whole packets at the front, and the rest, to be put before what follows."""
    whole: list[Packet] = []
    at, have = 0, len(received)
    while have - at >= 2:
        size, shift, start = 0, 0, at + 1
        while start < have:
            size |= (received[start] & 0x7F) << shift
            start += 1
            if received[start - 1] < 0x80:
                break
            shift += 7
        else:
            break
        if have < start + size:
            break
        whole.append(Packet(received[at] >> 4, received[at] & 15, received[start : start + size]))
        at = start + size
    return whole, received[at:]


def published(packet: Packet) -> tuple[bytes, int]:
    """Of a PUBLISH: its packet id as it came (empty for QoS 0), and where in the body the payload starts."""
    start = 2 + int.from_bytes(packet.body[:2])
    if not packet.flags & _QOS_1:
        return b"", start
    return packet.body[start : start + 2], start + 2


def _packet(first: int, body: bytes) -> bytes:
    length, rest = bytearray(), len(body)
    while rest >= 0x80:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((first, *length, rest)) + body


def _text(text: bytes) -> bytes:
    return len(text).to_bytes(2) + text

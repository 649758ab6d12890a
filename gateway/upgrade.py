"""Pure: the opening handshake of a WebSocket (RFC 6455 4.2): what a client offers, and what we answer."""

import base64
import hashlib
import re
from typing import Final, Protocol

import msgspec

from gateway.frames import SUBPROTOCOLS

SESSION_PATH: Final = "/v1/session"

_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ANSWERS: Final = {
    encoding: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Protocol: " + encoding.encode() + b"\r\nSec-WebSocket-Accept: %s\r\n\r\n"
    for encoding in SUBPROTOCOLS
}


class Headers(Protocol):
    """The fields of a request's head; names in any case."""

    def getall(self, key: str, default: list[str]) -> list[str]:
        """The values of all fields of this name, in order."""
        ...


class Offer(msgspec.Struct, frozen=True):
    """An upgrade that can be made."""

    encoding: str
    """The first subprotocol offered that we have."""
    origin: str | None
    """Of the page that asks; None: it is no browser."""
    answer: bytes
    """What is to be written; frames follow."""


class NoOffer(msgspec.Struct, frozen=True):
    """The request cannot become a session."""

    message: str = "this is a WebSocket endpoint"
    """For the client's maker; quotes nothing of the request."""
    is_subprotocol: bool = False
    """Whether a subprotocol in common is all that is missing."""


def read_offer(method: str, headers: Headers) -> Offer | NoOffer:
    """Judge a request for ``SESSION_PATH``. A list may come in several fields (RFC 9110 5.3); no extension is taken."""

    def field(name: str) -> str:
        return ",".join(headers.getall(name, []))

    offered = [name.strip() for name in field("Sec-WebSocket-Protocol").split(",")]
    encoding = next((name for name in offered if name in SUBPROTOCOLS), None)
    if encoding is None:
        return NoOffer(f"offer one of the subprotocols {', '.join(SUBPROTOCOLS)}", is_subprotocol=True)
    key = field("Sec-WebSocket-Key")
    is_websocket = (
        method == "GET"
        and field("Upgrade").strip().lower() == "websocket"
        and "upgrade" in [token.strip() for token in field("Connection").lower().split(",")]
        and field("Sec-WebSocket-Version") == "13"
        and _KEY.fullmatch(key) is not None
    )
    if not is_websocket:
        return NoOffer()
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    origins = headers.getall("Origin", [])
    return Offer(encoding, ",".join(origins) if origins else None, _ANSWERS[encoding] % accept)

"""Pure: the opening handshake of a WebSocket (RFC 6455 4.2): what a client offers, and what we answer."""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Final

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


def read_offer(method: str, headers: Mapping[str, str]) -> Offer | NoOffer:
    """Judge a request for ``SESSION_PATH``. ``headers`` finds names in any case; no extension is ever taken."""
    offered = [name.strip() for name in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    encoding = next((name for name in offered if name in SUBPROTOCOLS), None)
    if encoding is None:
        return NoOffer(f"offer one of the subprotocols {', '.join(SUBPROTOCOLS)}", is_subprotocol=True)
    key = headers.get("Sec-WebSocket-Key", "")
    is_websocket = (
        method == "GET"
        and headers.get("Upgrade", "").strip().lower() == "websocket"
        and "upgrade" in [token.strip() for token in headers.get("Connection", "").lower().split(",")]
        and headers.get("Sec-WebSocket-Version") == "13"
        and _KEY.fullmatch(key) is not None
    )
    if not is_websocket:
        return NoOffer()
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    return Offer(encoding, headers.get("Origin"), _ANSWERS[encoding] % accept)

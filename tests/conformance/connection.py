"""Shell: one connection to the gateway under test, and what must hold on every connection whatever is tried."""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.typing import Origin, Subprotocol

from tests.conformance.encoding import SUBPROTOCOLS, Deviation, decode, encode
from tests.conformance.matching import World, mismatch

MOST_BYTES = 2 << 20  # P1.8: what a client must accept


class Target(msgspec.Struct, frozen=True):
    """The gateway under test."""

    url: str
    tls: ssl.SSLContext | None
    patience_s: float
    """How long an answer may take."""
    frames: Mapping[str, Any]
    """What each frame of the gateway looks like; types that are not here are ignored (P2.3)."""
    reasons: Mapping[str, str]


class Closed(Exception):
    """The connection has ended; ``code`` is 1006 when nobody said why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code} {reason!r}")
        self.code = code
        self.reason = reason


class _Direct(connect):
    """A connect that follows no redirect (P6.7)."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Give every failure back as it is."""
        return exc


class Connection:
    """A WebSocket, frame by frame. Pings of the gateway are answered and passed over unless one is asked for."""

    def __init__(self, name: str, target: Target, world: World) -> None:
        self.name = name
        self._target = target
        self._world = world
        self._socket: ClientConnection | None = None
        self._waiting: deque[dict[str, Any]] = deque()
        self._is_welcomed = False
        self._newest = -1
        self._goodbye: dict[str, Any] | None = None

    async def open(
        self,
        *,
        protocols: list[str] | None = None,
        query: str = "",
        origin: str | None = None,
        headers: Mapping[str, str] | None = None,
        compression: str | None = None,
    ) -> int:
        """Upgrade; returns the HTTP status, 101 when there is a connection."""
        offered = [SUBPROTOCOLS[self._world.encoding]] if protocols is None else protocols
        try:
            async with asyncio.timeout(self._target.patience_s):
                self._socket = await _Direct(
                    self._target.url + query,
                    ssl=self._target.tls,
                    subprotocols=[Subprotocol(name) for name in offered] or None,
                    origin=None if origin is None else Origin(origin),
                    additional_headers=headers,
                    compression=compression,
                    max_size=MOST_BYTES,
                    ping_interval=None,
                    proxy=None,
                    close_timeout=2,
                )
        except InvalidStatus as refused:
            return refused.response.status_code
        except (InvalidHandshake, InvalidMessage, InvalidURI) as failure:
            raise Deviation(f"the upgrade failed: {failure}") from None
        except (OSError, TimeoutError) as failure:
            raise Deviation(f"no connection: {type(failure).__name__}: {failure}") from None
        if offered and self._socket.subprotocol not in offered:
            raise Deviation(f"the gateway took {self._socket.subprotocol} of {offered} (P1.2)")
        return 101

    @property
    def subprotocol(self) -> str | None:
        """What the gateway chose."""
        return self._open_socket.subprotocol

    @property
    def extensions(self) -> str:
        """What the gateway negotiated beyond the plain protocol."""
        response = self._open_socket.response
        return "" if response is None else response.headers.get("Sec-WebSocket-Extensions", "")

    async def send(self, value: Any) -> None:
        """Send a frame or a batch."""
        await self.send_raw(encode(value, self._world.encoding))

    async def send_raw(self, message: str | bytes) -> None:
        """Send a message as it is; that the gateway has closed meanwhile is told by what is read next."""
        with contextlib.suppress(ConnectionClosed):
            await self._open_socket.send(message)

    async def ping(self) -> None:
        """Send an RFC 6455 ping and wait for its pong."""
        try:
            async with asyncio.timeout(self._target.patience_s):
                await (await self._open_socket.ping())
        except (TimeoutError, ConnectionClosed):
            raise Deviation("no pong came for an RFC 6455 ping") from None

    async def frame(self, within_s: float | None = None, *, pings: bool = False) -> dict[str, Any]:
        """The next frame; raises ``Closed`` when there is none and ``Deviation`` when none comes in time."""
        patience_s = self._target.patience_s if within_s is None else within_s
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    while not self._waiting:
                        self._take(await self._open_socket.recv())
                    frame = self._waiting.popleft()
                    if frame["type"] == "ping" and not pings:
                        await self.send({"type": "pong"})
                    elif frame["type"] in self._target.frames:
                        self._world.remember(self.name, frame)
                        return frame
        except TimeoutError:
            raise Deviation(f"nothing came within {patience_s:g} s") from None
        except ConnectionClosed as ended:
            close = ended.rcvd
            raise Closed(close.code if close else 1006, close.reason if close else "") from None

    async def closed(self, within_s: float | None = None) -> tuple[int, list[dict[str, Any]]]:
        """Read to the end; returns the close code and the frames before it."""
        frames: list[dict[str, Any]] = []
        try:
            while True:
                frames.append(await self.frame(within_s))
        except Closed as end:
            self._check_close(end)
            return end.code, frames

    async def leave(self) -> None:
        """Close as a client does."""
        if self._socket is not None:
            await self._socket.close()

    async def cut(self) -> None:
        """End without a word."""
        self._open_socket.transport.abort()
        await self._open_socket.wait_closed()

    @property
    def _open_socket(self) -> ClientConnection:
        if self._socket is None:
            raise Deviation(f"there is no connection {self.name}: the upgrade was refused")
        return self._socket

    def _take(self, message: str | bytes) -> None:
        value = decode(message, self._world.encoding)
        if value == []:
            raise Deviation("an empty batch (P1.4)")
        for frame in value if isinstance(value, list) else [value]:
            if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
                raise Deviation(f"a frame that is no map with a type: {str(frame)[:80]} (P2.1)")
            self._check(frame)
            self._waiting.append(frame)

    def _check(self, frame: dict[str, Any]) -> None:
        """What holds for every frame of a gateway: its members, and its place among the others."""
        kind = frame["type"]
        told = mismatch(self._target.frames.get(kind, {"type": kind, "$more": True}), frame, self._world, kind)
        if told:
            raise Deviation(f"{told} (section 2.2 of the page)")
        if kind == "welcome":
            if self._is_welcomed:
                raise Deviation("a second welcome (P2.30)")
            self._is_welcomed = True
        elif not self._is_welcomed and kind not in ("error", "goodbye"):
            raise Deviation(f"{kind} before welcome (P2.30)")
        if kind == "event":
            if ("data" in frame) == ("data_b64" in frame):
                raise Deviation("an event with both or none of data and data_b64 (P2.35)")
            if frame["seq"] <= self._newest:
                raise Deviation(f"event {frame['seq']} after {self._newest} (P4.1)")
            self._newest = frame["seq"]
        if kind == "reply" and "data" in frame and "error" in frame:
            raise Deviation("a reply with both data and error (P2.40)")
        if kind == "goodbye":
            self._goodbye = frame

    def _check_close(self, end: Closed) -> None:
        reason = self._target.reasons.get(str(end.code), "")
        if end.reason not in ("", reason):
            raise Deviation(f"closed with {end.code} and reason {end.reason!r}, not {reason!r} (P3.2)")
        goodbye = self._goodbye
        if goodbye is None:
            return
        if goodbye["code"] != end.code:
            raise Deviation(f"goodbye said {goodbye['code']}, the close {end.code} (P2.42)")
        if goodbye["reason"] != reason:
            raise Deviation(f"goodbye {end.code} with reason {goodbye['reason']!r}, not {reason!r} (P2.42)")
        if goodbye["reconnect"] != (end.code < 4500):
            raise Deviation(f"goodbye {end.code} with reconnect {goodbye['reconnect']} (P3.1)")

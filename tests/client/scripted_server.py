"""A gateway that does what a test tells it: real sockets on loopback, no rules of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

STREAM = "EVENTS:1795420000"


class Peer:
    """One connection of a client, as the gateway sees it. JSON and MessagePack alike are dicts here."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self._is_json = socket.subprotocol == "tidewire.v1.json"

    async def receive(self) -> dict[str, Any]:
        """The client's next frame; fails after 5 s."""
        async with asyncio.timeout(5):
            message = await self.socket.recv(decode=False)
        frame: dict[str, Any] = msgspec.json.decode(message) if self._is_json else msgspec.msgpack.decode(message)
        return frame

    async def expect(self, kind: str) -> dict[str, Any]:
        """The client's next frame, which must be of this type."""
        frame = await self.receive()
        assert frame["type"] == kind, frame["type"]
        return frame

    async def send(self, *frames: dict[str, Any]) -> None:
        """One frame alone, several as a batch."""
        batch: object = frames[0] if len(frames) == 1 else frames
        if self._is_json:
            await self.socket.send(msgspec.json.encode(batch).decode())
        else:
            await self.socket.send(msgspec.msgpack.encode(batch))

    async def close(self, code: int) -> None:
        """Close with this code."""
        await self.socket.close(code)

    async def wait_closed(self) -> int | None:
        """Read until the client has closed; its close code."""
        try:
            async with asyncio.timeout(5):
                while True:
                    await self.socket.recv(decode=False)
        except ConnectionClosed as error:
            return None if error.rcvd is None else error.rcvd.code


class Gateway:
    """Hands each connection to the test, which awaits it with ``accept``."""

    def __init__(self, url: str, peers: "asyncio.Queue[Peer]") -> None:
        self.url = url
        self._peers = peers
        self.accepted = 0

    async def accept(self) -> Peer:
        """The next connection; fails after 5 s."""
        async with asyncio.timeout(5):
            peer = await self._peers.get()
        self.accepted += 1
        return peer

    @property
    def waiting(self) -> int:
        """Connections that no test has accepted yet."""
        return self._peers.qsize()


@asynccontextmanager
async def scripted_gateway(
    tls: SSLContext | None = None, subprotocols: tuple[str, ...] = ("tidewire.v1.json", "tidewire.v1.msgpack")
) -> AsyncIterator[Gateway]:
    """A gateway on a free loopback port."""
    peers: asyncio.Queue[Peer] = asyncio.Queue()

    async def handle(socket: ServerConnection) -> None:
        await peers.put(Peer(socket))
        await socket.wait_closed()

    offered = [Subprotocol(name) for name in subprotocols]
    async with serve(
        handle, "127.0.0.1", 0, ssl=tls, subprotocols=offered, compression=None, ping_interval=None, max_size=None
    ) as server:
        port = server.sockets[0].getsockname()[1]
        yield Gateway(f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/v1/session", peers)


def welcome(after: int = 0, outcome: str = "resumed", **more: object) -> dict[str, Any]:
    """A ``welcome`` frame."""
    frame = {"type": "welcome", "session": "pixel-7", "stream": STREAM, "outcome": outcome, "from": after}
    return frame | {"pending": None, "expires": 4_000_000_000, "ping": 25, "subjects": ["orders.>"]} | more


def event(seq: int, subject: str = "orders.c42.o7", **more: object) -> dict[str, Any]:
    """An ``event`` frame; its data says its sequence."""
    return {"type": "event", "seq": seq, "subject": subject, "time": "2026-11-23T08:00:01Z", "data": {"n": seq}} | more


def live(seq: int) -> dict[str, Any]:
    """A ``live`` frame."""
    return {"type": "live", "seq": seq}

"""A client that speaks the wire protocol frame by frame, for tests that look at frames."""

import asyncio
import ssl
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

JSON = "tidewire.v1.json"
MSGPACK = "tidewire.v1.msgpack"


class WireClient:
    """One connection. Frames are dicts, kept in ``frames`` in the order they came."""

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext | None,
        token: str,
        session: str,
        subscribe: list[str] | None,
        *,
        encoding: str = JSON,
        resume: tuple[str, int] | None = None,
        window: dict[str, int] | None = None,
        ack: bool = False,
        **fields: Any,
    ) -> None:
        self.url = url
        self.tls = tls
        self.encoding = encoding
        self.ack = ack
        self.frames: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.close_reason = ""
        self.connect_frame: dict[str, Any] = {"type": "connect", "token": token, "session": session, **fields}
        if subscribe is not None:
            self.connect_frame["subscribe"] = subscribe
        if resume is not None:
            self.connect_frame["resume"] = {"stream": resume[0], "seq": resume[1]}
        if window is not None:
            self.connect_frame["window"] = window
        self.socket: ClientConnection | None = None
        self.reader: asyncio.Task[None] | None = None
        self.news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.open()
        await self.send(self.connect_frame)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect the socket; no frame yet."""
        self.socket = await connect(
            self.url,
            ssl=self.tls,
            subprotocols=[Subprotocol(self.encoding)],
            compression=None,
            max_size=4_194_304,
            ping_interval=None,
            close_timeout=2,
            proxy=None,
        )
        self.reader = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Close properly."""
        if self.socket is not None:
            await self.socket.close()
        if self.reader is not None:
            await self.reader

    async def cut(self) -> None:
        """Cut the socket without a word, as a tunnel does."""
        assert self.socket is not None
        self.socket.transport.abort()
        if self.reader is not None:
            await self.reader

    async def send(self, *frames: dict[str, Any]) -> None:
        """Send frames, several as one batch."""
        assert self.socket is not None
        body: Any = frames[0] if len(frames) == 1 else list(frames)
        if self.encoding == JSON:
            await self.socket.send(msgspec.json.encode(body).decode())
        else:
            await self.socket.send(msgspec.msgpack.encode(body))

    async def send_raw(self, message: str | bytes) -> None:
        """Send a message as it is."""
        assert self.socket is not None
        await self.socket.send(message)

    async def _read(self) -> None:
        assert self.socket is not None
        try:
            async for message in self.socket:
                decoded = msgspec.json.decode(message) if isinstance(message, str) else msgspec.msgpack.decode(message)
                batch = decoded if isinstance(decoded, list) else [decoded]
                self.frames += batch
                seqs = [frame["seq"] for frame in batch if frame["type"] == "event"]
                if seqs and self.ack:
                    await self.send({"type": "ack", "seq": seqs[-1]})
                self.news.set()
        except ConnectionClosed:
            pass
        finally:
            self.close_code, self.close_reason = self.socket.close_code, self.socket.close_reason or ""
            self.news.set()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Frames of a type."""
        return [frame for frame in self.frames if frame["type"] == kind]

    @property
    def seqs(self) -> list[int]:
        """Sequences of the events, in the order they came."""
        return [frame["seq"] for frame in self.of("event")]

    async def until(self, kind: str, count: int = 1, within_s: float = 10.0) -> list[dict[str, Any]]:
        """Wait until there are so many frames of a type; returns them."""
        try:
            async with asyncio.timeout(within_s):
                while len(self.of(kind)) < count:
                    assert self.close_code is None, f"closed with {self.close_code}; {self.frames[-3:]}"
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            raise AssertionError(f"{len(self.of(kind))} of {count} {kind}; frames {self.frames[-5:]}") from None
        return self.of(kind)

    async def closed(self, within_s: float = 10.0) -> int:
        """Wait until the gateway has closed; returns the code."""
        assert self.reader is not None
        async with asyncio.timeout(within_s):
            await asyncio.wait([self.reader])
        assert self.close_code is not None
        return self.close_code

    async def answer(self, id_: str | int, within_s: float = 5.0) -> dict[str, Any]:
        """Wait for the reply with this id."""
        async with asyncio.timeout(within_s):
            while True:
                for frame in self.of("reply"):
                    if frame.get("id") == id_:
                        return frame
                self.news.clear()
                await self.news.wait()

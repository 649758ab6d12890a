"""A TCP proxy for tests, between clients and servers on loopback: it can stall, cut, delay and refuse.

    async with TcpProxy(server.port) as proxy:
        ... connect to proxy.url ...
        proxy.stall()

Stalled, it keeps what it has and reads no more, as a network does that has lost a route: nobody is told. A cut is a
reset of connections, wherever in a message it strikes. In front of several servers it is a load balancer without
stickiness: each new connection goes to the next one that takes it.
"""

import asyncio
from random import Random
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536


class TcpProxy:
    """Listens on a free port of 127.0.0.1 and passes bytes on to ``port``. Faults may change at any time.

    ``others`` are ports of more servers that do the same; ``random`` chooses what is stalled or cut by chance.
    """

    def __init__(self, port: int, *others: int, random: Random | None = None) -> None:
        self.upstream_port = port
        """Where new connections go; may be changed."""
        self.port = 0
        """Where it listens; known after the start."""
        self.delay_s = 0.0
        """Seconds for which each chunk is held, in both directions."""
        self.stall_chance = 0.0
        """Share of the chunks that are held for ``stall_s`` more, and all behind them with them."""
        self.stall_s = 0.0
        """Seconds of such a stall."""
        self.refusing = False
        """Whether new connections are reset at once."""
        self.connections = 0
        """Connections taken so far, refused ones left out."""
        self._others = list(others)
        self._random = random or Random("proxy")
        self._cut_after_bytes: int | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The proxy's address as that of a nats-server."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """Connections that neither end has closed."""
        return len(self._open)

    def stall(self) -> None:
        """Let nothing through any more, in any direction, on old connections and new ones."""
        self._flowing.clear()

    def resume(self) -> None:
        """Let everything through again, what was held first."""
        self._flowing.set()

    def cut(self, share: float = 1.0) -> int:
        """Reset all connections now, or each with this chance; what is on its way is lost. Returns how many."""
        struck = [task for task in self._open if share >= 1.0 or self._random.random() < share]
        for task in struck:
            task.cancel()
        return len(struck)

    def cut_after(self, count: int) -> None:
        """Reset all connections when ``count`` more bytes have been passed to clients: in the middle of a message."""
        self._cut_after_bytes = count

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        self.connections += 1
        writers = [writer]
        task = asyncio.create_task(self._serve(reader, writers), name="proxy connection")
        self._open[task] = writers
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        for writer in self._open.pop(task):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writers: list[asyncio.StreamWriter]) -> None:
        upstream = await self._connect()
        if upstream is None:
            return  # the server is down: the client is reset
        upstream_reader, upstream_writer = upstream
        writers.append(upstream_writer)
        pumps = [
            asyncio.create_task(self._pump(reader, upstream_writer)),
            asyncio.create_task(self._pump(upstream_reader, writers[0], to_client=True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Connect to the server whose turn it is, or to the first one after it that is there."""
        for _ in range(1 + len(self._others)):
            port = self.upstream_port
            if self._others:
                self._others.append(port)
                self.upstream_port = self._others.pop(0)
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
        return None

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool = False
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.stall_chance and self._random.random() < self.stall_chance:
                await asyncio.sleep(self.stall_s)
            await self._flowing.wait()
            left = self._cut_after_bytes
            if to_client and left is not None:
                if len(data) >= left:
                    self._cut_after_bytes = None
                    writer.write(data[:left])
                    await writer.drain()
                    self.cut()
                    return
                self._cut_after_bytes = left - len(data)
            writer.write(data)
            await writer.drain()

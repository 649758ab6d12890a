"""Shell: a thousand devices in one process, on raw transports, so that the load generator is not the limit.

Each device checks what it gets: its own events, counted from 0, in order, each once.
"""

import asyncio
import ssl
import time
from typing import Any

import msgspec

from bench.plan import EVERYONE, seen, subject
from bench.websocket import CLOSE, client_text, take_messages, upgrade
from bench.worker import Handle, main

CONNECTS = 32
"""Connects at once."""
_LIVE = b'"type":"live"'
_WELCOME = b'"type":"welcome"'
_PING = b'{"type":"ping"}'


class _Welcome(msgspec.Struct):
    stream: str


class Device(asyncio.Protocol):
    """One session of one device; connections come and go."""

    def __init__(self, load: "Load", number: int, token: str) -> None:
        self.number = number
        self.events = 0
        self.seq = 0
        self.is_live = False
        self.is_open = False
        self.wrong: list[str] = []
        self.opened: asyncio.Future[None] | None = None
        self._load = load
        self._token = token
        self._stream = ""
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: TLS is up."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write"), "a stream"
        self._transport = transport  # type: ignore[assignment]  # uvloop's own class
        self._received.clear()
        self._upgraded = self.is_live = False
        self.write(upgrade("127.0.0.1", self._load.path, "tidewire.v1.json"))

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        self._received += data
        if not self._upgraded:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._received.startswith(b"HTTP/1.1 101"):
                self._fail(f"upgrade refused: {bytes(self._received[:60])!r}")
                return
            del self._received[: end + 4]
            self._upgraded = self.is_open = True
            if self.opened is not None and not self.opened.done():
                self.opened.set_result(None)
        for opcode, message in take_messages(self._received):
            if opcode == CLOSE:
                self._fail(f"closed by the server with {int.from_bytes(message[:2])}")
            else:
                self._take(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the socket is gone."""
        if self.is_open:
            self._fail(f"lost the connection ({exc})")

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        assert self._transport is not None, "connected"
        self._transport.write(data)

    def hello(self) -> None:
        """Send the ``connect`` frame: with ``resume``, once something was received."""
        frame: dict[str, Any] = {
            "type": "connect",
            "token": self._token,
            "session": f"bench-{self.number}",
            "subscribe": [EVERYONE if self._load.is_shared else subject(self.number)],
        }
        if self._stream and self.seq:
            frame["resume"] = {"stream": self._stream, "seq": self.seq}
        self.write(client_text(msgspec.json.encode(frame)))

    def acknowledge(self) -> None:
        """Say that everything received is processed."""
        if self.seq:
            self.write(client_text(b'{"type":"ack","seq":%d}' % self.seq))

    def cut(self) -> None:
        """Drop the connection without a word, as a tunnel does."""
        self.is_open = self.is_live = False
        if self._transport is not None:
            self._transport.abort()

    def _take(self, message: bytes) -> None:
        load = self._load
        got = seen(message)
        if got:
            now_ns = time.monotonic_ns()
            for event in got:
                if load.is_counting:
                    self._check(event.session, event.n, event.seq)
                load.latencies_ns.append(now_ns - event.published_ns)
            self.seq = max(self.seq, got[-1].seq)
            self.events += len(got)
            load.got += len(got)
            if load.acks:
                self.acknowledge()
        if _LIVE in message:
            self.is_live = True
            load.live += 1
        elif _WELCOME in message:
            self._stream = msgspec.json.decode(message, type=_Welcome).stream
        elif message == _PING:
            self.write(client_text(b'{"type":"pong"}'))
        load.news.set()

    def _check(self, session: int, n: int, seq: int) -> None:
        due = 0 if self._load.is_shared else self.number
        if session != due or n != self.events_checked or seq <= self.seq_checked:
            self._fail(f"got event {n} of {session} (sequence {seq}), due was {self.events_checked}")
        self.events_checked, self.seq_checked = n + 1, seq

    events_checked = 0
    seq_checked = 0

    def _fail(self, what: str) -> None:
        self.wrong.append(f"device {self.number} {what}")
        self._load.wrong += 1
        self._load.news.set()
        if self.opened is not None and not self.opened.done():
            self.opened.set_exception(ConnectionError(what))


class Load:
    """All devices."""

    def __init__(self) -> None:
        self.path = "/v1/session"
        self.acks = True
        self.is_counting = True
        """Whether events carry numbers to check; the floor's frames are all the same."""
        self.is_shared = False
        """Whether all devices read the one subject of a broadcast, instead of each its own."""
        self.got = 0
        self.live = 0
        self.wrong = 0
        self.latencies_ns: list[int] = []
        self.news = asyncio.Event()
        self._devices: list[Device] = []
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._port = 0

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """One of the commands below."""
        match command["do"]:
            case "begin":
                self._begin(command)
            case "target":
                self._port = command["port"]
            case "open":
                await self._open(command["first"], command["last"])
            case "acks":
                self._set_acks(is_on=command["on"])
            case "hello":
                await self._hello(command["first"], command["last"], command["within_s"])
            case "expect":
                return await self._expect(command["each"], command["within_s"])
            case "cut":
                self._cut()
            case other:
                raise ValueError(f"no command {other}")
        return {}

    def _set_acks(self, *, is_on: bool) -> None:
        """Acknowledge each message, after what is outstanding; or nothing."""
        self.acks = is_on
        if is_on:
            for device in self._devices:
                device.acknowledge()

    def _cut(self) -> None:
        for device in self._devices:
            device.cut()

    def _begin(self, command: dict[str, Any]) -> None:
        self._tls.load_verify_locations(command["ca"])
        self.is_counting = command["counting"]
        self.is_shared = command.get("shared", False)
        self._devices = [Device(self, number, token) for number, token in enumerate(command["tokens"])]

    async def _open(self, first: int, last: int) -> None:
        gate = asyncio.Semaphore(CONNECTS)
        loop = asyncio.get_running_loop()

        async def one(device: Device) -> None:
            async with gate:
                device.opened = loop.create_future()
                await loop.create_connection(
                    lambda: device, "127.0.0.1", self._port, ssl=self._tls, server_hostname="127.0.0.1"
                )
                await device.opened

        await asyncio.gather(*(one(device) for device in self._devices[first:last]))

    async def _hello(self, first: int, last: int, within_s: float) -> None:
        """Open the sessions whose sockets wait; return when each is live."""
        self.live = 0
        for device in self._devices[first:last]:
            device.hello()
        await self._until(lambda: self.live >= last - first, within_s, "live sessions")

    async def _expect(self, each: int, within_s: float) -> dict[str, Any]:
        """Return when every device has had ``each`` events since it was made; fail when one has another."""
        due = each * len(self._devices)
        await self._until(lambda: self.got >= due, within_s, f"of {due} events")
        off = [device for device in self._devices if device.events != each]
        if off:
            raise AssertionError(f"{len(off)} devices did not get {each} events: {off[0].number} got {off[0].events}")
        latencies, self.latencies_ns = sorted(self.latencies_ns), []
        places = {"p50_ms": 0.5, "p99_ms": 0.99}
        if not latencies:
            return {}
        return {name: latencies[int(place * (len(latencies) - 1))] / 1e6 for name, place in places.items()}

    async def _until(self, is_done: Any, within_s: float, what: str) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not is_done() and not self.wrong:
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            counts = sorted((device.events, device.number) for device in self._devices)
            told = (
                f"after {within_s} s only {self.got} events, {self.live} live: {what}; (events, device): {counts[:20]}"
            )
            raise AssertionError(told) from None
        if self.wrong:
            raise AssertionError("; ".join([text for device in self._devices for text in device.wrong][:3]))


async def make() -> Handle:
    """A load without devices."""
    return Load().handle


if __name__ == "__main__":
    main(make)

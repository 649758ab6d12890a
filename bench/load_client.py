"""Shell: thousands of devices in one process, on raw transports, so that the load generator is not the limit.

Each device checks what it gets: its own events, counted from 0, in order, each once. What it speaks is a dialect.
"""

import asyncio
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from bench.client_tls import ClientTls
from bench.dialects import DIALECTS
from bench.dialects.dialect import Dialect, Reader
from bench.dialects.event_text import Event
from bench.percentiles import percentiles
from bench.plan import EVERYONE, subject
from bench.tcp_info import INFO_BYTES, data_segments_in
from bench.websocket import CLOSE, PING, client_pong, messages, upgrade
from bench.worker import Handle, main

HOST = "127.0.0.1"
CONNECTS = 32
"""Connects at once, unless the command says another number."""


class Device:
    """One device; its connections come and go."""

    def __init__(self, load: "Load", number: int, dialect: Dialect) -> None:
        self.number = number
        self.events = 0
        self.is_live = False
        self.is_open = False
        self.wrong: list[str] = []
        self.opened: asyncio.Future[None] | None = None
        self.lived: asyncio.Future[None] | None = None
        """Somebody waits for it to be live."""
        self._load = load
        self._dialect = dialect
        self._session = b"0" if load.is_shared else b"%d" % number
        self._seq = 0
        self._unacknowledged = 0
        self._connection: ClientTls | None = None
        self._cut: ClientTls | None = None
        self._rest = b""
        self._upgraded = False

    def connected(self, connection: ClientTls) -> None:
        """TLS is up."""
        self._connection = connection
        self._rest = b""
        self._upgraded = self.is_live = False
        self._dialect.opened()
        self.write(upgrade(HOST, self._dialect.path, self._dialect.subprotocol))

    def received(self, data: bytes) -> None:
        """Bytes came."""
        if self._rest:
            data = self._rest + data
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            self._upgrade(head)
            if not self._upgraded:
                return
        whole, self._rest = messages(data)
        for opcode, message in whole:
            if opcode < CLOSE:
                self._take(message)
            elif opcode == CLOSE:
                self._fail(f"closed by the server with {int.from_bytes(message[:2])} {message[2:]!r}")
            elif opcode == PING:
                self.write(client_pong(message))

    def lost(self, connection: ClientTls, why: Exception | None) -> None:
        """A connection is gone; one that was cut may say so when the next is on its way."""
        if connection is self._connection and self.is_open:
            self._fail(f"lost the connection ({why})")
        elif connection is not self._cut and self.opened is not None and not self.opened.done():
            self.opened.set_exception(ConnectionError(f"no upgrade ({why})"))

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        assert self._connection is not None, "connected"
        self._connection.write(data)

    def hello(self) -> None:
        """Begin: from where the last connection ended, where the dialect can say so."""
        self.write(self._dialect.hello())

    def acknowledge(self) -> None:
        """Say that everything received is processed."""
        self._unacknowledged = 0
        if ack := self._dialect.ack():
            self.write(ack)

    @property
    def owes(self) -> bool:
        """Whether it has something to acknowledge."""
        return self._unacknowledged > 0

    def cut(self) -> None:
        """Drop the connection without a word, as a tunnel does."""
        self.is_open = self.is_live = False
        if self._connection is not None:
            self._connection.abort()
        self._cut, self._connection = self._connection, None

    def segments(self) -> int:
        """TCP segments with data that came over the open connection: as many as the server wrote."""
        if not self.is_open or self._connection is None or self._connection.transport is None:
            return 0
        with socket.socket(fileno=os.dup(self._connection.transport.get_extra_info("socket").fileno())) as same:
            return data_segments_in(same.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES))

    def _upgrade(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 101"):
            self._fail(f"upgrade refused: {head[:60]!r}")
            return
        self._upgraded = self.is_open = True
        if self.opened is not None and not self.opened.done():
            self.opened.set_result(None)

    def _take(self, message: bytes) -> None:
        load, dialect = self._load, self._dialect
        got = dialect.take(message)
        if got:
            if load.is_counting:
                self._check(got)
            count = len(got)
            self.events += count
            load.count(got)
            if load.ack_each:
                if load.ack_within_s and not self._unacknowledged:
                    load.acknowledge_soon(self)
                self._unacknowledged += count
                if self._unacknowledged >= load.ack_each:
                    self.acknowledge()
        if dialect.reply:
            self.write(dialect.reply)
            dialect.reply = b""
        if dialect.is_live and not self.is_live:
            self.is_live = True
            load.live += 1
            load.news.set()
            if self.lived is not None and not self.lived.done():
                self.lived.set_result(None)
        if dialect.wrong:
            self._fail(f"was told: {dialect.wrong}")

    def _check(self, got: list[Event]) -> None:
        due, session, seq = self.events_checked, self._session, self._dialect.seq
        for its_session, n, _ in got:
            if its_session != session or int(n) != due:
                self._fail(f"got event {int(n)} of {int(its_session)} (sequence {seq}), due was {due}")
            due = int(n) + 1
        if seq:
            if seq <= self._seq:
                self._fail(f"got event sequence {seq} after {self._seq}")
            self._seq = seq
        self.events_checked = due

    events_checked = 0

    def _fail(self, what: str) -> None:
        self.wrong.append(f"device {self.number} {what}")
        self._load.wrong += 1
        self._load.news.set()
        for waiting in (self.opened, self.lived):
            if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionError(what))


class Load:
    """All devices."""

    def __init__(self) -> None:
        self.ack_each = 1
        """Each device acknowledges after so many events; 0: never."""
        self.ack_within_s = 0.0
        """Seconds after which fewer events are acknowledged, too; 0: never."""
        self.is_counting = True
        """Whether events carry numbers to check; the floor's frames are all the same."""
        self.is_shared = False
        """Whether all devices read the one subject of a broadcast, instead of each its own."""
        self.sample_each = 1
        """The latency of one event in so many is taken."""
        self.got = 0
        self.due = 0
        """Events that somebody waits for."""
        self.live = 0
        self.wrong = 0
        self.latencies_ns: list[int] = []
        self.news = asyncio.Event()
        self._devices: list[Device] = []
        self._owing: deque[tuple[float, Device]] = deque()
        """Those that have something to acknowledge, and when they do so at the latest; the earliest first."""
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._port = 0

    def count(self, got: list[Event]) -> None:
        """Count events; take the latency of every ``sample_each``-th of all."""
        first = -self.got % self.sample_each
        self.got += len(got)
        if first < len(got):
            now_ns = time.monotonic_ns()
            for event in got[first :: self.sample_each]:
                self.latencies_ns.append(now_ns - int(event[2]))
        if self.got >= self.due:
            self.news.set()

    def acknowledge_soon(self, device: Device) -> None:
        """Have a device acknowledge what it has in ``ack_within_s``."""
        loop = asyncio.get_running_loop()
        self._owing.append((loop.time() + self.ack_within_s, device))
        if len(self._owing) == 1:
            loop.call_later(self.ack_within_s, self._acknowledge_due)

    def _acknowledge_due(self) -> None:
        loop, owing = asyncio.get_running_loop(), self._owing
        while owing and owing[0][0] <= loop.time():
            _, device = owing.popleft()
            if device.is_open and device.owes:
                device.acknowledge()
        if owing:
            loop.call_at(owing[0][0], self._acknowledge_due)

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """One of the commands below."""
        match command["do"]:
            case "begin":
                self._begin(command)
            case "target":
                self._port = command["port"]
            case "open":
                await self._open(command["first"], command["last"], command.get("at_once", CONNECTS))
            case "acks":
                self._set_acks(command["each"], command["within_s"])
            case "hello":
                await self._hello(command["first"], command["last"], command["within_s"])
            case "come back":
                return await self._come_back(command)
            case "expect":
                return await self._expect(command["each"], command["within_s"])
            case "segments":
                return {"segments": sum(device.segments() for device in self._devices)}
            case "cut":
                self._cut()
            case other:
                raise ValueError(f"no command {other}")
        return {}

    def _set_acks(self, each: int, within_s: float) -> None:
        """Acknowledge after every ``each`` events, and at once what is outstanding; 0: nothing from now on."""
        self.ack_each, self.ack_within_s = each, within_s
        if each:
            for device in self._devices:
                device.acknowledge()

    def _cut(self) -> None:
        for device in self._devices:
            device.cut()

    def _begin(self, command: dict[str, Any]) -> None:
        self._tls.load_verify_locations(command["ca"])
        self.is_counting = command["counting"]
        self.is_shared = command.get("shared", False)
        self.sample_each = command.get("sample_each", 1)
        dialect, window = DIALECTS[command.get("dialect", "tidewire")], command.get("window")
        for number, token in enumerate(command["tokens"], command.get("first", 0)):
            reader = Reader(number, EVERYONE if self.is_shared else subject(number), token, window)
            self._devices.append(Device(self, number, dialect(reader)))

    async def _open(self, first: int, last: int, at_once: int) -> None:
        gate = asyncio.Semaphore(at_once)

        async def one(device: Device) -> None:
            async with gate:
                await self._open_one(device)

        await asyncio.gather(*(one(device) for device in self._devices[first:last]))

    async def _open_one(self, device: Device) -> None:
        loop = asyncio.get_running_loop()
        device.opened = loop.create_future()
        await loop.create_connection(lambda: ClientTls(device, self._tls, HOST), HOST, self._port)
        await device.opened

    async def _come_back(self, command: dict[str, Any]) -> dict[str, Any]:
        """All that a client does who comes back, of every device: connect, TLS, upgrade, hello, until it is live.

        Each must have had ``due`` events by then. ``bare``: until it is upgraded, and no more. ``at_once`` are between
        connecting and their upgrade: nobody waits for another to be live. Answers with the seconds until the last had
        come so far, and with percentiles of what one takes.
        """
        gate, loop, is_bare = asyncio.Semaphore(command["at_once"]), asyncio.get_running_loop(), command["bare"]
        begun, ended, each_ns = time.monotonic(), [], []

        async def one(device: Device) -> None:
            async with gate:
                device.lived, begun_ns = loop.create_future(), time.monotonic_ns()
                await self._open_one(device)
            if not is_bare:
                device.hello()
                await device.lived
                if device.events < command["due"]:
                    raise AssertionError(f"device {device.number} is live after {device.events} events")
            ended.append(time.monotonic() - begun)
            each_ns.append(time.monotonic_ns() - begun_ns)

        devices, within_s = self._devices[command["first"] : command["last"]], command["within_s"]
        try:
            async with asyncio.timeout(within_s):
                await asyncio.gather(*(one(device) for device in devices))
        except TimeoutError:
            last_s = ended[-1] if ended else 0.0
            told = f"after {within_s} s {len(ended)} of {len(devices)} were back, the last after {last_s:.1f} s"
            raise AssertionError(told) from None
        each = percentiles(each_ns)
        return {"seconds": ended[-1], "each_p50_ms": each["p50_ms"], "each_p99_ms": each["p99_ms"]}

    async def _hello(self, first: int, last: int, within_s: float) -> None:
        """Begin on the sockets that wait; return when each is live."""
        self.live = 0
        for device in self._devices[first:last]:
            device.hello()
        await self._until(lambda: self.live >= last - first, within_s, "live sessions")

    async def _expect(self, each: int, within_s: float) -> dict[str, Any]:
        """Return when every device has had ``each`` events since it was made; fail when one has another.

        The answer has percentiles of the latencies since the last answer, in ms.
        """
        self.due = each * len(self._devices)
        await self._until(lambda: self.got >= self.due, within_s, f"of {self.due} events")
        off = [device for device in self._devices if device.events != each]
        if off:
            raise AssertionError(f"{len(off)} devices did not get {each} events: {off[0].number} got {off[0].events}")
        latencies, self.latencies_ns = self.latencies_ns, []
        return dict(percentiles(latencies))

    async def _until(self, is_done: Callable[[], bool], within_s: float, what: str) -> None:
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

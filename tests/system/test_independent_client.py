"""A client that shares no code with us gets every event through cuts, a kill and a gateway that starts again.

Everything is used as a user does: `tidewire up`, `tidewire token`, a plain NATS publisher, and the client in examples/,
which was written from docs/protocol.md alone (P4.1, P4.2, P6.1, P6.2, P6.6).
"""

import asyncio
import contextlib
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.js import JetStreamContext

from tests.until import until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "websockets_client.py"
BURST = 40
DIRECT = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
"""The client's environment: no proxy of this machine is asked for a way to this machine."""


@contextlib.asynccontextmanager
async def running_up(state: Path, port: int = 0) -> AsyncIterator[dict[str, Any]]:
    """`tidewire up` without its shop; yields its JSON line, and drains it in the end."""
    up = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "up", "--json", "--no-shop", "--no-demo", "--nats-port", "0"),
        *("--port", str(port), "--state-dir", str(state)),
        cwd=ROOT,
        stdout=PIPE,
    )
    assert up.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = await up.stdout.readline()
        assert line, "up ended before it was ready"
        yield json.loads(line)
    finally:
        if up.returncode is None:
            up.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await up.wait() == 0


async def token_of(state: Path, sub: str) -> str:
    """A token from the development issuer."""
    command = (sys.executable, "-m", "gateway", "token", "--sub", sub, "--state-dir", str(state))
    asked = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    printed, _ = await asked.communicate()
    assert asked.returncode == 0
    return printed.decode().strip()


class Road:
    """A road to the gateway that can be cut: bytes are passed on, TLS and all, until it is."""

    def __init__(self) -> None:
        self.towards = 0
        self.travellers = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        self.travellers += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.towards)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))
        self._open -= {writer, far_writer}

    def cut(self) -> None:
        """End everything under way without a word."""
        for writer in self._open:
            writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


class Listener:
    """The example client, started as often as need be on one state file; keeps what it printed."""

    def __init__(self, url: str, ca: str, token: str, state: Path) -> None:
        self.runs: list[list[int]] = []
        self._command = (sys.executable, str(EXAMPLE), url, token, "pixel-7", "orders.c42.>")
        self._files = ("--ca", ca, "--state", str(state))
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def seqs(self) -> list[int]:
        """All sequences, in the order printed."""
        return [seq for run in self.runs for seq in run]

    async def start(self) -> None:
        """Start a run."""
        self.runs.append([])
        self._process = await asyncio.create_subprocess_exec(
            *self._command, *self._files, stdout=PIPE, stderr=DEVNULL, env=DIRECT
        )
        self._reading = asyncio.create_task(self._read(self._process, self.runs[-1]))

    async def kill(self) -> None:
        """End a run as a dead battery does."""
        assert self._process is not None
        assert self._reading is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def _read(self, process: Process, seqs: list[int]) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.endswith(b"\n"):  # a kill may leave half a line
                seqs.append(json.loads(line)["seq"])


async def publish(stream: JetStreamContext, count: int) -> list[int]:
    """Publish orders of two customers in turn; returns the sequences of c42's."""
    ours = []
    for n in range(count):
        ours.append((await stream.publish(f"orders.c42.o{n}", json.dumps({"n": n}).encode())).seq)
        await stream.publish(f"orders.c7.o{n}", b"{}")
    return ours


async def test_a_client_written_from_the_protocol_alone_gets_every_event_through_cuts(tmp_path: Path) -> None:
    """P4.1, P4.2, P6.1, P6.2, P6.6."""
    state, road = tmp_path / "state", Road()
    server = await asyncio.start_server(road, "127.0.0.1", 0)
    own_port = server.sockets[0].getsockname()[1]
    due: list[int] = []
    listener: Listener | None = None

    async def publish_and_see(up: dict[str, Any], seen: Listener, *, cuts: bool) -> None:
        link = await nats.connect(up["nats"]["publisher"], inbox_prefix=b"_INBOX_pub")
        try:
            publishing = asyncio.create_task(publish(link.jetstream(), BURST))
            before = len(seen.seqs)
            await until(lambda: len(seen.seqs) >= before + BURST // 4)
            if cuts:
                road.cut()
            due.extend(await publishing)
            await until(lambda: due[-1] in seen.seqs, within_s=20)
        finally:
            await link.close()

    try:
        async with running_up(state) as up:
            road.towards = urlsplit(up["url"]).port or 0
            url = f"wss://127.0.0.1:{own_port}/v1/session"
            listener = Listener(url, up["ca"], await token_of(state, "c42"), tmp_path / "position.json")
            await listener.start()
            await until((tmp_path / "position.json").exists)  # welcomed: what is published from here on is due
            for cuts in (False, True, True):
                await publish_and_see(up, listener, cuts=cuts)
            await listener.kill()
            link = await nats.connect(up["nats"]["publisher"], inbox_prefix=b"_INBOX_pub")
            due.extend(await publish(link.jetstream(), BURST))
            await link.close()
            await listener.start()
            await until(lambda: due[-1] in listener.seqs)
        async with running_up(state) as up:
            road.towards = urlsplit(up["url"]).port or 0
            await until(lambda: road.travellers >= 5)
            await publish_and_see(up, listener, cuts=False)
    finally:
        if listener is not None:
            await listener.kill()
        server.close()
        road.cut()
        await server.wait_closed()

    assert list(dict.fromkeys(listener.seqs)) == due, "every event of this customer, in order, and nobody else's"
    assert all(run == sorted(set(run)) for run in listener.runs), "no repeat and no step back within a run"
    assert len(listener.seqs) - len(due) <= 1, "a kill between work and position repeats one event at most"

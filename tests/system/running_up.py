"""`tidewire up` as a user runs it, for system tests: its process, its folder, its children.

async with up(tmp_path, "--no-shop") as running, running.client("phone") as client: ...
"""

import asyncio
import json
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
import pytest
from tidewire_client import Client, Event

from mesh.link import Link, LinkSettings
from mesh.publisher import Publisher
from security.development import DevelopmentState
from security.secret import Secret

START_S = 30.0
STOP_S = 20.0


class Up(NamedTuple):
    """A running `tidewire up`."""

    process: asyncio.subprocess.Process
    told: dict[str, Any]

    @property
    def state_dir(self) -> Path:
        """Its folder."""
        return Path(self.told["state_dir"])

    def children(self) -> list[psutil.Process]:
        """Every process that it has started, and theirs."""
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def child(self, name: str) -> psutil.Process | None:
        """The child whose command line holds a word that ends so."""
        for child in self.children():
            try:
                if any(word.endswith(name) for word in child.cmdline()):
                    return child
            except psutil.NoSuchProcess:
                continue
        return None

    def pid_of(self, name: str) -> int:
        """The process id of ``child``."""
        found = self.child(name)
        assert found is not None, f"{name} does not run"
        return int(found.pid)

    def token(self, sub: str = "c42") -> str:
        """A token from its issuer."""
        return DevelopmentState(self.state_dir / "development").mint(sub, 3_600, time.time())

    def client(self, session: str, sub: str = "c42", **further: Any) -> Client:
        """A client of it."""
        return Client(self.told["url"], token=self.token(sub), session=session, ca=self.told["ca"], **further)

    async def status(self, path: str) -> int | None:
        """What the gateway answers to a GET; None when it does not."""
        tls = ssl.create_default_context(cafile=self.told["ca"])
        host, port = self.told["http"].removeprefix("https://").split(":")
        try:
            reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
        except OSError:
            return None
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        try:
            line = await reader.readline()
        except OSError:
            return None
        finally:
            writer.close()
        return int(line.split()[1]) if line else None


async def start(state_dir: Path, *options: str) -> asyncio.subprocess.Process:
    ports = ("--port", "0", "--nats-port", "0", "--demo-port", "0")
    arguments = ("-m", "gateway", "up", *ports, "--state-dir", str(state_dir), *options)
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def ready(process: asyncio.subprocess.Process) -> Up:
    assert process.stdout is not None
    async with asyncio.timeout(START_S):
        line = await process.stdout.readline()
    if not line:
        _, errors = await process.communicate()
        pytest.fail(f"tidewire up ended at its start: {errors.decode()}")
    return Up(process, json.loads(line))


async def stop(process: asyncio.subprocess.Process, number: signal.Signals = signal.SIGTERM) -> str:
    """End it; returns what was left on standard output. Fails when a process stays behind."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(number)
    async with asyncio.timeout(STOP_S):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert not [one for one in family if one.is_running()]
    return output.decode()


@asynccontextmanager
async def up(state_dir: Path, *options: str) -> AsyncIterator[Up]:
    process = await start(state_dir, "--json", *options)
    try:
        yield await ready(process)
    finally:
        if process.returncode is None:
            await stop(process)


async def take(client: Client, count: int) -> list[Event]:
    """The next events, processed."""
    events: list[Event] = []
    async with asyncio.timeout(15):
        async for event in client.subscribe("orders.c42.>"):
            events.append(event)
            await event.ack()
            if len(events) == count:
                return events
    raise AssertionError("a subscription does not end by itself")


async def publish(running: Up, order: str) -> int:
    """Publish an event of customer c42; returns its sequence."""
    url = urlsplit(running.told["nats"]["publisher"])
    assert url.password is not None
    settings = LinkSettings(
        servers=(f"nats://{url.hostname}:{url.port}",),
        user=url.username,
        password=Secret(url.password),
        inbox_prefix="_INBOX_pub",
    )
    async with Link(settings) as link, Publisher(link) as publisher:
        return (await publisher.publish(f"orders.c42.{order}", {"order": order})).seq


async def tidewire(running: Up, *arguments: str) -> list[dict[str, Any]]:
    """Run a command on its state folder; returns its lines of JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway", *arguments, "--json", "--state-dir", running.told["state_dir"]),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in output.splitlines()]

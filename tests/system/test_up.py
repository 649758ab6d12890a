"""`tidewire up` as a user runs it: real processes, real sockets, real data."""

import asyncio
import json
import os
import re
import signal
import ssl
import stat
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
from tests.until import until

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


async def refuses_a_second(running: Up, tmp_path: Path) -> None:
    """One on the same folder, and one on the same port, are told why they cannot start."""
    second = await start(running.state_dir)
    output, errors = await second.communicate()
    assert (second.returncode, output) == (2, b"")
    assert f"in use by another tidewire up (pid {running.process.pid})" in errors.decode()
    port = running.told["http"].rpartition(":")[2]
    third = await start(tmp_path / "other", "--port", port)
    output, errors = await third.communicate()
    assert (third.returncode, output) == (2, b"")
    assert f"tidewire: listen.port: {port} of 127.0.0.1 is taken; stop what listens there" in errors.decode()
    fourth = await start(tmp_path / "other", "--nats-port", running.told["nats"]["gateway"].rpartition(":")[2])
    output, errors = await fourth.communicate()
    assert (fourth.returncode, output) == (2, b"")
    assert errors.decode().splitlines()[-1].startswith("tidewire: --nats-port: ")
    port = running.told["page"].rpartition(":")[2].rstrip("/")
    fifth = await start(tmp_path / "other", "--demo-port", port)
    output, errors = await fifth.communicate()
    assert (fifth.returncode, output) == (2, b"")
    assert f"tidewire: --demo-port: {port} of 127.0.0.1 is taken; stop what listens there" in errors.decode()


async def test_it_says_where_everything_is_refuses_a_second_and_leaves_no_process_behind(tmp_path: Path) -> None:
    process = await start(tmp_path / "state", "--json", "--no-shop")
    running = await ready(process)
    port = running.told["http"].rpartition(":")[2]
    assert running.told == {
        "url": f"wss://127.0.0.1:{port}/v1/session",
        "http": f"https://127.0.0.1:{port}",
        "page": running.told["page"],
        "ca": str(tmp_path / "state" / "development" / "ca.pem"),
        "nats": running.told["nats"],
        "state_dir": str(tmp_path / "state"),
    }
    assert re.fullmatch(r"https://localhost:[1-9]\d+/", running.told["page"])
    assert [url.split(":")[1] for url in running.told["nats"].values()] == ["//publisher", "//gateway"]
    assert await running.status("/ready") == 200
    assert [child.name() for child in running.children()].count("nats-server") == 1
    readable = [file for file in running.state_dir.glob("*") if stat.S_IMODE(file.stat().st_mode) & 0o077]
    assert readable == []
    await refuses_a_second(running, tmp_path)
    assert await stop(process) == ""
    assert await running.status("/ready") is None


async def test_starting_again_continues_with_all_data(tmp_path: Path) -> None:
    async with up(tmp_path, "--no-shop") as first:
        async with first.client("phone") as client:
            live = asyncio.create_task(take(client, 1))
            await until(lambda: client.state == "live")
            before = await publish(first, "o1")
            assert [event.seq for event in await live] == [before]
        missed = await publish(first, "o2")
    async with up(tmp_path, "--no-shop") as second:
        after = await publish(second, "o3")
        async with second.client("phone") as client:
            events = await take(client, 2)
        assert [event.seq for event in events] == [missed, after]
        assert client.welcome is not None
        assert client.welcome.outcome == "resumed"


async def test_a_killed_worker_and_a_killed_nats_server_return(tmp_path: Path) -> None:
    async with up(tmp_path, "--no-shop") as running:
        for name in ("gateway.worker", "nats-server"):
            pid = running.pid_of(name)
            os.kill(pid, signal.SIGKILL)
            await until(lambda name=name, pid=pid: (child := running.child(name)) and child.pid != pid)  # type: ignore[misc]

            async def serves() -> bool:
                return await running.status("/ready") == 200

            await until(serves, within_s=20)
        async with running.client("phone") as client:
            live = asyncio.create_task(take(client, 1))
            await until(lambda: client.state == "live")
            seq = await publish(running, "o1")
            assert [event.seq for event in await live] == [seq]


async def test_published_events_and_sessions_are_shown_and_ended_by_command(tmp_path: Path) -> None:
    async with up(tmp_path, "--no-shop") as running:
        async with running.client("phone") as client:
            live = asyncio.create_task(take(client, 1))
            await until(lambda: client.state == "live")
            [stored] = await tidewire(running, "publish", "orders.c42.o1", '{"order": "o1"}', "--id", "first")
            [event] = await live
        assert stored == {"seq": event.seq, "subject": "orders.c42.o1", "id": "first", "duplicate": False}
        assert (event.id, event.data) == ("first", {"order": "o1"})
        [shown] = await tidewire(running, "sessions", "list")
        assert (shown["session"], shown["sub"], shown["phase"]) == ("phone", "c42", "parked")
        assert shown["cursor"] == event.seq
        assert shown["patterns"] == ["orders.c42.>"]
        assert (await tidewire(running, "sessions", "show", "phone", "--sub", "c42"))[0]["key"] == shown["key"]
        [ended] = await tidewire(running, "sessions", "end", shown["key"])
        assert ended["ended"] is True
        assert await tidewire(running, "sessions", "list") == []
        assert {line["step"] for line in await tidewire(running, "provision", "--apply")} == {"keep"}
        await publish(running, "o2")
        async with running.client("phone") as client:
            live = asyncio.create_task(take(client, 1))
            await until(lambda: client.state == "live")
            seq = await publish(running, "o3")
            assert [event.seq for event in await live] == [seq]
            assert client.welcome is not None
            assert client.welcome.outcome == "fresh"


async def test_when_it_is_killed_its_processes_end_by_themselves(tmp_path: Path) -> None:
    process = await start(tmp_path, "--json", "--no-shop")
    running = await ready(process)
    children = running.children()
    assert len(children) == 2
    process.kill()
    await process.communicate()
    await until(lambda: not [child for child in children if child.is_running()], within_s=20)
    async with up(tmp_path, "--no-shop") as again:
        assert await again.status("/ready") == 200


async def test_the_line_it_prints_to_paste_shows_the_shop_and_opens_what_is_sealed(tmp_path: Path) -> None:
    process = await start(tmp_path, "--workers", "2")
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(START_S):
        while not lines or "--token" not in lines[-1]:
            lines.append((await process.stdout.readline()).decode())
            assert lines[-1], "it ended at its start"
    paste = "".join(lines[-2:])
    assert " listen 'orders.c42.>' --session phone --url wss://127.0.0.1:" in paste
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    listener = await asyncio.create_subprocess_shell(
        "exec " + paste.strip(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment
    )
    assert listener.stdout is not None
    running = Up(process, json.loads((tmp_path / "up.json").read_text()))
    async with running.client("tablet") as without_keys, asyncio.timeout(20):
        [[shut], line] = await asyncio.gather(take(without_keys, 1), listener.stdout.readline())
    assert b"orders.c42." in line
    assert b"+49 40" in line
    assert shut.data["customer"] == "c42"
    assert shut.data.keys().isdisjoint({"phone", "address"})
    listener.send_signal(signal.SIGINT)
    _, errors = await listener.communicate()
    assert listener.returncode == 0, errors.decode()
    await stop(process, signal.SIGINT)

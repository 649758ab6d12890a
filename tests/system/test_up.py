"""`tidewire up` as a user runs it: real processes, real sockets, real data."""

import asyncio
import json
import os
import re
import signal
import stat
import sys
from pathlib import Path

from tests.system.running_up import START_S, Up, publish, ready, start, stop, take, tidewire, up
from tests.until import until


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
    assert re.match(r"Open https://localhost:\d+/ and be customer c42 in a browser\.\n", lines[0])
    assert f"let it trust {tmp_path / 'development' / 'ca.pem'} first." in lines[1]
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

"""The bundled nats-server as a child process."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from mesh.embedded import EmbeddedServer, EmbeddedSettings
from mesh.topology import Topology
from security.errors import ConfigurationError
from tests.servers import linked, running_server
from tests.until import until


async def test_port_zero_takes_a_free_port_and_keeps_it_over_restarts(tmp_path: Path) -> None:
    async with running_server(tmp_path / "s") as server:
        port, first = server.port, server.pid
        assert port > 1023
        await server.stop()
        assert not server.is_running
        await server.start()
        assert (server.port, server.pid != first) == (port, True)


async def test_what_was_stored_survives_sigkill_and_restart(tmp_path: Path) -> None:
    async with running_server(tmp_path / "s", topology=Topology()) as server:
        async with linked(server, user="publisher") as link:
            reply = await link.request("orders.c1.o1", b"{}")
            assert b'"seq":1' in reply.payload
        await server.kill()
        await server.start()
        async with linked(server, user="publisher") as link:
            reply = await link.request("orders.c1.o1", b"{}")
            assert b'"seq":2' in reply.payload


async def test_a_taken_port_is_told_with_the_logs_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = EmbeddedServer(EmbeddedSettings(state_dir=tmp_path / "s", port=port))
        with pytest.raises(ConfigurationError, match="address already in use") as told:
            await server.start()
        assert str(port) in str(told.value)
        assert not server.is_running


async def test_a_wrong_configuration_is_told_with_the_servers_words(tmp_path: Path) -> None:
    config = tmp_path / "wrong.conf"
    config.write_text("max_payloads: 1MB\n")
    server = EmbeddedServer(EmbeddedSettings(state_dir=tmp_path / "s", config=config))
    with pytest.raises(ConfigurationError, match="max_payloads"):
        await server.start()


async def test_a_store_is_used_by_one_server_only(tmp_path: Path) -> None:
    async with running_server(tmp_path / "s"):
        second = EmbeddedServer(EmbeddedSettings(state_dir=tmp_path / "s", lock_within_s=0.1))
        with pytest.raises(ConfigurationError, match="another nats-server runs on this store"):
            await second.start()


async def test_the_state_folder_is_its_owners_alone(tmp_path: Path) -> None:
    async with running_server(tmp_path / "s", topology=Topology()) as server:
        files = [server.settings.state_dir, *server.settings.state_dir.rglob("*")]
        assert len(files) > 5
        assert [file for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077] == []


async def test_passwords_stay_the_same_and_show_in_no_repr_log_or_process_list(tmp_path: Path) -> None:
    async with running_server(tmp_path / "s") as server:
        before = {user: server.password(user).reveal() for user in ("publisher", "gateway", "operator")}
        assert server.pid is not None
        shown = " ".join(psutil.Process(server.pid).cmdline()) + repr(server.settings) + server.log_file.read_text()
        assert not [password for password in before.values() if password in shown]
        await server.stop()
    async with running_server(tmp_path / "s") as server:
        assert {user: server.password(user).reveal() for user in before} == before


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel tells a child of its parent's end")
async def test_it_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from mesh.embedded import EmbeddedServer, EmbeddedSettings\n"
        "async def main():\n"
        "    server = EmbeddedServer(EmbeddedSettings(state_dir=pathlib.Path(sys.argv[1])))\n"
        "    await server.start()\n"
        "    print(server.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", program, str(tmp_path / "s")], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    with parent.stdout as out:
        child = int(await asyncio.to_thread(out.readline))
    assert psutil.pid_exists(child)
    os.kill(parent.pid, signal.SIGKILL)
    await asyncio.to_thread(parent.wait)
    async with running_server(tmp_path / "s"):  # waits for the lock that the orphan holds until its end
        assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


async def test_a_server_that_ends_by_itself_is_seen(tmp_path: Path) -> None:
    async with running_server(tmp_path / "s") as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: not server.is_running)
        await server.start()
        assert server.is_running

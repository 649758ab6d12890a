"""Worker processes, with a stand-in for the worker."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.config import Config, Drain, Issuer, Listen
from gateway.supervisor import Supervisor, reserve
from security.errors import ConfigurationError, TidewireError, UpstreamUnavailable
from tests.until import until

WORKER = """
import json, signal, socket, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("127.0.0.1", int(options["--port"])))
listener.listen()
print(json.dumps({"host": "127.0.0.1", "port": listener.getsockname()[1]}), flush=True)
%s
"""
ENDS = "sys.stdin.read()"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"

Make = Callable[..., Supervisor]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Supervisor] = []

    def supervisor(body: str = WORKER % ENDS, workers: int = 1, port: int = 0) -> Supervisor:
        script = tmp_path / "worker.py"
        script.write_text(body)
        config = Config(
            profile="development",
            listen=Listen(port=port, plain=True),
            drain=Drain(timeout_s=0.2),
            issuers=(Issuer(name="a", jwks="k"),),
        )
        program = (sys.executable, "-I", "-S", str(script))
        made.append(Supervisor(config, tmp_path / "gateway.toml", workers, program))
        return made[-1]

    yield supervisor
    for one in made:
        await one.stop()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_all_workers_share_one_port_that_was_free(make: Make) -> None:
    supervisor = make(workers=2)
    await supervisor.start()
    assert supervisor.port > 0
    assert len(set(supervisor.pids())) == 2
    _, writer = await asyncio.open_connection("127.0.0.1", supervisor.port)
    writer.close()


async def test_a_worker_killed_by_force_returns_on_its_port(make: Make) -> None:
    supervisor = make()
    await supervisor.start()
    port, [first] = supervisor.port, supervisor.pids()
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pids() not in ([], [first]))
    assert supervisor.port == port

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True

    await until(answers)


async def test_killing_one_kills_one_by_force_and_it_returns(make: Make) -> None:
    supervisor = make(WORKER % STUBBORN, workers=2)
    await supervisor.start()
    before = supervisor.pids()
    assert supervisor.kill_one()
    await until(lambda: set(supervisor.pids()) != set(before) and len(supervisor.pids()) == 2)
    assert len(set(supervisor.pids()) & set(before)) == 1


async def test_killing_one_is_harmless_when_none_runs(make: Make) -> None:
    supervisor = make()
    assert not supervisor.kill_one()
    await supervisor.start()
    await supervisor.stop()
    assert not supervisor.kill_one()


async def test_stopping_ends_every_worker_and_frees_the_port(make: Make) -> None:
    supervisor = make(workers=2)
    await supervisor.start()
    pids = supervisor.pids()
    await supervisor.stop()
    assert not any(is_alive(pid) for pid in pids)
    with reserve("127.0.0.1", supervisor.port) as free:
        assert free.getsockname()[1] == supervisor.port


async def test_a_worker_that_does_not_drain_in_time_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.supervisor.GRACE_S", 0.1)
    supervisor = make(WORKER % STUBBORN)
    await supervisor.start()
    [pid] = supervisor.pids()
    await supervisor.stop()
    assert not is_alive(pid)


@pytest.mark.parametrize(
    ("status", "failure"), [(2, ConfigurationError), (4, UpstreamUnavailable), (1, TidewireError), (0, TidewireError)]
)
async def test_a_worker_that_cannot_start_fails_the_start(
    make: Make, status: int, failure: type[TidewireError]
) -> None:
    supervisor = make(f"raise SystemExit({status})", workers=2)
    with pytest.raises(failure) as caught:
        await supervisor.start()
    assert type(caught.value) is failure
    assert supervisor.pids() == []


async def test_a_port_that_is_taken_is_told(make: Make) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"listen.port: {port} of 127.0.0.1 is taken; stop what listens"):
            await make(port=port).start()


def test_a_port_shared_by_others_counts_as_taken() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigurationError, match="is taken"):
            reserve("127.0.0.1", other.getsockname()[1])


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"listen\.port: cannot listen on 192\.0\.2\.1"):
        reserve("192.0.2.1", 0)

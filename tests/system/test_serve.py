"""`tidewire serve` against a NATS that is there already."""

import asyncio
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from tidewire_client import Client

from gateway.config import Config
from gateway.config_text import effective
from gateway.settings import topology
from gateway.up_config import development_config
from mesh.api import Api
from mesh.embedded import USERS, EmbeddedServer, EmbeddedSettings
from mesh.link import Link, LinkSettings
from mesh.provision import provision
from mesh.publisher import Publisher
from security.development import DevelopmentState
from security.development_names import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER
from tests.until import until


def link(nats: EmbeddedServer, user: str) -> Link:
    settings = LinkSettings(servers=(nats.url,), user=user, password=nats.password(user), inbox_prefix=USERS[user])
    return Link(settings)


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    async with EmbeddedServer(EmbeddedSettings(state_dir=tmp_path / "nats")) as server:
        async with link(server, "operator") as operator:
            await provision(Api(operator), topology(Config()))
        yield server


@pytest.fixture
def keys(tmp_path: Path) -> DevelopmentState:
    made = DevelopmentState(tmp_path / "development")
    made.prepare(time.time())
    return made


def write_config(folder: Path, nats_url: str, password: str, keys: DevelopmentState) -> Path:
    secret = folder / "gateway.password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    config = development_config(
        port=0,
        nats_url=nats_url,
        password_file=str(secret),
        certificate=str(keys.certificate),
        key=str(keys.key),
        issuer=DEVELOPMENT_ISSUER,
        audience=DEVELOPMENT_AUDIENCE,
        jwks=str(keys.jwks),
    )
    path = folder / "gateway.toml"
    path.write_text(effective(config))
    return path


async def serve(path: Path, *options: str) -> asyncio.subprocess.Process:
    arguments = ("-m", "gateway", "serve", "--config", str(path), *options)
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def test_two_workers_serve_clients_through_a_hangup_and_drain_on_sigterm(
    tmp_path: Path, nats: EmbeddedServer, keys: DevelopmentState
) -> None:
    path = write_config(tmp_path, nats.url, nats.password("gateway").reveal(), keys)
    process = await serve(path, "--workers", "2")
    assert process.stderr is not None
    line = ""
    async with asyncio.timeout(30):
        while "gateway.commands.serve: ready" not in line:
            line = (await process.stderr.readline()).decode()
            assert line, "it ended at its start"
    found = re.search(r"port=(\d+)", line)
    assert found is not None
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    process.send_signal(signal.SIGHUP)
    client = Client(
        f"wss://127.0.0.1:{found[1]}/v1/session", token=keys.mint("c42", 60, time.time()), session="phone", ca=keys.ca
    )
    async with client, asyncio.timeout(15):
        events = client.subscribe("orders.c42.>")
        await until(lambda: client.state == "live")
        async with link(nats, "publisher") as publishing, Publisher(publishing) as publisher:
            await publisher.publish("orders.c42.o1", {"order": "o1"})
        assert (await anext(events)).data == {"order": "o1"}
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in errors
    assert not [worker for worker in workers if worker.is_running()]


async def test_a_wrong_configuration_is_told_by_path_and_starts_nothing(tmp_path: Path, keys: DevelopmentState) -> None:
    path = write_config(tmp_path, "nats://127.0.0.1:1", "secret", keys)
    path.write_text(path.read_text().replace("every_s = 25", "every_s = 0"))
    process = await serve(path)
    output, errors = await process.communicate()
    assert (process.returncode, output) == (2, b"")
    assert errors.decode() == "tidewire: ping.every_s: must be 1 to 3,600; is 0\n"


async def test_production_refuses_development_keys(tmp_path: Path, keys: DevelopmentState) -> None:
    path = write_config(tmp_path, "tls://127.0.0.1:1", "secret", keys)
    path.write_text(path.read_text().replace('profile = "development"', 'profile = "production"'))
    process = await serve(path)
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert [line.split(": ")[1] for line in errors.decode().splitlines()] == [
        "listen.certificate",
        "issuers[0].name",
        "issuers[0].jwks",
    ]

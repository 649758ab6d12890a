"""kill -9 of gateways, nats-server and clients at random moments: nothing is lost. ``make chaos`` goes on longer."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from mesh.embedded import EmbeddedServer
from mesh.topology import Topology
from tests.gateway_process import GatewayProcess, running_process
from tests.servers import running_server
from tests.system.torture import SUBJECTS, Oracle, torture
from tests.until import until


class Listener:
    """A client process on the SDK, with its position in a file."""

    def __init__(self, number: int, gateway: GatewayProcess, folder: Path, subjects: list[str]) -> None:
        self.subjects = subjects
        self.lines: list[dict[str, object]] = []
        self.kills = 0
        token = gateway.token(f"listener-{number}", read=["orders.>"])
        state = str(folder / f"listener-{number}.state")
        self._arguments = (gateway.url, str(gateway.ca), token, "phone", state, *subjects)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.system.listener", *self._arguments, stdout=asyncio.subprocess.PIPE
        )
        self._reader = asyncio.create_task(self._read())

    async def kill(self) -> None:
        assert self._process is not None
        assert self._reader is not None
        if self._process.returncode is None:
            self._process.kill()
            self.kills += 1
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.endswith(b"\n"):
                self.lines.append(json.loads(line))

    @property
    def seqs(self) -> list[int]:
        return [int(str(line["seq"])) for line in self.lines if "seq" in line]

    @property
    def is_live(self) -> bool:
        return any("live" in line for line in self.lines)


async def kill_at_random(
    random: Random, server: EmbeddedServer, gateways: Sequence[GatewayProcess], listeners: Sequence[Listener]
) -> None:
    while True:
        await asyncio.sleep(random.uniform(0.5, 2.0))
        killing = asyncio.create_task(kill_one(random, server, gateways, listeners))
        try:
            await asyncio.shield(killing)
        finally:
            await killing  # when it is over, whoever was killed is there again


async def kill_one(
    random: Random, server: EmbeddedServer, gateways: Sequence[GatewayProcess], listeners: Sequence[Listener]
) -> None:
    victim = random.choice(["gateway", "gateway", "server", "client", "client"])
    if victim == "gateway":
        gateway = random.choice(gateways)
        await gateway.kill()
        await gateway.start()
    elif victim == "server":
        await server.kill()
        await asyncio.sleep(random.uniform(0.0, 0.5))
        await server.start()
    else:
        listener = random.choice(listeners)
        await listener.kill()
        await listener.start()


@pytest.mark.timeout(180)
async def test_nothing_is_lost_when_anything_is_killed(tmp_path: Path) -> None:
    """P4.2."""
    random, oracle = Random("kills 3"), Oracle()  # gateways first: a slow machine gets to a few only
    async with (
        running_server(tmp_path / "nats", topology=Topology()) as server,
        running_process(server, tmp_path / "one", recent={"recent_events": 100}) as one,
        running_process(server, tmp_path / "one") as two,
    ):
        listeners = [Listener(n, (one, two)[n % 2], tmp_path, SUBJECTS[n : n + 3]) for n in range(3)]
        for listener in listeners:
            await listener.start()
        try:
            await until(lambda: all(listener.is_live for listener in listeners), 20)
            killing = asyncio.create_task(kill_at_random(random, server, (one, two), listeners))
            wanderers = await torture(
                [server],
                [one, two],
                seed=3,
                sessions=20,
                handovers=100,
                at_least_s=20,
                within_s=90,
                trouble=[killing],
                oracle=oracle,
            )
            for gateway in (one, two):
                if gateway.process is None or gateway.process.returncode is not None:
                    await gateway.start()
            for listener in listeners:
                await listener.kill()
                await listener.start()
                due = oracle.due(listener.subjects, 0)
                await until(lambda: due[-1] in listener.seqs, 30)  # noqa: B023  # awaited before the next round
                assert not any("gap" in line for line in listener.lines)
                assert sorted(set(listener.seqs) & set(due)) == due, "every event was processed"
                first = list(dict.fromkeys(listener.seqs))
                assert first == sorted(first), "in rising order, whatever was repeated after a kill"
        finally:
            for listener in listeners:
                await listener.kill()
        assert sum(wanderer.gaps for wanderer in wanderers) == 0
        assert one.kills + two.kills >= 2
        assert sum(listener.kills for listener in listeners) >= 2

"""All the real parts of a run: three servers, two gateways, the links between all, the devices, the publisher."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from mesh.api import Api
from mesh.embedded import EmbeddedServer
from mesh.link import Link
from mesh.topology import Topology
from security.errors import UpstreamUnavailable
from tests.chaos.crew import Crew, Traces, plan_devices
from tests.chaos.devices import DevicePlan, Plan
from tests.chaos.oracle import Copy, Oracle
from tests.chaos.small_disk import SmallDisk
from tests.chaos.source import Source, read_stream
from tests.gateway_process import GatewayProcess, running_process
from tests.servers import EmbeddedCluster, linked, provisioned, replicated
from tests.tcp_proxy import TcpProxy
from tests.until import until

SUBJECTS = [f"orders.t{n}.x" for n in range(30)]
CREWS = (26, 26, 4, 4)
"""Devices of each process: the roaming ones, those whose clock is moved, those whose process crashes."""
CLOCK, CRASH = 2, 3
SHARED = 2
"""Sessions with two devices."""


class World:
    """What the faults act on, and what they note."""

    def __init__(self, seed: str, folder: Path, cluster: EmbeddedCluster, gateways: Sequence[GatewayProcess]) -> None:
        self.seed = seed
        self.folder = folder
        self.random = Random(f"{seed}/faults")
        self.cluster = cluster
        self.servers: Sequence[EmbeddedServer] = cluster.servers
        self.gateways = gateways
        self.topology: Topology = replicated()
        self.traces = Traces()
        self.oracle = Oracle(time.monotonic())
        self.source = Source(self.servers, self.oracle, SUBJECTS, seed)
        self.links: list[TcpProxy] = []
        """Between devices and gateways."""
        self.upstreams: list[TcpProxy] = []
        """Between gateways and servers, one for each server."""
        self.crews: list[Crew] = []
        self.counts: Counter[str] = Counter()
        """What was done, by name."""
        self.skipped: dict[str, str] = {}
        """Faults that this machine does not permit, with the reason."""
        self.copy: Copy | None = None
        self.copy_group = ""
        """Name of the stream's log when the copy was made."""
        self.disk: SmallDisk | None = None
        self.operator: Link | None = None

    @property
    def api(self) -> Api:
        """Calls as the operator."""
        assert self.operator is not None
        return Api(self.operator)

    @property
    def devices(self) -> list[DevicePlan]:
        """All devices."""
        return [device for crew in self.crews for device in crew.plan.devices]

    def tell(self, text: str) -> None:
        """A line of progress."""
        sys.stderr.write(f"{time.monotonic():12.3f} {text}\n")
        sys.stderr.flush()

    async def healthy(self, within_s: float = 90.0) -> None:
        """Wait until the stream and the bucket have leaders and all their replicas have caught up."""

        async def is_healthy() -> bool:
            await asyncio.sleep(0.1)  # a server that comes up has other work
            try:
                for stream in self.topology.stream_names():
                    info = await self.api.call("STREAM.INFO", stream, None, dict[str, Any], timeout_s=2.0)
                    if not isinstance(info, dict):
                        return False
                    cluster = info["cluster"]
                    replicas = cluster.get("replicas", [])
                    if not cluster.get("leader") or len(replicas) != 2:
                        return False
                    if not all(each.get("current") and not each.get("offline") for each in replicas):
                        return False
            except (UpstreamUnavailable, KeyError):
                return False
            return True

        await until(is_healthy, within_s)

    async def still(self) -> int:
        """Stop publishing, read the stream; returns its last sequence."""
        await self.source.pause()
        return await read_stream(self.api, self.oracle)

    def missing(self) -> dict[str, int]:
        """For each device that is there, how many of the newest events it has not processed; those taken out aside."""
        era = self.oracle.era
        newest = [era.held[seq] for seq in sorted(era.held)[-300:] if not era.is_gone(seq)]
        behind: dict[str, int] = {}
        for device in self.devices:
            if self.traces.states.get(device.name, "away") == "away":
                continue
            done = self.traces.done[device.name]
            count = sum(1 for each in newest if each.subject in device.patterns and each.number not in done)
            if count:
                behind[device.name] = count
        return behind

    def rss_mb(self) -> list[float]:
        """Resident memory of each gateway, in MB."""
        return [resident_mb(gateway.process.pid) for gateway in self.gateways if gateway.process is not None]


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in MB; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


def freeze(pid: int) -> Callable[[], None]:
    """SIGSTOP; what is returned lets it run again."""
    os.kill(pid, signal.SIGSTOP)

    def thaw() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    return thaw


@contextlib.asynccontextmanager
async def running_world(seed: str, folder: Path) -> AsyncIterator[World]:
    """Everything started: devices live, nothing published yet."""
    async with contextlib.AsyncExitStack() as stack:
        cluster = EmbeddedCluster(folder / "nats")
        disk = SmallDisk(folder / "nats" / "n3" / "store")
        stack.callback(disk.unmount)
        refused = disk.mount()
        stack.push_async_callback(cluster.stop)
        await cluster.start()
        await provisioned(*cluster.servers, topology=replicated(), within_s=60.0)
        upstreams = [
            await stack.enter_async_context(TcpProxy(server.port, random=Random(f"{seed}/upstream/{server.port}")))
            for server in cluster.servers
        ]
        gateways = await _start_gateways(stack, cluster, folder, [each.url for each in upstreams])
        world = World(seed, folder, cluster, gateways)
        world.upstreams = upstreams
        if refused:
            world.skipped["full_disk"] = refused
        else:
            world.disk = disk
        world.operator = await stack.enter_async_context(linked(*cluster.servers, backoff_max_s=0.5))
        await _start_links(stack, world)
        await _start_crews(stack, world)
        publishing = asyncio.create_task(world.source.run(), name="publisher")
        stack.push_async_callback(_end, publishing)
        yield world


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _start_gateways(
    stack: contextlib.AsyncExitStack, cluster: EmbeddedCluster, folder: Path, urls: list[str]
) -> list[GatewayProcess]:
    """One with a small recent window, so that durables are read, and one with the default; the same keys."""
    first = cluster.servers[0]
    one, two = folder / "one", folder / "two"
    drain = {"spread_ms": 500, "timeout_s": 5}
    keys = {"certificate": str(one / "server.pem"), "key": str(one / "server.pem")}
    issuer = {"name": "tidewire-development", "jwks": str(one / "jwks.json"), "read": ["orders.{sub}.>"]}
    small = {"recent_events": 200}
    servers = {"servers": urls}
    return [
        await stack.enter_async_context(running_process(first, one, nats=servers, recent=small, drain=drain)),
        await stack.enter_async_context(
            running_process(first, two, nats={"servers": urls[::-1]}, listen=keys, issuers=[issuer], drain=drain)
        ),
    ]


async def _start_links(stack: contextlib.AsyncExitStack, world: World) -> None:
    ports = [gateway.port for gateway in world.gateways]
    for number in range(3):
        turn = ports if number % 2 else ports[::-1]
        proxy = TcpProxy(turn[0], *turn[1:], random=Random(f"{world.seed}/link/{number}"))
        world.links.append(await stack.enter_async_context(proxy))


async def _start_crews(stack: contextlib.AsyncExitStack, world: World) -> None:
    urls = [f"wss://127.0.0.1:{link.port}/v1/session" for link in world.links]
    positions = world.folder / "positions"
    positions.mkdir()
    for number, devices in enumerate(plan_devices(world.seed, SUBJECTS, urls, CREWS, SHARED)):
        plan = Plan(f"{world.seed}/{number}", str(world.folder / "one"), str(positions), tuple(devices))
        crew = Crew(f"crew{number}", plan, world.traces)
        world.crews.append(crew)
        stack.push_async_callback(crew.kill)
        await crew.start()
    expected = [device.name for device in world.devices if device.begins]
    await until(lambda: all(world.traces.states.get(name) == "live" for name in expected), 60)

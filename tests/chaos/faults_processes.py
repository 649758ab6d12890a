"""Faults of gateways and servers: killed, frozen, restarted in turn, flooded, out of disk. Each ends healed."""

import asyncio
from typing import Any

from mesh.api import ApiError
from mesh.embedded import EmbeddedServer
from security.errors import UpstreamUnavailable
from tests.chaos.world import World, freeze
from tests.servers import linked

FLOOD = 25_000
"""Requests in one burst: far beyond what a server keeps waiting (10,000), also when it answers fast meanwhile."""


async def gateway_kill(world: World) -> None:
    """SIGKILL of one gateway, or of both."""
    both = world.random.random() < 0.3
    struck = list(world.gateways) if both else [world.random.choice(world.gateways)]
    for gateway in struck:
        await gateway.kill()
        world.counts["gateways killed"] += 1
    await asyncio.sleep(world.random.uniform(0.0, 3.0))
    for gateway in struck:
        await gateway.start()


async def gateway_stop(world: World) -> None:
    """SIGSTOP and SIGCONT of one gateway: its sockets stay open, its clients hear nothing."""
    process = world.random.choice(world.gateways).process
    assert process is not None
    thaw = freeze(process.pid)
    world.counts["gateways frozen"] += 1
    try:
        await asyncio.sleep(world.random.uniform(1.0, 9.0))
    finally:
        thaw()


async def gateways_rolling(world: World) -> None:
    """SIGTERM of each gateway in turn: it drains, and is started again."""
    for gateway in world.gateways:
        await gateway.stop()
        world.counts["gateways restarted"] += 1
        await gateway.start()
        await asyncio.sleep(1.0)


async def server_kill(world: World) -> None:
    """SIGKILL of one server, which others replace; sometimes of two, which leaves no majority."""
    count = 2 if world.random.random() < 0.3 else 1
    struck = world.random.sample(list(world.servers), count)
    for server in struck:
        await server.kill()
        world.counts["servers killed"] += 1
    await asyncio.sleep(world.random.uniform(0.2, 5.0))
    for server in struck:
        await server.start()
    await world.healthy()


async def server_stop(world: World) -> None:
    """SIGSTOP and SIGCONT of one server."""
    pid = world.random.choice(world.servers).pid
    assert pid is not None
    thaw = freeze(pid)
    world.counts["servers frozen"] += 1
    try:
        await asyncio.sleep(world.random.uniform(1.0, 9.0))
    finally:
        thaw()
    await world.healthy()


async def servers_rolling(world: World) -> None:
    """Each server ends cleanly and comes back, and the next one waits for that."""
    for server in world.servers:
        await server.stop()
        world.counts["servers restarted"] += 1
        await server.start()
        await world.healthy()


async def step_down(world: World) -> None:
    """The leaders of the stream and of the bucket step down, several times."""
    for _ in range(world.random.randint(2, 5)):
        for stream in world.topology.stream_names():
            try:
                answer = await world.api.call("STREAM.LEADER.STEPDOWN", stream, None, dict[str, Any])
                world.counts["step-downs"] += not isinstance(answer, ApiError)
            except UpstreamUnavailable:
                pass
        await asyncio.sleep(world.random.uniform(0.2, 1.5))
    await world.healthy()


async def api_flood(world: World) -> None:
    """A neighbour fills the queue of the JetStream API: the server then drops all that waits, everybody's."""
    sent, answered = await flood(*world.servers, bursts=world.random.randint(2, 4))
    world.counts["API requests of the neighbour"] += sent
    world.counts["of them dropped"] += sent - answered


async def flood(*servers: EmbeddedServer, bursts: int, wait_s: float = 5.0) -> tuple[int, int]:
    """Fire bursts of requests to the JetStream API; returns how many were sent, and how many answered till the end."""
    answered = 0

    def hear(*_: object) -> None:
        nonlocal answered
        answered += 1

    async with linked(*servers) as link:
        inbox = f"{link.inbox}.flood"
        tap = await link.tap(inbox, hear)
        for burst in range(bursts):
            for number in range(FLOOD):
                await link.publish("$JS.API.STREAM.INFO.EVENTS", b'{"subjects_filter":">"}', reply=inbox)
                if number % 1_000 == 999:
                    await asyncio.sleep(0)
            await asyncio.sleep(0.5 if burst + 1 < bursts else wait_s)
        await tap.close()
    return bursts * FLOOD, answered


async def full_disk(world: World) -> None:
    """One server's disk is full for a while; it gives up JetStream, and is restarted once there is room again."""
    disk = world.disk
    if disk is None:
        return
    server = world.servers[2]
    log_from = len(await asyncio.to_thread(server.log_file.read_text))
    try:
        world.counts["disks made full"] += 1
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(world.random.uniform(3.0, 7.0))
    finally:
        disk.free()
    log = await asyncio.to_thread(server.log_file.read_text)
    world.counts["servers that gave up JetStream"] += "JetStream out of resources" in log[log_from:]
    await server.stop()
    await server.start()
    await world.healthy()

"""Faults of the stream: purged, single events deleted, recreated, and an older copy of the stores put back."""

import asyncio
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from mesh.api import ApiError
from security.errors import UpstreamUnavailable
from tests.chaos.source import STREAM
from tests.chaos.world import World
from tests.servers import provisioned
from tests.until import until

GROWTH_PER_S = 300.0
"""Events a second while the stream grows past where it was before the restore."""
OLD_EVENTS = 1_200
"""A copy that is older than so many events is made anew before it is put back: growing past would take long."""


async def purge(world: World) -> None:
    """The whole stream, or its older part, while nobody publishes: so it is known what was taken out.

    Half of the devices are away and miss what is taken out.
    """
    away = await send_half_away(world)
    await asyncio.sleep(world.random.uniform(1.0, 3.0))
    last = await world.still()
    try:
        first = min(world.oracle.era.held, default=1)
        middle = world.random.randint(min(first, last), max(first, last))
        body, upto = world.random.choice([({}, last), ({"seq": middle + 1}, middle), ({"keep": 20}, last)])
        world.oracle.take_out(1, upto, time.monotonic(), "purged")
        while True:
            try:
                answer = await world.api.call("STREAM.PURGE", STREAM, body, dict[str, Any])
                assert not isinstance(answer, ApiError), answer
                break
            except UpstreamUnavailable:
                continue  # perhaps; once more does no harm
        world.counts["purges"] += 1
    finally:
        world.source.resume()
        await bring_back(world, away)


async def deletes(world: World) -> None:
    """Single events, old ones and the newest, while others are published and half of the devices are away."""
    away = await send_half_away(world)
    for _ in range(20):
        era = world.oracle.era
        last = era.last_seq
        seq = world.random.choice([last, last - 1, world.random.choice(list(era.held)[-200:] or [1])])
        world.oracle.take_out(seq, seq, time.monotonic(), "deleted")
        try:
            answer = await world.api.call("STREAM.MSG.DELETE", STREAM, {"seq": seq, "no_erase": True}, dict[str, Any])
            world.counts["single deletes"] += not isinstance(answer, ApiError)
        except UpstreamUnavailable:
            pass  # perhaps
        await asyncio.sleep(world.random.uniform(0.0, 0.3))
    await bring_back(world, away)


async def recreate(world: World) -> None:
    """The stream is deleted and made again under the same name."""
    await world.still()
    try:
        while True:
            try:
                await world.api.call("STREAM.DELETE", STREAM, None, msgspec.Raw)
                await provisioned(*world.servers, topology=world.topology, within_s=30.0)
                break
            except UpstreamUnavailable:
                continue
        world.oracle.begin("recreated", time.monotonic())
        world.counts["recreations"] += 1
        await world.healthy()
    finally:
        world.source.resume()


async def copy(world: World) -> None:
    """All servers are stopped, their stores copied, and started again."""
    last = await world.still()
    try:
        await world.healthy()
        world.copy_group = await raft_group(world)
        await world.cluster.stop()
        for server in world.servers:
            folder = server.settings.state_dir
            await asyncio.to_thread(replace_content, folder / "store", world.folder / "copies" / folder.name)
        world.copy = world.oracle.copy(last)
        world.counts["copies"] += 1
        await asyncio.gather(*(server.start() for server in world.servers))
        await world.healthy()
    finally:
        world.source.resume()


async def restore(world: World) -> None:
    """An older copy is put back and grows past where the stream was, while half of the devices are away.

    The copy of the event stream alone, so that cursors lie beyond its end, or of everything. The gateways live through
    it, or are killed before and come back after it has grown: then nobody is left who saw it fall back. Who puts
    everything back in that case has to say so (``tidewire epoch new``), since no server can know.
    """
    if world.copy is None or len(world.oracle.offered) - max_number(world) > OLD_EVENTS:
        await copy(world)
        await asyncio.sleep(world.random.uniform(5.0, 10.0))
    assert world.copy is not None
    away = await send_half_away(world)
    last = await world.still()
    number = world.counts["restores of everything"] + world.counts["restores of the stream alone"]
    is_whole = await raft_group(world) != world.copy_group or number % 2 == 1
    gateways = list(world.gateways) if number % 4 in (0, 3) else []  # all four sorts in turn
    for gateway in gateways:
        await gateway.kill()
        world.counts["gateways killed"] += 1
    await world.cluster.stop()
    for server in world.servers:
        await asyncio.to_thread(put_back, world, server.settings.state_dir, is_whole=is_whole)
    world.oracle.begin("restored", time.monotonic(), world.copy)
    world.counts["restores of everything" if is_whole else "restores of the stream alone"] += 1
    world.counts["restores while no gateway ran"] += bool(gateways)
    await asyncio.gather(*(server.start() for server in world.servers))
    await world.healthy()
    if is_whole and gateways:
        await new_epoch(world)
    usual = world.source.rate_per_s
    world.source.rate_per_s = GROWTH_PER_S
    world.source.resume()
    try:
        if number % 6 != 5:
            await until(lambda: world.oracle.era.last_seq > last + 20, 90)
            world.counts["restores grown past"] += 1
    finally:
        world.source.rate_per_s = usual
        for gateway in gateways:
            await gateway.start()
        await bring_back(world, away)


async def new_epoch(world: World) -> None:
    """What docs/operations.md asks of who put back everything."""
    config = world.folder / "one" / "gateway.toml"
    command = ("-m", "gateway", "epoch", "new", "--config", str(config))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0, "an epoch is begun"
    world.counts["epochs begun by command"] += 1


async def raft_group(world: World) -> str:
    """Name of the group of servers that keep the stream: the folder of its log."""
    answer = await world.api.call("STREAM.INFO", STREAM, None, dict[str, Any])
    assert isinstance(answer, dict)
    return str(answer["cluster"]["raft_group"])


def max_number(world: World) -> int:
    """The newest number that the copy holds."""
    assert world.copy is not None
    return max((event.number for event in world.copy.held.values()), default=0)


async def send_half_away(world: World) -> list[list[str]]:
    """Half of the devices that are there close; returns their names by process."""
    away: list[list[str]] = []
    for crew in world.crews:
        there = [each.name for each in crew.plan.devices if world.traces.states.get(each.name, "away") != "away"]
        away.append(sorted(world.random.sample(there, len(there) // 2)))
        if away[-1]:
            await crew.tell("away", *away[-1])
    names = [name for each in away for name in each]
    await until(lambda: all(world.traces.states.get(name) == "away" for name in names), 30)
    return away


async def bring_back(world: World, away: list[list[str]]) -> None:
    """They connect again."""
    for crew, names in zip(world.crews, away, strict=True):
        if names:
            await crew.tell("back", *names)


def put_back(world: World, folder: Path, *, is_whole: bool) -> None:
    """A server's store becomes what the copy has: all of it, or the event stream and its log."""
    source, target = world.folder / "copies" / folder.name, folder / "store"
    parts = [Path()]
    if not is_whole:
        here = Path("jetstream")
        parts = [here / "$G" / "streams" / STREAM, here / "$SYS" / "_js_" / world.copy_group]
    for part in parts:
        replace_content(source / part, target / part)


def replace_content(source: Path, target: Path) -> None:
    """Make a folder hold what another one holds; the folder itself stays, it may be a mount."""
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in target.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    shutil.copytree(source, target, dirs_exist_ok=True)

"""Faults of links and devices: cuts, latency, stalls; clocks, crashes, takeovers, crowds. Each ends healed."""

import asyncio

from tests.chaos.world import CLOCK, CRASH, World
from tests.until import until

LATENCY_S = 0.3
STALL_CHANCE = 0.05


async def cuts(world: World) -> None:
    """Links are reset: all at once, or half of the connections, several times."""
    for _ in range(world.random.randint(2, 6)):
        share = world.random.choice([1.0, 0.5, 0.5])
        for link in world.links:
            world.counts["connections cut"] += link.cut(share)
        await asyncio.sleep(world.random.uniform(0.1, 2.0))


async def latency(world: World) -> None:
    """300 ms on each link, in both directions."""
    world.counts["stretches of latency"] += 1
    for link in world.links:
        link.delay_s = LATENCY_S
    try:
        await asyncio.sleep(world.random.uniform(4.0, 9.0))
    finally:
        for link in world.links:
            link.delay_s = 0.0


async def stalls(world: World) -> None:
    """One in twenty chunks is held for a second or more, and what is behind it too; one link stands still."""
    world.counts["stretches of stalls"] += 1
    frozen = world.random.choice(world.links)
    for link in world.links:
        link.stall_chance, link.stall_s = STALL_CHANCE, world.random.uniform(0.5, 2.0)
    frozen.stall()
    try:
        await asyncio.sleep(world.random.uniform(4.0, 9.0))
    finally:
        for link in world.links:
            link.stall_chance = 0.0
        frozen.resume()


async def upstream(world: World) -> None:
    """The gateways' connections to NATS: cut, or slow, or standing still with nobody told."""
    for _ in range(world.random.randint(1, 3)):
        struck = world.random.sample(world.upstreams, world.random.randint(1, 3))
        how = world.random.choice(["cut", "slow", "still"])
        try:
            for link in struck:
                world.counts[f"links to NATS made {how}"] += 1
                if how == "cut":
                    link.cut()
                elif how == "slow":
                    link.delay_s = LATENCY_S
                else:
                    link.stall()
            await asyncio.sleep(world.random.uniform(0.5, 6.0))
        finally:
            for link in struck:
                link.delay_s = 0.0
                link.resume()


async def clock(world: World) -> None:
    """The devices of one process believe that it is an hour later or earlier."""
    for by_s in (3_600.0, -3_600.0, 0.0):
        world.counts["clock steps"] += 1
        await world.crews[CLOCK].tell("clock", by_s=by_s)
        for link in world.links:
            world.counts["connections cut"] += link.cut(0.3)
        await asyncio.sleep(world.random.uniform(1.0, 3.0))


async def crash(world: World) -> None:
    """A process of devices dies just before a position is stored, just after it, and at any moment."""
    crew = world.crews[CRASH]
    for when in world.random.sample(["before", "after", "at once"], 3):
        if when != "at once":
            await crew.tell("crash", when=when)
            assert await crew.ended(30.0), "it stores a position soon"
        await crew.kill()
        world.counts[f"devices crashed {when}"] += 1
        await crew.start()
        names = [device.name for device in crew.plan.devices]
        await until(lambda: all(world.traces.states.get(name) == "live" for name in names), 60)  # noqa: B023


async def takeover(world: World) -> None:
    """The other device of a session connects: one of both connections ends, wherever it is.

    It is the older one's, unless that comes back from a cut just then, which makes it the newer one.
    """
    for _ in range(2):
        for device in world.crews[0].plan.devices:
            if not device.name.endswith(".a"):
                continue
            both = (device.name, device.name[:-1] + "b")
            crew = 1 if world.traces.states.get(both[0], "away") != "away" else 0
            takeovers = world.traces.takeovers
            await world.crews[crew].tell("back", both[crew])
            await until(lambda: world.traces.takeovers > takeovers, 45)  # noqa: B023
            world.counts["takeovers"] += 1


async def crowd(world: World) -> None:
    """All devices of two processes go away, and come back at the same moment."""
    there: list[list[str]] = []
    for crew in world.crews[:2]:
        names = [each.name for each in crew.plan.devices if world.traces.states.get(each.name, "away") != "away"]
        there.append(names)
        await crew.tell("away", *names)
    await asyncio.sleep(world.random.uniform(1.0, 6.0))
    for crew, names in zip(world.crews, there, strict=False):
        await crew.tell("back", *names)
    world.counts["crowds"] += 1

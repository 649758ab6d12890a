"""Shell: connections that are quiet: what memory one keeps, and what CPU it takes to keep it."""

import asyncio

from bench.cases.course import SETTLE_S, each_way, running
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import cpu_s
from bench.way import Order, Site, Way
from bench.ways import WAYS

CASE = "idle"
WARM = 50
"""Connections before memory is first read, so that what is made once is not counted per connection."""
EACH_RUN = ("floor", "tidewire")
"""Ways that are measured in every run; the rivals in the first alone, since it takes long."""


async def idle(site: Site, plan: Plan) -> list[Measurement]:
    """TLS, subscribed, one event each, acknowledged where the protocol can say so; then nothing for a while."""

    async def one(way: Way) -> list[Measurement]:
        async with running(site, plan, way, plan.idle_sessions, connect=False) as course:
            await course.connect(0, WARM)
            await asyncio.sleep(SETTLE_S)
            before_kb = course.resident_kb()
            async with course.spending() as opening:
                await course.connect(WARM, plan.idle_sessions)
                await way.publish(Order(events=plan.idle_sessions, rate=plan.idle_rate, sessions=plan.idle_sessions))
                await course.expect(1)
                await course.settled()
            count = plan.idle_sessions - WARM
            before_s = sum(map(cpu_s, way.servers()))
            await asyncio.sleep(plan.idle_s)
            spent_s = sum(map(cpu_s, way.servers())) - before_s
            values = {
                "rss_kb": (course.resident_kb() - before_kb) / count,
                "idle_us_per_s": spent_s / plan.idle_s / plan.idle_sessions * 1e6,
                "open_ms": opening.server_s / count * 1e3,
            }
        return [Measurement(case=CASE, way=way.name, values=values)]

    return await each_way(site, plan, CASE, WAYS if plan.run == 1 else EACH_RUN, one)

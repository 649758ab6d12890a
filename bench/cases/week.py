"""Shell: one client comes back that has missed fifty thousand events, while others are live on the same worker.

Its events lie among three times as many of others, and almost all of them below the recent window. It is fast, asks
for the widest window, and acknowledges what each message brought.
"""

import asyncio
import time

from bench.cases.course import Course, each_way, tokens
from bench.cases.watched import watched
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import Child
from bench.progress import say
from bench.way import Order, Site, Way
from bench.ways.tidewire import Tidewire
from gateway import config as has

CASE = "week"
QUIET_ROUNDS = 8
"""Rounds of the trickle before it comes back."""
WIDEST = {"messages": has.Window().max_messages, "bytes": has.Window().max_bytes}
PARTS = 4
"""Orders to the publisher in which the stream is filled."""
LOOK_S = 0.05
"""Seconds between two looks at the gateway's memory."""


async def week(site: Site, plan: Plan) -> list[Measurement]:
    """Tidewire alone: events a second, memory, and the latency of the others."""

    async def one(_: Way) -> list[Measurement]:
        way = Tidewire(site, recent_events=plan.small_window, park_after_s=0.5)
        load = Child("bench.load_client", on=site.rest_on, log=site.folder / "load.log")
        try:
            await way.start()
            await load.start()
            ca = str(site.keys.ca)
            await load.ask(30, do="begin", ca=ca, counting=True, tokens=tokens(site, 1), window=WIDEST)
            return [await _measure(site, plan, way, Course(plan, way, load, 1))]
        finally:
            await load.stop()
            await way.stop()

    return await each_way(site, plan, CASE, ("tidewire",), one)


async def _measure(site: Site, plan: Plan, way: Tidewire, course: Course) -> Measurement:
    await course.connect()
    await course.cut()
    await way.quiet(plan.patience_s, 0)
    others = plan.week_others + 1
    say(f"week: {plan.week_missed * others} events are stored, {plan.week_missed} for one who is away")
    for _ in range(PARTS):
        await way.publish(Order(events=plan.week_missed * others // PARTS, rate=0, sessions=others))
    async with watched(site, plan, way.jetstream, others, [way.port]) as live:
        before = await live.steady(QUIET_ROUNDS)
        await course.load.ask(plan.patience_s, do="open", first=0, last=1)
        resident_kb = course.resident_kb()
        say("week: it comes back")
        async with course.spending(settle=False) as spent:
            (seconds, most_kb), during = await live.during(_come_back(plan, course))
    return Measurement(
        case=CASE,
        way="tidewire",
        values={
            "events_per_s": plan.week_missed / seconds,
            "seconds": seconds,
            "server_us": spent.server_s / plan.week_missed * 1e6,
            "broker_us": spent.broker_s / plan.week_missed * 1e6,
            "growth_kb": float(most_kb - resident_kb),
            "others_before_p99_ms": before[0]["p99_ms"],
            "others_p99_ms": during[0]["p99_ms"],
        },
        note="CPU includes that of the live sessions' events meanwhile",
    )


async def _come_back(plan: Plan, course: Course) -> tuple[float, int]:
    """Seconds from ``connect`` to the last event, and the most KiB that the gateway had resident meanwhile."""
    begun, most_kb = time.monotonic(), 0

    async def rest() -> None:
        patience_s = plan.patience_s
        await course.load.ask(patience_s, do="hello", first=0, last=1, within_s=patience_s - 5)
        await course.expect(plan.week_missed)

    coming = asyncio.create_task(rest())
    while not coming.done():
        most_kb = max(most_kb, course.resident_kb())
        await asyncio.wait([coming], timeout=LOOK_S)
    await coming
    return time.monotonic() - begun, most_kb

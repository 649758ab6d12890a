"""Shell: sessions that come back: with nothing missed, from the recent window, and from a durable consumer."""

import asyncio

from bench.cases.course import SETTLE_S, Course, each_way, running
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import Failed
from bench.way import Order, Site, Way
from bench.ways.tidewire import Tidewire

RESUME = "resume, nothing missed"
WINDOW = "replay, recent window"
DURABLE = "replay, durable"
PARK_AFTER_S = 0.5
"""Seconds after which a session is parked: at once, so that a durable is there when it comes back."""
FILLER = 1_000
"""Events for nobody beyond the small recent window, which push out of it what was missed."""


async def replay(site: Site, plan: Plan) -> list[Measurement]:
    """Tidewire all three; the floor writes as many events at once; a consumer for each session has its one way."""

    async def one(way: Way) -> list[Measurement]:
        async with running(site, plan, way, plan.sessions) as course:
            if isinstance(way, Tidewire):
                return await _tidewire(course, plan, way)
            if way.name == "floor":
                return [await _floor(course, plan)]
            # it never has a position before its first event
            await _deliver(course, 1)
            return [await _come_back(course, RESUME), await _come_back(course, DURABLE, missed=plan.replay_each)]

    names = ("floor", "tidewire", "per-session") if plan.replay_durable else ("floor", "tidewire")
    return await each_way(site, plan, "replay", names, one)


async def _tidewire(course: Course, plan: Plan, way: Tidewire) -> list[Measurement]:
    await _deliver(course, 1)
    measured = [await _come_back(course, RESUME)]
    before = await way.consumer_calls()
    measured.append(await _come_back(course, WINDOW, missed=plan.replay_each))
    after = await way.consumer_calls()
    made = sum(after.values()) - sum(before.values())
    measured[-1].values["consumer_calls"] = made
    if made:
        raise Failed(f"a replay from the recent window called JetStream: {before} became {after}")
    if plan.replay_durable:
        await course.cut()
        await way.stop_gateway()
        way.recent_events, way.park_after_s = plan.small_window, PARK_AFTER_S
        await way.start_gateway()
        await course.connect()
        await course.settled()
        measured.append(await _come_back(course, DURABLE, missed=plan.replay_each, filler=plan.small_window + FILLER))
    return measured


async def _floor(course: Course, plan: Plan) -> Measurement:
    """What was missed, ready and in one write."""
    each, sessions = plan.replay_each, course.sessions
    async with course.spending(settle=False) as spent:
        await course.way.publish(Order(events=each * sessions, rate=0, sessions=sessions, together=each))
        await course.expect(each)
    return Measurement(case=WINDOW, way=course.way.name, values=_values(spent.each(each * sessions), each))


async def _deliver(course: Course, each: int) -> None:
    """So many events to each live session, acknowledged."""
    await course.way.publish(Order(events=each * course.sessions, rate=1_000, sessions=course.sessions))
    await course.expect(each)
    await asyncio.sleep(SETTLE_S)


async def _come_back(course: Course, case: str, *, missed: int = 0, filler: int = 0) -> Measurement:
    """All vanish, events go on, all come back; measured from their first frames on. Sockets and TLS are not in it."""
    way, sessions = course.way, course.sessions
    await course.cut()
    if isinstance(way, Tidewire):
        # what the durable replay finds is a session at rest, with its durable in its place
        await (way.quiet(course.patience_s, 0) if filler else way.empty(course.patience_s))
    if missed:
        await way.publish(Order(events=missed * sessions, rate=0, sessions=sessions))
    if filler:
        await way.publish(Order(events=filler, rate=0, unread=True))
    await course.open()
    await asyncio.sleep(SETTLE_S)
    async with course.spending() as spent:
        await course.hello()
        await course.expect(missed)
    return Measurement(case=case, way=way.name, values=_values(spent.each(max(1, missed) * sessions), max(1, missed)))


def _values(each: dict[str, float], missed: int) -> dict[str, float]:
    """Per event and per session. For a session that missed nothing, per session is all there is."""
    per_session = {
        f"{name.removesuffix('_us')}_ms_a_session": us * missed / 1e3
        for name, us in each.items()
        if name.endswith("_us")
    }
    return per_session if missed == 1 else each | per_session

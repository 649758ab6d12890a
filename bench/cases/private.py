"""Shell: each event to one session of many: what it costs the process with the sockets, and nats-server behind it.

At a trickle, where every event comes alone and each process sleeps between two, with and without acknowledgements; and
at saturation, where events come as fast as they are stored and still each has a write of its own. What nats-server
spends on storing events that nobody reads is part of every figure of it, and stands beside; so does, for the trickle,
what it spends when one plain subscription reads each event: nothing that reads them as they come can cost it less.
"""

from bench.cases.course import Course, attempt, each_way, running
from bench.cases.plain_nats import plain_nats
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import cpu_s
from bench.way import Order, Site, Way
from bench.ways.jetstream import JetStream

CASE = "private"
ACKED = "private acked"
"""The same, where each client acknowledges each event."""
SATURATED = "private at saturation"
"""As fast as events are stored."""
STORING = "publishing"
"""The way's name of what nats-server spends on events that nobody reads."""
READING = "plain subscription"
"""The way's name of what it spends when one subscription of plain NATS reads each event."""


async def private(site: Site, plan: Plan) -> list[Measurement]:
    """The floor's single writes, Tidewire, and a consumer for each session at a rate that it can follow."""

    async def one(way: Way) -> list[Measurement]:
        per_session = way.name == "per-session"
        rate = plan.per_session_rate if per_session else plan.private_rate
        events = plan.per_session_events if per_session else plan.private_events
        async with running(site, plan, way, plan.private_sessions) as course:
            return [
                await _deliver(course, events, rate, CASE),
                await _deliver(course, events, rate, ACKED),
                await _deliver(course, events if per_session else plan.private_burst, 0, SATURATED),
            ]

    measured = await each_way(site, plan, CASE, ("floor", "tidewire", "per-session"), one)
    measured += await attempt(CASE, STORING, _storing(site, plan))
    return measured + await attempt(CASE, READING, _reading(site, plan))


async def _deliver(course: Course, events: int, rate: int, case: str) -> Measurement:
    """Events to each session in turn. Each must get the same number, for the count of the load client."""
    each = max(1, events // course.sessions)
    await course.acks(each=1 if case == ACKED else 0)
    async with course.spending() as spent:
        await course.way.publish(Order(events=each * course.sessions, rate=rate, sessions=course.sessions))
        latencies = await course.expect(each)
    values = spent.each(each * course.sessions)
    if course.way.name != "floor" and rate:
        values |= latencies
    return Measurement(case=case, way=course.way.name, values=values)


async def _storing(site: Site, plan: Plan) -> list[Measurement]:
    jetstream = JetStream(site)
    try:
        await jetstream.start()
        measured = []
        trickle, burst = (plan.private_events, plan.private_rate), (plan.private_burst, 0)
        for case, (events, rate) in ((CASE, trickle), (SATURATED, burst)):
            order = Order(events=events, rate=rate, unread=True)
            measured.append(await _broker(jetstream, order, case, STORING))
        return measured
    finally:
        await jetstream.stop()


async def _reading(site: Site, plan: Plan) -> list[Measurement]:
    async with plain_nats(site) as (jetstream, _):
        order = Order(events=plan.private_events, rate=plan.private_rate, sessions=plan.private_sessions)
        return [await _broker(jetstream, order, CASE, READING)]


async def _broker(jetstream: JetStream, order: Order, case: str, way: str) -> Measurement:
    before_s = cpu_s(jetstream.pid())
    await jetstream.publish(order)
    spent_s = cpu_s(jetstream.pid()) - before_s
    return Measurement(case=case, way=way, values={"broker_us": spent_s / order.events * 1e6})

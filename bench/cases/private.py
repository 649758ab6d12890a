"""Shell: each event to one session of many: what it costs the process with the sockets, and nats-server behind it."""

from bench.cases.course import Course, attempt, each_way, running
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import cpu_s
from bench.way import Order, Site, Way
from bench.ways.jetstream import JetStream

CASE = "private"
ACKED = "private acked"
"""The same, where each client acknowledges each event."""
STORING = "publishing"
"""The way's name of what nats-server spends on events that nobody reads: it is part of every ``broker_us``."""


async def private(site: Site, plan: Plan) -> list[Measurement]:
    """The floor's single writes, Tidewire, and a consumer for each session at a rate that it can follow."""

    async def one(way: Way) -> list[Measurement]:
        per_session = way.name == "per-session"
        rate = plan.per_session_rate if per_session else plan.private_rate
        events = plan.per_session_events if per_session else plan.private_events
        async with running(site, plan, way, plan.private_sessions) as course:
            return [await _deliver(course, events, rate, acked=acked) for acked in (False, True)]

    # thousands of consumers take long to make, and cost so much more that one run is enough
    names = ("floor", "tidewire", "per-session") if plan.run == 1 else ("floor", "tidewire")
    measured = await each_way(site, plan, CASE, names, one)
    return measured + await attempt(CASE, STORING, _storing(site, plan))


async def _deliver(course: Course, events: int, rate: int, *, acked: bool) -> Measurement:
    """Events to each session in turn. Each must get the same number, for the count of the load client."""
    each = max(1, events // course.sessions)
    await course.acks(each=1 if acked else 0)
    async with course.spending() as spent:
        await course.way.publish(Order(events=each * course.sessions, rate=rate, sessions=course.sessions))
        latencies = await course.expect(each)
    values = spent.each(each * course.sessions)
    if course.way.name != "floor":
        values |= latencies
    return Measurement(case=ACKED if acked else CASE, way=course.way.name, values=values)


async def _storing(site: Site, plan: Plan) -> list[Measurement]:
    jetstream = JetStream(site)
    try:
        await jetstream.start()
        before_s = cpu_s(jetstream.pid())
        await jetstream.publish(Order(events=plan.private_events, rate=plan.private_rate, unread=True))
        spent_s = cpu_s(jetstream.pid()) - before_s
    finally:
        await jetstream.stop()
    return [Measurement(case=CASE, way=STORING, values={"broker_us": spent_s / plan.private_events * 1e6})]

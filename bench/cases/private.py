"""Shell: each event to one session of many: what it costs the process with the sockets, and nats-server behind it.

At a trickle, where every event comes alone and each process sleeps between two, with and without acknowledgements; and
at saturation, where events come as fast as they are stored and still each has a write of its own. What nats-server
spends on storing events that nobody reads is part of every figure of it, and stands beside; so does, for the trickle,
what it spends when one plain subscription reads each event: nothing that reads them as they come can cost it less.

The gateway's recent window holds what one turn publishes, and is full from the second on, as that of any gateway which
has run for a while: while it grows, each event pays for memory that the machine hands out for the first time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from bench.cases.course import Course, running
from bench.cases.plain_nats import Plain, plain_nats
from bench.cases.turns import by_turns, courses, turning
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import cpu_s
from bench.way import Order, Site
from bench.ways.jetstream import JetStream
from bench.ways.tidewire import Tidewire

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
    """The floor's single writes, Tidewire, and nats-server alone by turns; then a consumer for each session, slower."""
    turns, rate = plan.turns, plan.private_rate
    trickle, burst = plan.private_events // turns, plan.private_burst // turns
    deliver = partial(_each_case, events=trickle, rate=rate, burst=burst)
    slower = partial(
        _each_case, events=plan.per_session_events, rate=plan.per_session_rate, burst=plan.per_session_events
    )

    async def store(jetstream: JetStream) -> list[Measurement]:
        return [
            await _broker(jetstream, Order(events=events, rate=pace, unread=True), case, STORING)
            for case, events, pace in ((CASE, trickle, rate), (SATURATED, burst, 0))
        ]

    async def read(plain: Plain) -> list[Measurement]:
        order = Order(events=trickle, rate=rate, sessions=plan.private_sessions)
        return [await _broker(plain.jetstream, order, CASE, READING)]

    stands = courses(site, plan, ("floor",), plan.private_sessions, deliver)
    if plan.takes("tidewire"):
        way = Tidewire(site, recent_events=2 * trickle + burst)
        stands["tidewire"] = turning(running(site, plan, way, plan.private_sessions), deliver)
    stands |= {STORING: turning(storing(site), store), READING: turning(plain_nats(site), read)}
    measured = await by_turns(CASE, stands, turns)
    return measured + await by_turns(CASE, courses(site, plan, ("per-session",), plan.private_sessions, slower), 1)


async def _each_case(course: Course, *, events: int, rate: int, burst: int) -> list[Measurement]:
    cases = (CASE, events, rate), (ACKED, events, rate), (SATURATED, burst, 0)
    return [await _deliver(course, count, pace, case) for case, count, pace in cases]


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


@asynccontextmanager
async def storing(site: Site) -> AsyncIterator[JetStream]:
    """A nats-server whose events nobody reads."""
    jetstream = JetStream(site)
    try:
        await jetstream.start()
        yield jetstream
    finally:
        await jetstream.stop()


async def _broker(jetstream: JetStream, order: Order, case: str, way: str) -> Measurement:
    before_s = cpu_s(jetstream.pid())
    await jetstream.publish(order)
    spent_s = cpu_s(jetstream.pid()) - before_s
    return Measurement(case=case, way=way, values={"broker_us": spent_s / order.events * 1e6})

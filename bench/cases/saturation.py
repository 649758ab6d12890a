"""Shell: one subject that everyone reads, as fast as it goes: what a delivery costs that shares its write."""

from bench.cases.broadcast import ACK_EACH
from bench.cases.course import Course, each_way, running
from bench.measurement import Measurement
from bench.plan import Plan
from bench.way import Order, Site, Way

CASE = "saturation"
TEN = "saturation, ten at a time"
"""Ten events, and the next ten when every device has them: the same batch for all who make one of it."""
TOGETHER = 10
WAYS = ("tidewire", "floor", "centrifugo", "nats-websocket")
"""Tidewire first: the floor then writes as many events at once as Tidewire did."""


async def saturation(site: Site, plan: Plan) -> list[Measurement]:
    """Clients acknowledge now and then where the protocol knows acknowledgements; so the floor's do, too."""
    batches = [1]

    async def one(way: Way) -> list[Measurement]:
        async with running(site, plan, way, plan.sessions, shared=True) as course:
            await course.acks(each=ACK_EACH)
            if way.name == "floor":
                measured = [await _rounds(course, plan, CASE, batches[-1]), await _rounds(course, plan, TEN, TOGETHER)]
            else:
                measured = [await _flood(course, plan), await _rounds(course, plan, TEN, TOGETHER)]
        if way.name == "tidewire":
            batches.append(max(1, round(measured[0].values["events_per_write"])))
        return measured

    return await each_way(site, plan, CASE, WAYS, one)


async def _flood(course: Course, plan: Plan) -> Measurement:
    """All at once: the publisher does not wait, and the window of a client is what holds a gateway back."""
    events = plan.saturation_events
    await course.broadcast(TOGETHER)
    before = await course.writes()
    async with course.spending() as spent:
        await course.way.publish(Order(events=events, rate=0))
        await course.expect(events)
    return await _measured(course, CASE, spent.each(events * course.sessions), events, before)


async def _rounds(course: Course, plan: Plan, case: str, together: int) -> Measurement:
    """So many events at once, and the next when every device has them."""
    rounds = max(1, plan.saturation_events // together)
    await course.broadcast(together)
    before = await course.writes()
    async with course.spending() as spent:
        for _ in range(rounds):
            await course.broadcast(together)
    events = rounds * together
    return await _measured(course, case, spent.each(events * course.sessions), events, before)


async def _measured(course: Course, case: str, values: dict[str, float], events: int, before: int) -> Measurement:
    writes = await course.writes() - before
    more = {"events_per_write": events * course.sessions / writes, "per_core": 1e6 / values["server_us"]}
    return Measurement(case=case, way=course.way.name, values=values | more)

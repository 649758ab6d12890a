"""Shell: how long an event takes from its publisher to its client, at half of what can be done at all and when idle.

Beside it a plain NATS subscription: one process in nats-py on the same core, for the same publisher, at the same rate.
"""

from bench.cases.course import Course, attempt, each_way, running
from bench.cases.plain_nats import plain_nats
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import cpu_s
from bench.progress import say
from bench.way import Order, Site, Way
from bench.ways.tidewire import Tidewire

CASE = "latency"
IDLE = "latency when idle"
"""One event a second in all."""
PLAIN = "plain subscription"
"""The way's name of what NATS does without us."""
IDLE_SESSIONS = 12
"""Sessions, and seconds: each gets one event."""
PROBE_RATE = 2_000
"""Events a second at which it is first seen what one costs."""
PROBE_EACH = 4
RATE_MOST = 20_000


async def latency(site: Site, plan: Plan) -> list[Measurement]:
    """Tidewire at half of its saturation; then the plain subscription at the rate that was found."""
    rates: list[int] = []

    async def one(way: Way) -> list[Measurement]:
        assert isinstance(way, Tidewire), "the only one"
        async with running(site, plan, way, plan.sessions) as course:
            rate = await _half_of_saturation(course, way)
            rates.append(rate)
            each = max(1, round(rate * plan.latency_s / plan.sessions))
            say(f"{CASE}: {rate} events/s")
            await way.publish(Order(events=each * plan.sessions, rate=rate, sessions=plan.sessions))
            values = await course.expect(each) | {"rate": float(rate)}
        note = "the rate is half of what the busier core can do, the gateway's or that of everything else"
        return [Measurement(case=CASE, way=way.name, values=values, note=note)]

    async def idle(_: Way) -> list[Measurement]:
        way = Tidewire(site)
        async with running(site, plan, way, IDLE_SESSIONS) as course:
            await way.publish(Order(events=IDLE_SESSIONS, rate=1, sessions=IDLE_SESSIONS))
            return [Measurement(case=IDLE, way=way.name, values=await course.expect(1))]

    measured = await each_way(site, plan, CASE, ("tidewire",), one)
    measured += await each_way(site, plan, IDLE, ("tidewire",), idle)
    for rate in rates:
        measured += await attempt(CASE, PLAIN, _plain(site, plan, rate))
    return measured


async def _half_of_saturation(course: Course, way: Tidewire) -> int:
    """Half of the events a second that the busier core can do: the gateway's, or that of everything else."""
    others = [course.load.pid, *way.jetstream.pids()]
    events = PROBE_EACH * course.sessions
    before_s = sum(map(cpu_s, others))
    async with course.spending(settle=False) as spent:
        await way.publish(Order(events=events, rate=PROBE_RATE, sessions=course.sessions))
        await course.expect(PROBE_EACH)
    busier_s = max(spent.server_s, sum(map(cpu_s, others)) - before_s)
    return min(RATE_MOST, int(0.5 * events / busier_s))


async def _plain(site: Site, plan: Plan, rate: int) -> list[Measurement]:
    async with plain_nats(site) as (jetstream, subscriber):
        measured = []
        busy, idle = (round(rate * plan.latency_s), rate, plan.sessions), (IDLE_SESSIONS, 1, IDLE_SESSIONS)
        for case, (events, speed, sessions) in ((CASE, busy), (IDLE, idle)):
            await jetstream.publish(Order(events=events, rate=speed, sessions=sessions))
            values = await subscriber.ask(plan.patience_s, do="expect", events=events, within_s=plan.patience_s - 5)
            measured.append(Measurement(case=case, way=PLAIN, values=values | {"rate": float(speed)}))
        return measured

"""Shell: how long an event takes from its publisher to its client, at half of what can be done at all and when idle.

Beside it a plain NATS subscription: one process in nats-py on the same core, for the same publisher, at the same rate.
"""

from bench.cases.course import Course
from bench.cases.plain_nats import Plain, plain_nats
from bench.cases.turns import by_turns, courses, turning
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import Failed, cpu_s
from bench.progress import say
from bench.way import Order, Site
from bench.ways.tidewire import Tidewire

CASE = "latency"
IDLE = "latency when idle"
"""One event a second in all."""
PLAIN = "plain subscription"
"""The way's name of what NATS does without us."""
IDLE_SESSIONS = 12
QUIET = Order(events=IDLE_SESSIONS, rate=1, sessions=IDLE_SESSIONS)
"""Each session gets one event, one after the other."""
PROBE_RATE = 2_000
"""Events a second at which it is first seen what one costs."""
PROBE_EACH = 4
RATE_MOST = 20_000


async def latency(site: Site, plan: Plan) -> list[Measurement]:
    """Tidewire at half of its saturation, by turns with the plain subscription at the same rate; then idle."""
    found: list[Order] = []

    async def busy(course: Course) -> list[Measurement]:
        if not found:
            rate = await _half_of_saturation(course)
            each = max(1, round(rate * plan.latency_s / plan.turns / plan.sessions))
            found.append(Order(events=each * plan.sessions, rate=rate, sessions=plan.sessions))
            say(f"{CASE}: {rate} events/s")
        return await _ours(course, CASE, found[0])

    async def plain_busy(plain: Plain) -> list[Measurement]:
        if not found:
            raise Failed("no rate was found")
        return await _plain(plain, plan, CASE, found[0])

    async def idle(course: Course) -> list[Measurement]:
        return await _ours(course, IDLE, QUIET)

    async def plain_idle(plain: Plain) -> list[Measurement]:
        return await _plain(plain, plan, IDLE, QUIET)

    measured = []
    for case, sessions, ours, theirs, turns in (
        (CASE, plan.sessions, busy, plain_busy, plan.turns),
        (IDLE, IDLE_SESSIONS, idle, plain_idle, 1),
    ):
        if stands := courses(site, plan, ("tidewire",), sessions, ours):
            measured += await by_turns(case, stands | {PLAIN: turning(plain_nats(site), theirs)}, turns)
    return measured


async def _ours(course: Course, case: str, order: Order) -> list[Measurement]:
    await course.way.publish(order)
    values = await course.expect(order.events // course.sessions) | {"rate": float(order.rate)}
    note = "the rate is half of what the busier core can do, the gateway's or that of everything else"
    return [Measurement(case=case, way=course.way.name, values=values, note=note if case == CASE else "")]


async def _plain(plain: Plain, plan: Plan, case: str, order: Order) -> list[Measurement]:
    await plain.jetstream.publish(order)
    patience_s = plan.patience_s
    asked = {"events": order.events, "within_s": patience_s - 5}
    values = await plain.subscriber.ask(patience_s, do="expect", **asked) | {"rate": float(order.rate)}
    return [Measurement(case=case, way=PLAIN, values=values)]


async def _half_of_saturation(course: Course) -> int:
    """Half of the events a second that the busier core can do: the gateway's, or that of everything else."""
    way = course.way
    assert isinstance(way, Tidewire), "the only one"
    others = [course.load.pid, *way.jetstream.pids()]
    events = PROBE_EACH * course.sessions
    before_s = sum(map(cpu_s, others))
    async with course.spending(settle=False) as spent:
        await way.publish(Order(events=events, rate=PROBE_RATE, sessions=course.sessions))
        await course.expect(PROBE_EACH)
    busier_s = max(spent.server_s, sum(map(cpu_s, others)) - before_s)
    return min(RATE_MOST, int(0.5 * events / busier_s))

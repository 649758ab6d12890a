"""Shell: how long an event takes from its publisher to its client, at half of what can be done at all and when idle.

Beside it a plain NATS subscription: one process in nats-py on the same core, for the same publisher, at the same rate.
"""

import contextlib
from collections.abc import AsyncIterator

import msgspec

from bench.cases.course import Course, attempt, each_way, running
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import Child, cpu_s
from bench.progress import say
from bench.way import Order, Site, Way
from bench.ways.jetstream import JetStream
from bench.ways.tidewire import Tidewire
from mesh.embedded import EmbeddedServer, default_config

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
    async with _subscriber(site) as (jetstream, subscriber):
        measured = []
        busy, idle = (round(rate * plan.latency_s), rate, plan.sessions), (IDLE_SESSIONS, 1, IDLE_SESSIONS)
        for case, (events, speed, sessions) in ((CASE, busy), (IDLE, idle)):
            await jetstream.publish(Order(events=events, rate=speed, sessions=sessions))
            values = await subscriber.ask(plan.patience_s, do="expect", events=events, within_s=plan.patience_s - 5)
            measured.append(Measurement(case=case, way=PLAIN, values=values | {"rate": float(speed)}))
        return measured


@contextlib.asynccontextmanager
async def _subscriber(site: Site) -> AsyncIterator[tuple[JetStream, Child]]:
    """A nats-server whose gateway user may read events without JetStream, and the process that does."""
    jetstream = JetStream(site)
    config = jetstream.folder / "nats-plain.conf"
    text = default_config().read_text(encoding="utf-8")
    config.write_text(text.replace('"_INBOX_gw.>"', '"_INBOX_gw.>", $ORDERS_SUBJECTS'), encoding="utf-8")
    jetstream.nats = EmbeddedServer(msgspec.structs.replace(jetstream.nats.settings, config=config))
    subscriber = Child("bench.plain_subscriber", on=site.measured_on, log=jetstream.folder / "subscriber.log")
    try:
        await jetstream.start()
        await subscriber.start()
        password = jetstream.nats.password("gateway").reveal()
        await subscriber.ask(30, do="subscribe", url=jetstream.nats.url, password=password)
        yield jetstream, subscriber
    finally:
        await subscriber.stop()
        await jetstream.stop()

"""Shell: a crowd comes back that was away for longer than the recent window reaches.

The crowd are parked sessions, written straight into the cursor bucket (`bench/parked.py`): their clients know nothing
and say ``connect`` without a position, and each missed as many events as in a storm. The window is so small that it
holds none of what they begin with. Beside it stands the time that one reader needs to read what they missed once, on
the gateway's core, before the gateway starts.
"""

from bench.api_queue import ApiQueue, drops
from bench.cases.course import Course, each_way, running
from bench.cases.crowd import come_back, handshakes, step_back
from bench.cases.turns import merged
from bench.measurement import Measurement
from bench.parked import owner_of, park, parked, record_of
from bench.plan import Plan
from bench.process import Child, Failed
from bench.progress import say
from bench.way import Order, Site, Way
from bench.ways.jetstream import BUCKET, STREAM, JetStream, linked, stream_info
from bench.ways.tidewire import Tidewire, value

CASE = "absence"


async def absence(site: Site, plan: Plan) -> list[Measurement]:
    """The floor's bare handshakes before and after Tidewire."""

    async def one(way: Way) -> list[Measurement]:
        if isinstance(way, Tidewire):
            jetstream = JetStream(site, monitored=True)
            return [await _tidewire(site, plan, Tidewire(site, recent_events=plan.small_window, jetstream=jetstream))]
        return [await handshakes(site, plan, way, CASE)]

    return merged(await each_way(site, plan, CASE, ("floor", "tidewire", "floor"), one))


async def _tidewire(site: Site, plan: Plan, way: Tidewire) -> Measurement:
    async with running(site, plan, way, plan.crowd, connect=False) as course:
        nats = way.jetstream.nats
        await leave_parked(course, way, plan.crowd)
        first = (await stream_info(nats)).state.last_seq + 1
        say(f"absence: {plan.crowd * plan.crowd_missed} events while {plan.crowd} sessions are parked")
        await way.publish(Order(events=plan.crowd * plan.crowd_missed, rate=0, sessions=plan.crowd))
        last = (await stream_info(nats)).state.last_seq
        async with Child("bench.stored_range", on=site.measured_on, log=way.jetstream.folder / "range.log") as reader:
            asked = {"url": nats.url, "password": nats.password("gateway").reveal()}
            once = await reader.ask(plan.patience_s, do="read", stream=STREAM, first=first, last=last, **asked)
        await way.start_gateway()
        before = await way.consumer_calls()
        step_back(course.load)
        say(f"absence: {plan.crowd} sessions come back at once, {last - first + 1} events are read once")
        async with ApiQueue(nats) as queue, course.spending() as spent:
            told = await come_back(course, plan, way.port, due=plan.crowd_missed)
        await course.expect(plan.crowd_missed)
        if dropped := drops(nats.log_file):
            raise Failed(f"nats-server dropped requests or messages: {dropped[0]}")
        made = sum((await way.consumer_calls()).values()) - sum(before.values())
        return Measurement(
            case=CASE,
            way="tidewire",
            values=told
            | {
                "read_once_s": once["seconds"],
                "server_ms": spent.server_s / plan.crowd * 1e3,
                "server_busy": spent.server_s / spent.seconds,
                "broker_ms": spent.broker_s / plan.crowd * 1e3,
                "consumer_calls": float(made),
                "api_queue": float(queue.longest),
                "sweeps": value(await way.metrics(), "tidewire_sweeps_total"),
            },
        )


async def leave_parked(course: Course, way: Tidewire, sessions: int) -> None:
    """Let device 0 come and go, stop the gateway, and write what would be left of so many sessions that did the same.

    The gateway must run, and knows nothing of the crowd afterwards: it is stopped.
    """
    await course.connect(0, 1)
    await course.cut()
    await way.stop_gateway()
    async with linked(way.jetstream.nats, "gateway") as link:
        left = await record_of(link, BUCKET, owner_of(0))
        await park(link, BUCKET, parked(left, 1, sessions))

"""Shell: one subject that everyone reads, one event at a time: what a delivery with a write of its own costs."""

from bench.cases.course import each_way, running
from bench.measurement import Measurement
from bench.plan import Plan
from bench.way import Site, Way
from bench.ways import WAYS

CASE = "broadcast"
ACKED = "broadcast acked"
"""The same, where each client acknowledges each event."""
ALWAYS_ACKED = {"mosquitto"}
"""Ways whose protocol acknowledges each event by nature (QoS 1): their one figure is compared with acked ones."""
ACK_EACH = 50
"""Events for one cumulative acknowledgement, as our client packages gather them (``ACK_EVENTS``)."""
WARM = 3
"""Events before the first that counts."""


async def broadcast(site: Site, plan: Plan) -> list[Measurement]:
    """All ways; those that speak Tidewire's protocol without and with an acknowledgement of each event."""

    async def one(way: Way) -> list[Measurement]:
        measured: list[Measurement] = []
        events = plan.broadcast_events // 4 if way.name == "per-session" else plan.broadcast_events  # it is the slowest
        async with running(site, plan, way, plan.sessions, shared=True) as course:
            for acked in (False, True) if way.dialect == "tidewire" else (way.name in ALWAYS_ACKED,):
                await course.acks(each=1 if acked else ACK_EACH)
                await course.one_by_one(WARM)
                async with course.spending() as spent:
                    await course.one_by_one(events)
                values = spent.each(events * plan.sessions)
                measured.append(Measurement(case=ACKED if acked else CASE, way=way.name, values=values))
        return measured

    # a consumer for each session takes as long as all the others together
    names = WAYS if plan.run == 1 else [name for name in WAYS if name != "per-session"]
    return await each_way(site, plan, CASE, names, one)

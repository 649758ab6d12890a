"""Shell: one subject that everyone reads, one event at a time: what a delivery with a write of its own costs."""

from bench.cases.course import Course
from bench.cases.turns import by_turns, courses
from bench.measurement import Measurement
from bench.plan import Plan
from bench.way import Site, Way
from bench.ways import WAYS

CASE = "broadcast"
ACKED = "broadcast acked"
"""The same, where each client acknowledges each event."""
GATHERED = "broadcast, acks gathered"
"""The same, where each client acknowledges as our packages do: after ``ACK_EACH`` events or ``ACK_WITHIN_S``."""
ALWAYS_ACKED = {"mosquitto"}
"""Ways whose protocol acknowledges each event by nature (QoS 1)."""
ACK_EACH = 50
"""Events for one cumulative acknowledgement (``ACK_EVENTS`` of our client packages)."""
ACK_WITHIN_S = 0.25
"""Seconds within which our client packages acknowledge what they have."""
ACKS = {CASE: (ACK_EACH, 0.0), GATHERED: (ACK_EACH, ACK_WITHIN_S), ACKED: (1, 0.0)}
"""How clients acknowledge in each case; in the first seldom enough to cost nothing, and the window stays open."""
WARM = 3
"""Events before the first that counts, in each turn."""
SLOWEST = "per-session"
"""A way that takes longer than all others together: it has one turn of its own, in the first run."""


async def broadcast(site: Site, plan: Plan) -> list[Measurement]:
    """All ways by turns; those that speak Tidewire's protocol with each way of acknowledging."""

    async def turn(course: Course) -> list[Measurement]:
        return [await _deliver(course, plan.broadcast_events // plan.turns, case) for case in _cases(course.way)]

    names = [name for name in WAYS if name != SLOWEST]
    measured = await by_turns(CASE, courses(site, plan, names, plan.sessions, turn, shared=True), plan.turns)
    if plan.slowest_broadcast and plan.run == 1:
        measured += await by_turns(CASE, courses(site, plan, [SLOWEST], plan.sessions, turn, shared=True), 1)
    return measured


def _cases(way: Way) -> tuple[str, ...]:
    """The cases that a way's protocol allows."""
    if way.dialect == "tidewire":
        return tuple(ACKS)
    return (ACKED,) if way.name in ALWAYS_ACKED else (CASE,)


async def _deliver(course: Course, events: int, case: str) -> Measurement:
    each, within_s = ACKS[case]
    await course.acks(each=each, within_s=within_s)
    await course.one_by_one(WARM)
    async with course.spending() as spent:
        await course.one_by_one(events)
    return Measurement(case=case, way=course.way.name, values=spent.each(events * course.sessions))

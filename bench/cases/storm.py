"""Shell: a gateway is killed, and all of its sessions come back at once, to the worker that is left.

Three workers of one deployment: the *lost* one has the crowd, and is killed; the *survivor* has live sessions of its
own, and takes the whole crowd, on the one core that is measured; *another* has live sessions, too, and takes nobody.
Each has a port of its own, so that it is known where a session is. Events to the live sessions of the two go on
meanwhile; one to each of the crowd, when it is back, shows that all of it is live. What they are held against are those
before the storm, once the durables of the new sessions are placed, which keeps nats-server busy.

The survivor and not a new worker, because that is what happens: clients are back within a second, while a new worker
reads its window first. Beside it stands the time that the same clients need for TLS and the upgrade alone, with a
server that does nothing else. ``server_busy`` is the share of its core that the survivor used: well below 1, it was the
machine that kept the crowd, whose clients share the other core with nats-server and a publisher.
"""

import os
import signal
import time

import msgspec

from bench.cases.course import Course, each_way, running
from bench.cases.crowd import come_back, handshakes, step_back
from bench.cases.turns import merged
from bench.cases.watched import Watched, watched
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import cpu_s
from bench.progress import say
from bench.way import Order, Site, Way
from bench.ways.tidewire import Tidewire, value

CASE = "storm"
QUIET_ROUNDS = 4
"""Rounds of the trickle before the storm."""
AGAIN_RATE = 2_000
"""Events a second to the crowd once it is back: one for each."""
RIVALS = "centrifugo", "centrifugo-redis"
"""Ways whose clients recover what they missed, measured in the first run. Theirs is the lighter storm: see ``_cut``."""


async def storm(site: Site, plan: Plan) -> list[Measurement]:
    """The floor's bare handshakes before and after Tidewire, and rivals that recover."""

    async def one(way: Way) -> list[Measurement]:
        if isinstance(way, Tidewire):
            return [await _tidewire(site, plan, way)]
        if way.name in RIVALS:
            return [await _cut(site, plan, way)]
        return [await handshakes(site, plan, way, CASE)]

    rivals = RIVALS if plan.run == 1 else ()
    return merged(await each_way(site, plan, CASE, ("floor", "tidewire", "floor", *rivals), one))


async def _cut(site: Site, plan: Plan, way: Way) -> Measurement:
    """A rival's crowd loses its sockets and comes back; its server lives on, and has no live sessions beside it.

    One engine keeps the history in the server's memory, which a kill would empty.
    """
    missed, crowd = plan.crowd_missed, plan.crowd
    async with running(site, plan, way, crowd) as course:
        await course.cut()
        await way.publish(Order(events=crowd * missed, rate=0, sessions=crowd))
        step_back(course.load)
        async with course.spending(settle=False) as spent:
            told = await come_back(course, plan, way.port, due=missed)
        values = {"server_ms": spent.server_s / crowd * 1e3, "server_busy": spent.server_s / spent.seconds}
        note = "cut, not killed, nobody else is live"
        return Measurement(case=CASE, way=way.name, values=told | values, note=note)


async def _tidewire(site: Site, plan: Plan, lost: Tidewire) -> Measurement:
    async with running(site, plan, lost, plan.crowd) as course:
        survivor = Tidewire(site, jetstream=lost.jetstream)
        another = Tidewire(msgspec.structs.replace(site, measured_on=site.rest_on), jetstream=lost.jetstream)
        try:
            await survivor.start_gateway()
            await another.start_gateway()
            ports = [survivor.port, another.port]
            async with watched(site, plan, lost.jetstream, plan.crowd, ports) as live:
                for gateway in (survivor, another):
                    await gateway.quiet(plan.patience_s, plan.watched)
                return await _measure(plan, course, live, lost, survivor)
        finally:
            await another.kill_gateway()
            await survivor.kill_gateway()


async def _measure(plan: Plan, course: Course, live: Watched, lost: Tidewire, survivor: Tidewire) -> Measurement:
    missed, crowd = plan.crowd_missed, plan.crowd
    before = await live.steady(QUIET_ROUNDS)
    say(f"storm: the gateway of {crowd} sessions is killed, {crowd * missed} events while they are away")
    os.kill(lost.servers()[0], signal.SIGSTOP)  # so that it sees nothing of its clients' end: they go with it
    await course.cut()
    await lost.kill_gateway()
    await lost.publish(Order(events=crowd * missed, rate=0, sessions=crowd))
    await survivor.until(lambda text: value(text, "tidewire_feed_lag_events") == 0, plan.patience_s, "the feed")
    calls, nats = await survivor.consumer_calls(), lost.jetstream.pid()
    step_back(course.load)
    server_s, broker_s, begun = cpu_s(survivor.servers()[0]), cpu_s(nats), time.monotonic()
    say(f"storm: {crowd} sessions come back at once")
    told, during = await live.during(come_back(course, plan, survivor.port, due=missed))
    server_s, broker_s = cpu_s(survivor.servers()[0]) - server_s, cpu_s(nats) - broker_s
    seconds = time.monotonic() - begun
    await lost.publish(Order(events=crowd, rate=AGAIN_RATE, sessions=crowd))
    await course.expect(missed + 1)
    made = sum((await survivor.consumer_calls()).values()) - sum(calls.values())
    return Measurement(
        case=CASE,
        way="tidewire",
        values=told
        | {
            "server_ms": server_s / crowd * 1e3,
            "server_busy": server_s / seconds,
            "broker_ms": broker_s / crowd * 1e3,
            "consumer_calls": float(made),
            "survivor_before_p99_ms": before[0]["p99_ms"],
            "survivor_p99_ms": during[0]["p99_ms"],
            "another_before_p99_ms": before[1]["p99_ms"],
            "another_p99_ms": during[1]["p99_ms"],
        },
    )

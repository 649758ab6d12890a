"""Shell: a hundred thousand sessions at rest on one nats-server, and a hundred of them that come back.

They are written straight into the cursor bucket, as a gateway would have left them (`bench/parked.py`).
"""

import asyncio
import time
from pathlib import Path

from bench.cases.absence import leave_parked
from bench.cases.course import Course, each_way, running
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import rss_kb
from bench.progress import say
from bench.way import Order, Site, Way
from bench.ways.jetstream import stream_info
from bench.ways.tidewire import Tidewire

CASE = "sleep"
BLOCK_BYTES = 512
"""What ``st_blocks`` counts: stat(2)."""


async def sleep(site: Site, plan: Plan) -> list[Measurement]:
    """Tidewire alone: memory, disk, the time to stop and to start, and the time to come back."""

    async def one(_: Way) -> list[Measurement]:
        way = Tidewire(site, park_after_s=0.5)
        async with running(site, plan, way, plan.parked_back + 1, connect=False) as course:
            return [await _measure(plan, way, course)]

    return await each_way(site, plan, CASE, ("tidewire",), one)


async def _measure(plan: Plan, way: Tidewire, course: Course) -> Measurement:
    nats, store = way.jetstream.nats, way.jetstream.nats.settings.state_dir / "store"
    before_kb, before_bytes, begun = rss_kb(way.jetstream.pid()), await _disk_bytes(store), time.monotonic()
    say(f"sleep: {plan.parked} sessions are parked")
    await leave_parked(course, way, plan.parked)
    written_s, written_kb = time.monotonic() - begun, rss_kb(way.jetstream.pid())
    say("sleep: nats-server stops and starts")
    begun = time.monotonic()
    await nats.stop()
    stopped_s, begun = time.monotonic() - begun, time.monotonic()
    await nats.start()
    started_s, begun = time.monotonic() - begun, time.monotonic()
    await way.start_gateway()
    ready_s = time.monotonic() - begun
    values = {
        "write_s": written_s,
        "nats_before_kb": float(before_kb),
        "nats_written_kb": float(written_kb),
        "nats_started_kb": float(rss_kb(way.jetstream.pid())),
        "disk_mb": (await _disk_bytes(store) - before_bytes) / 1e6,
        "stop_s": stopped_s,
        "start_s": started_s,
        "ready_s": ready_s,
    }
    say(f"sleep: {plan.parked_back} of them come back, one after the other, to one event each")
    await way.publish(Order(events=plan.parked_back, rate=0, first=1, sessions=plan.parked_back))
    await course.load.ask(10, do="target", port=way.port)
    asked = {"first": 1, "last": plan.parked_back + 1, "at_once": 1, "due": 1, "bare": False}
    told = await course.load.ask(plan.patience_s, do="come back", within_s=plan.patience_s - 5, **asked)
    awake = (await stream_info(nats)).state.consumer_count
    await course.cut()
    await way.quiet(plan.patience_s, 0)
    asleep = (await stream_info(nats)).state.consumer_count
    values |= {"p50_ms": told["each_p50_ms"], "p99_ms": told["each_p99_ms"]}
    return Measurement(
        case=CASE,
        way="tidewire",
        values=values | {"consumers": float(awake), "consumers_parked": float(asleep)},
        note="a session that has come and gone has a durable for a day",
    )


async def _disk_bytes(folder: Path) -> int:
    def count() -> int:
        return sum(path.stat().st_blocks * BLOCK_BYTES for path in folder.rglob("*") if path.is_file())

    return await asyncio.to_thread(count)

"""One run: faults by the schedule with calm stretches in between, then everybody catches up, then the judgement."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from tests.chaos import faults_clients, faults_processes, faults_stream
from tests.chaos.judge import Silence, Verdict, judge, silence
from tests.chaos.report import Figures, keep_traces
from tests.chaos.schedule import deal
from tests.chaos.source import read_stream
from tests.chaos.world import World, running_world
from tests.until import until

Fault = Callable[[World], Awaitable[None]]

FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        faults_processes.gateway_kill,
        faults_processes.gateway_stop,
        faults_processes.gateways_rolling,
        faults_processes.server_kill,
        faults_processes.server_stop,
        faults_processes.servers_rolling,
        faults_processes.step_down,
        faults_processes.api_flood,
        faults_processes.full_disk,
        faults_clients.cuts,
        faults_clients.latency,
        faults_clients.stalls,
        faults_clients.upstream,
        faults_clients.clock,
        faults_clients.crash,
        faults_clients.takeover,
        faults_clients.crowd,
        faults_stream.purge,
        faults_stream.deletes,
        faults_stream.recreate,
        faults_stream.copy,
        faults_stream.restore,
    )
}
ON_LINKS = ("cuts", "latency", "stalls")
"""What may go on while any other fault is active."""
BESIDE = ("gateway_kill", "gateway_stop", "step_down", "upstream", *ON_LINKS)
"""What may go on while one of these is active, that leaves gateways and leaders alone."""
LEAVES_THEM_ALONE = (
    "server_kill",
    "api_flood",
    "full_disk",
    "crash",
    "takeover",
    "crowd",
    "purge",
    "deletes",
    "recreate",
)
LIVE_WITHIN_S = 60.0
"""The longest until everybody is live and has everything, after the last fault."""
SILENT_S = 30.0
"""The longest silence in a calm stretch: a frozen gateway behind a link is left after 15 s, a wait is 4 s at most."""
CALM_S = (2.0, 6.0)


async def run(seconds: float, seed: str, folder: Path, only: Sequence[str] = ()) -> Figures:
    """Run, and judge."""
    kinds = [kind for kind in (*FAULTS, "restore") if not only or kind in only]  # a restore twice: it has most sorts
    figures = Figures(seed=seed, seconds=seconds, load_before=os.getloadavg())
    async with running_world(seed, folder) as world:
        world.tell(f"all {len(world.devices)} devices are there")
        await asyncio.sleep(5.0)
        figures.rss_before_mb = world.rss_mb()
        calm: list[tuple[float, float]] = []
        end_s = time.monotonic() + seconds
        schedule = deal(kinds, seed)
        healed_s = time.monotonic()
        while time.monotonic() < end_s:
            await asyncio.sleep(world.random.uniform(*CALM_S))
            calm.append((healed_s, time.monotonic()))
            await strike(world, next(schedule), figures)
            healed_s = time.monotonic()
            figures.rss_most_mb = max([figures.rss_most_mb, *world.rss_mb()])
        await finish(world, figures)
        figures.violations += gateway_errors(folder)
        calm.append((healed_s, time.monotonic()))
        weigh(world, figures, calm)
        figures.trace = keep_traces(figures.guilty, folder, world.traces.lines)
    return figures


async def strike(world: World, kind: str, figures: Figures) -> None:
    """One fault, sometimes with trouble on the links beside it."""
    candidates = BESIDE if kind in LEAVES_THEM_ALONE else ON_LINKS
    beside = world.random.choice(candidates) if world.random.random() < 0.35 else ""
    figures.faults[kind] = figures.faults.get(kind, 0) + 1
    begun_s = time.monotonic()
    if beside == kind:
        beside = ""
    waiting = asyncio.ensure_future(FAULTS[beside](world)) if beside else None
    try:
        await FAULTS[kind](world)
    except BaseException:
        keep_traces(list(world.traces.lines), world.folder, world.traces.lines)
        raise
    finally:
        if waiting is not None:
            await waiting
            world.counts["faults with another beside"] += 1
    took_s, processed = time.monotonic() - begun_s, world.traces.counts["Done"]
    what = f"{kind} and {beside}" if beside else kind
    world.tell(f"{what}: {took_s:.1f} s; {len(world.oracle.acked_s)} events, {processed} processed")


async def finish(world: World, figures: Figures) -> None:
    """No more faults: everybody comes back and gets the rest."""
    begun_s = time.monotonic()
    for crew in world.crews:
        await crew.tell("stay")
    for crew in world.crews[:2]:
        await crew.tell("back", *(device.name for device in crew.plan.devices if "." not in device.name))
    try:
        await until(lambda: _all_live(world), LIVE_WITHIN_S)
        figures.live_after_s = time.monotonic() - begun_s
        await world.source.pause()
        await read_stream(world.api, world.oracle, whole=True)
        await until(lambda: not world.missing(), LIVE_WITHIN_S)
    except AssertionError:
        states = {name: state for name, state in world.traces.states.items() if state not in ("live", "away")}
        figures.violations.append(f"not all live and complete in time: {states}, missing {world.missing()}")
    await asyncio.sleep(5.0)
    figures.rss_after_mb = world.rss_mb()


def _all_live(world: World) -> bool:
    """Everybody who should be there; of a shared session, one."""
    for device in world.devices:
        name = device.name
        if "." in name:
            session = name.partition(".")[0]
            if not any(world.traces.states.get(f"{session}.{each}") == "live" for each in "ab"):
                return False
        elif world.traces.states.get(name) != "live":
            return False
    return True


def gateway_errors(folder: Path) -> list[str]:
    """What gateways logged as errors: bugs, all of them."""
    return [
        f"a gateway logged: {line[:300]}"
        for log in (folder / "one" / "log", folder / "two" / "log")
        for line in log.read_text(errors="replace").splitlines()
        if " ERROR " in line or line.startswith("Traceback")
    ]


def weigh(world: World, figures: Figures, calm: list[tuple[float, float]]) -> None:
    """Judge every session and add up."""
    oracle, traces = world.oracle, world.traces
    by_session: dict[str, list[str]] = {}
    for device in world.devices:
        by_session.setdefault(device.name.partition(".")[0], []).append(device.name)
    patterns = {device.name: device.patterns for device in world.devices}
    longest = Silence()
    verdicts: list[Verdict] = []
    for session, names in by_session.items():
        lines = [traces.lines[name] for name in names]
        verdicts.append(judge(session, lines, patterns[names[0]], oracle))
        for name in names:
            if "." not in name:
                longest = max(longest, silence(name, traces.lines[name], oracle, calm), key=lambda each: each.seconds)
    figures.take(verdicts, longest, world)
    if longest.seconds > SILENT_S:
        figures.violations.append(f"{longest.name} heard nothing for {longest.seconds:.1f} s until {longest.at_s:.3f}")
    for verdict in verdicts:
        found = [*verdict.lost[:10], *verdict.wrong[:10]]
        if verdict.fell_back:
            found.append(f"{verdict.fell_back} events went with their era, and no gap told it")
        if found:
            figures.violations.append(f"{verdict.session}: {found}")
            figures.guilty += by_session[verdict.session]

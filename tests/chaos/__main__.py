"""Command of the long run: ``python -m tests.chaos --seconds 600 --seed 1``."""

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.chaos.run import FAULTS, run

VIOLATIONS_SHOWN = 12
"""The file of figures has all."""


def main() -> int:
    """Run, print the figures; 1 when anything was wrong."""
    arguments = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    arguments.add_argument("--seconds", type=float, default=600.0, help="how long faults strike")
    arguments.add_argument("--seed", default="1", help="chooses the faults and their order")
    arguments.add_argument("--only", nargs="*", default=[], choices=list(FAULTS), help="these kinds of fault")
    arguments.add_argument("--json", type=Path, help="write the figures there too")
    arguments.add_argument("--folder", type=Path, help="keep stores, logs and traces there (an empty folder)")
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: everything is taken down
    with tempfile.TemporaryDirectory(prefix="tidewire-chaos-") as made:
        folder = given.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(filename=folder / "run.log", format="%(asctime)s %(name)s: %(message)s")
        figures = asyncio.run(run(given.seconds, given.seed, folder, given.only))
    sys.stdout.write(figures.table() + "\n")
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    for violation in figures.violations[:VIOLATIONS_SHOWN]:
        sys.stdout.write(f"VIOLATION {violation}\n")
    if figures.violations:
        again = f"again: python -m tests.chaos --seconds {given.seconds:g} --seed {given.seed}"
        sys.stdout.write(f"{figures.trace}\n{again}\n")
    return 1 if figures.violations else 0


if __name__ == "__main__":
    sys.exit(main())

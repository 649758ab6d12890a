"""The long run: ``python -m tests.fuzz``, coverage guided. ``make fuzz ARGS="--seconds 20 --target token"`` starts it.

Each target runs for ``--seconds`` in a process of its own; ``hostile-frames`` is a gateway under a hundred thousand
frames, however long that takes. Inputs that reached new code are kept in ``build/fuzz`` and
begin the next run. An input that fails a target is written there as well, and the command ends with 1.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.engine import FOLDER
from tests.fuzz.targets import TARGETS

SECONDS = 60
HOSTILE = "hostile-frames"
HOSTILE_FRAMES = 100_000


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the decoders of Tidewire.")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each target")
    parser.add_argument("--target", action="append", choices=[*TARGETS, HOSTILE], help="one of them; may be repeated")
    parser.add_argument("--input", type=Path, help="try one input that failed, with one --target")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    asked = options(arguments)
    names: list[str] = asked.target or [*TARGETS, HOSTILE]
    FOLDER.mkdir(parents=True, exist_ok=True)
    if asked.input is not None:  # raises what the target raised
        TARGETS[names[0]].run(asked.input.read_bytes())
        return 0
    bad = [name for name in names if not (_besiege() if name == HOSTILE else _fuzz(name, asked.seconds))]
    for name in bad:
        if name != HOSTILE:
            _say(f"FAILED: {FOLDER}/failed-{name}-* ; to repeat it: python -m tests.fuzz --target {name} --input FILE")
    _say(f"{len(names) - len(bad)} of {len(names)} targets passed")
    return 1 if bad else 0


def _fuzz(name: str, seconds: int) -> bool:
    command = [sys.executable, "-m", "tests.fuzz.engine", name, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=os.environ)
    stats = dict(line.removeprefix("stat::").split(":", 1) for line in done.stderr.splitlines() if "stat::" in line)
    runs = stats.get("number_of_executed_units", "?").strip()
    _say(f"{name:16} {runs:>9} inputs in {seconds} s: {'passed' if done.returncode == 0 else 'failed'}")
    if done.returncode:
        _say(done.stdout[-2_000:] + done.stderr[-4_000:])
    return done.returncode == 0


def _besiege() -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/system/test_hostile_frames.py"]
    environment = os.environ | {"HOSTILE_FRAMES": str(HOSTILE_FRAMES)}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    _say(f"{HOSTILE:16} {HOSTILE_FRAMES:>9} frames: {'passed' if done.returncode == 0 else 'failed'}")
    if done.returncode:
        _say(done.stdout[-6_000:])
    return done.returncode == 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One target under atheris, in a process of its own: ``python -m tests.fuzz.engine TARGET SECONDS``."""

import importlib.util
import sys
import time
import traceback
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.mutations import mutated

FOLDER = Path("build") / "fuzz"
INPUT_BYTES_MOST = 16_384
"""Longest input that the engine makes; the short run tries the limits."""
ONE_INPUT_S = 5
"""Seconds for one input after which it counts as a failure."""
MEMORY_MB = 1_024
SEEN = ["gateway", "mesh", "replay", "security", "tidewire_client", "tomllib"]
"""Packages of which the engine sees which branches an input takes."""


def main(name: str, seconds: int) -> None:
    """Never returns: the engine ends the process, with 0 when nothing was found."""
    if importlib.util.find_spec("atheris") is None:
        sys.exit(blindly(name, seconds))
    atheris: Any = importlib.import_module("atheris")  # of an extra
    with atheris.instrument_imports(include=SEEN):
        target = importlib.import_module("tests.fuzz.targets").TARGETS[name]
    corpus = FOLDER / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds:
        (corpus / f"seed-{sha256(seed).hexdigest()[:16]}").write_bytes(seed)
    words = FOLDER / f"words-{name}"
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    words.write_text("".join(f'"{line}"\n' for line in lines), "ascii")
    settings = {
        "dict": words,
        "max_total_time": seconds,
        "max_len": min(target.bytes_most, INPUT_BYTES_MOST),
        "timeout": ONE_INPUT_S,
        "rss_limit_mb": MEMORY_MB,
        "artifact_prefix": FOLDER / f"failed-{name}-",
        "print_final_stats": 1,
        "verbosity": 0,
    }
    atheris.Setup(["tests.fuzz", str(corpus), *(f"-{key}={value}" for key, value in settings.items())], target.run)
    atheris.Fuzz()


def blindly(name: str, seconds: int) -> int:
    """Where there is no atheris: mutations of the seeds, whatever code they reach."""
    target = importlib.import_module("tests.fuzz.targets").TARGETS[name]
    random, inputs, ends_s = Random(), 0, time.monotonic() + seconds
    while time.monotonic() < ends_s:
        data = mutated(random.choice(target.seeds), random, target.seeds, target.words)
        inputs += 1
        try:
            target.run(data)
        except Exception:  # noqa: BLE001 - whatever it is, it was not documented
            (FOLDER / f"failed-{name}-{sha256(data).hexdigest()[:16]}").write_bytes(data)
            traceback.print_exc()
            return 1
    sys.stderr.write(f"stat::number_of_executed_units: {inputs}\n")
    return 0


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

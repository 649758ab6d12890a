"""Shell: one worker process, started by ``gateway.supervisor`` as ``python -m gateway.worker``.

Its parent holds the other end of its standard input, so that a worker never outlives a parent that was killed; on its
standard output it says once, as one JSON line, where it listens. It ends on SIGTERM or when its input ends, after a
drain.
"""

import argparse
import asyncio
import gc
import json
import logging
import os
import resource
import signal
import sys
from pathlib import Path

import msgspec
import uvloop

from gateway import logs
from gateway.app import run
from gateway.config import Config
from gateway.config_file import load
from gateway.exits import exit_code
from security.errors import TidewireError

log = logging.getLogger(__name__)

GC_THRESHOLDS = (2_000, 5, 5_000)
"""Python's collector looks for cycles among so many new objects, then among five times as many that are still there:
one and ten milliseconds, while thousands of sessions begin. A full look, for which with thousands of sessions nobody is
served for a second, comes after five thousand of those.
"""


def main() -> int:
    """Run until told to stop; returns the exit code."""
    options = _options()
    try:
        config = load(options.config)
    except TidewireError as error:
        sys.stderr.write(f"{error}\n")
        return exit_code(error)
    config = msgspec.structs.replace(config, listen=msgspec.structs.replace(config.listen, port=options.port))
    logs.start(config.log.level, config.log.format, worker=options.worker)
    if config.profile == "production":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold tokens
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        uvloop.run(_serve(config, options.worker))
    except TidewireError as error:
        log.exception("worker failed")
        return exit_code(error)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m gateway.worker", description="One worker of tidewire serve.")
    parser.add_argument("--config", type=Path, required=True, help="configuration file (TOML)")
    parser.add_argument("--port", type=int, required=True, help="TCP port, shared with other workers")
    parser.add_argument("--worker", type=int, default=0, help="number of this worker, from 0")
    return parser.parse_args()


async def _serve(config: Config, worker: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # passed on to us; the app looks at its certificate's files by itself
    os.set_blocking(sys.stdin.fileno(), False)
    loop.add_reader(sys.stdin.fileno(), _stop_at_end, loop, stop)
    await run(config, stop=stop, ready=_say_ready, worker=worker)


def _stop_at_end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Nobody writes to our input: when it becomes readable it has ended, and with it our parent."""
    if not os.read(sys.stdin.fileno(), 1_024):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()


def _say_ready(host: str, port: int) -> None:
    sys.stdout.write(json.dumps({"host": host, "port": port}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

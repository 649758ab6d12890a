"""A server that is not ours is ready when it listens, and says why when it never does."""

import os
import sys
from pathlib import Path

import pytest

from bench.process import Failed
from bench.program import Program, free_port

LISTEN = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"


async def test_it_is_ready_when_it_listens_and_ends_when_stopped(tmp_path: Path) -> None:
    port = free_port()
    cores = {min(os.sched_getaffinity(0))}
    program = Program(sys.executable, "-c", LISTEN, str(port), on=cores, log=tmp_path / "log")
    await program.start(port)
    assert os.sched_getaffinity(program.pid) == cores
    await program.stop()
    await program.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(program.pid, 0)


async def test_one_that_ends_instead_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    program = Program(sys.executable, "-c", "print('bad key')", on=os.sched_getaffinity(0), log=tmp_path / "log")
    with pytest.raises(Failed, match="ended: bad key"):
        await program.start(free_port())


async def test_one_that_does_not_listen_in_time_is_a_failure(tmp_path: Path) -> None:
    program = Program(
        sys.executable, "-c", "import time; time.sleep(60)", on=os.sched_getaffinity(0), log=tmp_path / "log"
    )
    with pytest.raises(Failed, match=r"did not listen within 0.1 s"):
        await program.start(free_port(), within_s=0.1)
    await program.stop()

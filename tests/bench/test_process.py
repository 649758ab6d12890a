"""CPU time is counted in nanoseconds, of any process; a child ends when it is told to."""

import os
import time
from pathlib import Path

import pytest

from bench.proc_stat import cpu_clock
from bench.process import Child, Failed, cpu_s


def test_the_clock_of_a_process_is_the_one_it_reads_itself() -> None:
    before = time.process_time()
    assert before <= cpu_s(os.getpid()) <= time.process_time()


def test_there_is_no_clock_of_a_process_that_is_not_there() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        time.clock_gettime(cpu_clock(2**22 + 1))


async def test_a_child_ends_at_once_or_in_its_own_time_and_either_may_be_repeated(tmp_path: Path) -> None:
    child = Child("bench.load_client", on=os.sched_getaffinity(0), log=tmp_path / "log")
    await child.kill()
    await child.stop()
    await child.start()
    await child.kill()
    with pytest.raises(Failed, match="ended"):
        await child.ask(10, do="cut")
    await child.kill()
    await child.stop()

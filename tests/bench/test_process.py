"""CPU time is counted in nanoseconds, of any process."""

import os
import time

import pytest

from bench.proc_stat import cpu_clock
from bench.process import cpu_s


def test_the_clock_of_a_process_is_the_one_it_reads_itself() -> None:
    before = time.process_time()
    assert before <= cpu_s(os.getpid()) <= time.process_time()


def test_there_is_no_clock_of_a_process_that_is_not_there() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        time.clock_gettime(cpu_clock(2**22 + 1))

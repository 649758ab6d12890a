"""What is taken off a row, and what is not."""

import pytest

from bench.proc_stat import cpu_ticks, resident_kb
from bench.results import Row, costs

PUBLISH = Row(way="nobody", case="publish", text="", events=100, nats_cpu_s=0.002)


def test_storing_is_taken_off_live_rows_of_nats_alone() -> None:
    live = Row(way="tidewire", case="live", text="", events=1_000, gateway_cpu_s=0.05, nats_cpu_s=0.03)
    (cost,) = costs([PUBLISH, live])
    assert cost.gateway_us == pytest.approx(50)
    assert cost.nats_us == pytest.approx(10)


def test_coming_back_with_nothing_missed_is_taken_off_the_same_ways_replay() -> None:
    other = Row(way="floor", case="resume", text="", sessions=10, gateway_cpu_s=9.0)
    resume = Row(way="tidewire", case="resume", text="", sessions=10, gateway_cpu_s=0.01, nats_cpu_s=0.02)
    replay = Row(
        way="tidewire", case="replay window", text="", events=100, sessions=20, gateway_cpu_s=0.03, nats_cpu_s=0.05
    )
    (cost,) = costs([PUBLISH, other, resume, replay])
    assert cost.gateway_us == pytest.approx(100)
    assert cost.nats_us == pytest.approx(100)


def test_cpu_is_user_and_system_whatever_the_process_is_called() -> None:
    stat = "42 (a ) name) S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20 0 1 0 100 0 0"
    assert cpu_ticks(stat) == 154


def test_resident_memory_is_read_and_its_absence_told() -> None:
    assert resident_kb("VmPeak:\t 99 kB\nVmRSS:\t  1234 kB\n") == 1_234
    with pytest.raises(ValueError, match="ended"):
        resident_kb("Name:\tx\nState:\tZ (zombie)\n")

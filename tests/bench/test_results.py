"""What several runs say together."""

import pytest

from bench.measurement import Measurement
from bench.proc_stat import resident_kb
from bench.results import Figure, Machine, Results, failures, figures, medians
from bench.tables import number, report, table


def measured(value: float, case: str = "broadcast", way: str = "tidewire", failed: str = "") -> Measurement:
    return Measurement(case=case, way=way, values={} if failed else {"server_us": value}, failed=failed)


def results(*runs: list[Measurement]) -> Results:
    machine = Machine(
        cpu="a CPU",
        cores=2,
        kernel="6",
        python="3",
        versions={"uvloop": "1"},
        commit="abc",
        load_before=0,
        load_after=1,
        pinned=True,
    )
    absent = {"mosquitto": "apt-get install mosquitto"}
    return Results(
        command="c",
        at="d",
        seconds=1,
        machine=machine,
        ways={"tidewire": "this commit"},
        absent=absent,
        runs=list(runs),
    )


def test_a_value_has_its_median_and_its_spread_over_the_runs_that_have_it() -> None:
    found = [measured(3), measured(1), measured(9), measured(7, way="floor")]
    assert figures(found)["broadcast", "tidewire"] == {"server_us": Figure(3, 1, 9)}
    assert medians(found)["broadcast", "floor"] == {"server_us": 7}


def test_what_failed_is_told_and_has_no_figures() -> None:
    run = results([measured(3), measured(0, way="floor", failed="it ended")], [measured(5)])
    assert failures(run) == ["broadcast, floor, run 1: it ended"]
    text = report(run)
    assert "it ended" in text
    assert "4 (3-5)" in text


def test_what_could_not_run_here_says_why() -> None:
    assert "mosquitto did not run: apt-get install mosquitto" in report(results([measured(3)]))


def test_what_took_part_says_what_it_is() -> None:
    assert "- tidewire: this commit" in report(results([measured(3)]))


def test_without_figures_no_verdict_is_given() -> None:
    rows = report(results([measured(3)])).splitlines()
    assert next(row for row in rows if row.startswith("| broadcast ")).split(" | ")[1].strip() == "not measured"


def test_a_verdict_stands_in_the_table_and_what_was_seen_below_it() -> None:
    rows = report(results([measured(23), measured(20, way="floor")])).splitlines()
    assert next(row for row in rows if row.startswith("| broadcast ")).split(" | ")[1].strip() == "reached"
    assert "- broadcast: 1.15 x the floor" in rows


@pytest.mark.parametrize(
    ("value", "text"), [(1_234.5, "1,234"), (99.44, "99.4"), (3.146, "3.15"), (4.0, "4"), (0.0, "0"), (0.004, "0.004")]
)
def test_three_digits_are_enough(value: float, text: str) -> None:
    assert number(value) == text


def test_figures_are_aligned_to_the_right_and_words_to_the_left() -> None:
    assert table(["way", "us"], [["floor", "7"], ["tidewire", "1,234"]]).splitlines() == [
        "| way      |    us |",
        "| -------- | ----: |",
        "| floor    |     7 |",
        "| tidewire | 1,234 |",
    ]


def test_resident_memory_is_read_and_its_absence_told() -> None:
    assert resident_kb("VmPeak:\t 99 kB\nVmRSS:\t  1234 kB\n") == 1_234
    with pytest.raises(ValueError, match="ended"):
        resident_kb("Name:\tx\nState:\tZ (zombie)\n")

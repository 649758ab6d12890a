"""What a step cost, and what becomes of a way that fails."""

from pathlib import Path

import pytest

from bench.cases.course import Spent, each_way, in_short, tokens
from bench.measurement import Measurement
from bench.plan import Plan
from bench.process import Failed
from bench.way import Order, Site, Way
from security.development import DevelopmentState


class Still:
    """A way without processes."""

    dialect = "tidewire"
    port = 0

    def __init__(self, name: str, missing: str = "") -> None:
        self.name = name
        self._missing = missing

    def missing(self) -> str:
        return self._missing

    def version(self) -> str:
        return ""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def servers(self) -> list[int]:
        return []

    def brokers(self) -> list[int]:
        return []

    async def publish(self, order: Order) -> None: ...


def site(folder: Path) -> Site:
    return Site(folder=folder, keys=DevelopmentState(folder / "keys"), measured_on={0}, rest_on={1})


def test_a_step_is_told_per_event_and_brokers_only_where_there_are_some() -> None:
    spent = Spent()
    spent.server_s, spent.seconds = 0.5, 2.0
    assert spent.each(10_000) == {"server_us": 50.0, "events_per_s": 5_000.0}
    spent.broker_s = 0.1
    assert spent.each(10_000)["broker_us"] == pytest.approx(10)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {
        "good": lambda _: Still("good"),
        "bad": lambda _: Still("bad"),
        "away": lambda _: Still("away", missing="not installed"),
        "last": lambda _: Still("last"),
    }
    monkeypatch.setattr("bench.cases.course.WAYS", made)


async def one(way: Way) -> list[Measurement]:
    if way.name == "bad":
        raise Failed("it ended: Traceback\n  somewhere\nKeyError: 'x'")
    return [Measurement(case="c", way=way.name, values={"server_us": 1.0})]


@pytest.mark.usefixtures("ways")
async def test_a_way_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    measured = await each_way(site(tmp_path), Plan(), "c", ("good", "bad", "away", "last", "unknown"), one)
    assert [each.way for each in measured] == ["good", "bad", "last"]
    assert measured[1].failed == "Failed: it ended: Traceback ... KeyError: 'x'"


@pytest.mark.usefixtures("ways")
async def test_only_the_ways_that_were_asked_for_are_measured(tmp_path: Path) -> None:
    measured = await each_way(site(tmp_path), Plan(ways=("last",)), "c", ("good", "last"), one)
    assert [each.way for each in measured] == ["last"]


def test_a_failure_is_one_line_whatever_it_says() -> None:
    assert in_short(ValueError("")) == "ValueError: "
    assert "\n" not in in_short(ValueError("a\nb\nc"))
    assert len(in_short(ValueError("x" * 9_999))) < 500


def test_tokens_are_made_once_for_all_cases_of_a_run(tmp_path: Path) -> None:
    place = site(tmp_path)
    place.keys.prepare(1_900_000_000)
    first = tokens(place, 2)
    assert tokens(place, 3)[:2] == first
    assert len(set(place.tokens)) == 3

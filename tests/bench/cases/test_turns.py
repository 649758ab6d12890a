"""Ways take turns, and of what they measured the medians are told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.cases.turns import by_turns, merged, turning
from bench.measurement import Measurement
from bench.process import Failed


class Told:
    """What stands and what is measured, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    @asynccontextmanager
    async def stand(self, name: str) -> AsyncIterator[str]:
        if name == "absent":
            raise Failed("it does not start")
        self.steps.append(f"+{name}")
        yield name
        self.steps.append(f"-{name}")

    async def turn(self, name: str) -> list[Measurement]:
        self.steps.append(name)
        count = self.steps.count(name)
        if name == "bad" and count == 2:
            raise Failed("it ended")
        values = {"server_us": float([9, 1, 3][count - 1])}
        return [Measurement(case="c", way=name, values=values, note="how")]


async def test_ways_take_turns_and_the_median_of_their_turns_is_told() -> None:
    told = Told()
    measured = await by_turns("c", {name: turning(told.stand(name), told.turn) for name in "ab"}, 3)
    assert told.steps == ["+a", "+b", *["a", "b"] * 3, "-b", "-a"]
    assert measured == [Measurement(case="c", way=name, values={"server_us": 3.0}, note="how") for name in "ab"]


async def test_a_way_that_fails_has_no_more_turns_and_no_figures_and_the_others_go_on() -> None:
    told = Told()
    stands = {name: turning(told.stand(name), told.turn) for name in ("absent", "bad", "good")}
    measured = await by_turns("c", stands, 3)
    assert told.steps == ["+bad", "+good", "bad", "good", "bad", "good", "good", "-good", "-bad"]
    assert [(each.way, each.failed, each.values) for each in measured] == [
        ("good", "", {"server_us": 3.0}),
        ("absent", "Failed: it does not start", {}),
        ("bad", "Failed: it ended", {}),
    ]


def test_each_case_of_a_way_is_merged_by_itself() -> None:
    measured = [Measurement(case=case, way="a", values={"x": x}) for x, case in enumerate(["c", "d", "c", "d"])]
    assert [(each.case, each.values) for each in merged(measured)] == [("c", {"x": 1.0}), ("d", {"x": 2.0})]

"""A verdict follows from medians of one run, and from nothing else."""

import pytest

from bench.results import Medians
from bench.targets import TARGETS, Verdict, broken_bounds


def verdict(case: str, of: Medians) -> Verdict:
    (target,) = (each for each in TARGETS if each.case == case)
    return target.verdict(of)


def us(value: float) -> dict[str, float]:
    return {"server_us": value}


@pytest.mark.parametrize(("ours", "rival", "reached"), [(115, 116, True), (116, 120, False), (115, 114, False)])
def test_broadcast_is_held_against_the_floor_and_every_rival(ours: float, rival: float, *, reached: bool) -> None:
    of = {("broadcast", "floor"): us(100), ("broadcast", "tidewire"): us(ours), ("broadcast", "centrifugo"): us(rival)}
    assert verdict("broadcast", of).reached is reached


def test_a_rival_that_acknowledges_by_nature_is_held_against_acknowledged_delivery() -> None:
    of = {
        ("broadcast", "floor"): us(100),
        ("broadcast", "tidewire"): us(100),
        ("broadcast acked", "tidewire"): us(200),
        ("broadcast acked", "mosquitto"): us(190),
    }
    assert not verdict("broadcast", of).reached
    assert "mosquitto 0.95 x ours" in verdict("broadcast", of).seen


def test_without_its_figures_a_verdict_names_what_is_not_there() -> None:
    with pytest.raises(KeyError):
        verdict("broadcast", {})


def test_bounds_have_slack_and_what_was_not_measured_breaks_none() -> None:
    assert broken_bounds({}) == []
    of = {("broadcast", "floor"): us(100), ("broadcast", "tidewire"): us(240)}
    assert broken_bounds(of) == []
    assert broken_bounds(of | {("broadcast", "tidewire"): us(260)}) != []

"""Turns for replays: in order, bounded in all and for one tenant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.admission import Admission
from tests.examples import examples


def test_turns_end_at_the_limit_and_wait_in_order() -> None:
    turns: Admission[str] = Admission(2, 2)
    assert [turns.ask(who, "t") for who in "abcd"] == [True, True, False, False]
    assert (turns.running, turns.waiting) == (2, 2)
    assert turns.give_back("t") == ["c"]
    assert turns.give_back("t") == ["d"]
    assert turns.give_back("t") == []
    assert (turns.running, turns.waiting) == (1, 0)


def test_a_tenant_at_its_limit_lets_others_pass() -> None:
    turns: Admission[str] = Admission(3, 1)
    assert turns.ask("a1", "a")
    assert not turns.ask("a2", "a")
    assert turns.ask("b1", "b")
    assert turns.give_back("b") == []
    assert turns.give_back("a") == ["a2"]


def test_one_returned_turn_starts_no_more_than_one() -> None:
    turns: Admission[str] = Admission(1, 1)
    assert turns.ask("a", "a")
    assert not turns.ask("b", "b")
    assert not turns.ask("c", "c")
    assert turns.give_back("a") == ["b"]


def test_who_has_left_gets_no_turn() -> None:
    turns: Admission[str] = Admission(1, 1)
    assert turns.ask("a", "t")
    assert not turns.ask("b", "t")
    turns.leave("b")
    turns.leave("never asked")
    assert turns.give_back("t") == []
    assert turns.running == 0


def test_a_turn_that_was_not_granted_cannot_end() -> None:
    turns: Admission[str] = Admission(1, 1)
    assert turns.ask("a", "t")
    with pytest.raises(AssertionError):
        turns.give_back("other")


@examples(100)
@given(
    most=st.integers(1, 4),
    per_tenant=st.integers(1, 3),
    steps=st.lists(st.tuples(st.sampled_from(["ask", "leave", "end"]), st.sampled_from("xyz")), max_size=40),
)
def test_limits_hold_and_nobody_waits_while_there_is_a_turn(
    most: int, per_tenant: int, steps: list[tuple[str, str]]
) -> None:
    turns: Admission[int] = Admission(most, per_tenant)
    running: list[tuple[int, str]] = []
    waiting: list[tuple[int, str]] = []
    for number, (step, tenant) in enumerate(steps):
        if step == "ask":
            (running if turns.ask(number, tenant) else waiting).append((number, tenant))
        elif step == "leave" and waiting:
            turns.leave(waiting.pop(0)[0])
        elif step == "end" and running:
            granted = turns.give_back(running.pop(0)[1])
            assert granted == sorted(granted), "in the order in which they asked"
            running += [one for one in waiting if one[0] in granted]
            waiting = [one for one in waiting if one[0] not in granted]
        tenants = [each for _, each in running]
        assert (turns.running, turns.waiting) == (len(running), len(waiting))
        assert len(running) <= most
        assert all(tenants.count(each) <= per_tenant for each in "xyz")
        assert len(running) == most or all(tenants.count(each) == per_tenant for _, each in waiting)

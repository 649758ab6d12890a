"""P4.8: a pattern holds from its position on."""

import pytest

from replay.interest import Interest


@pytest.mark.parametrize(
    ("subject", "seq", "due"),
    [
        ("orders.c1.o1", 10, False),
        ("orders.c1.o1", 11, True),
        ("orders.c1.o2", 11, False),
        ("orders.c1.o2", 20, False),
        ("orders.c1.o2", 21, True),
        ("orders.c1", 99, False),
        ("news", 99, False),
    ],
)
def test_an_event_is_due_above_the_position_of_a_pattern_that_matches_it(subject: str, seq: int, due: bool) -> None:  # noqa: FBT001
    """P2.8, P4.8."""
    assert Interest({"orders.c1.o1": 10, "orders.c1.>": 20}).is_due(subject, seq) is due


@pytest.mark.parametrize(
    ("since", "position", "start"),
    [
        ({"a": 5, "b": 9}, 3, 5),
        ({"a": 5, "b": 9}, 5, 5),
        ({"a": 5, "b": 9}, 7, 7),
        ({"a": 0}, 0, 0),
        ({}, 3, 100),
        ({}, 101, 101),
    ],
)
def test_a_replay_starts_where_the_first_pattern_holds(since: dict[str, int], position: int, start: int) -> None:
    assert Interest(since).start_after(position, head=100) == start


def test_an_interest_keeps_its_own_patterns() -> None:
    given = {"a": 1}
    interest = Interest(given)
    given["b"] = 2
    assert interest.since == {"a": 1}

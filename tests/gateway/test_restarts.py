"""Waits before a dead worker is started again."""

from gateway.restarts import FIRST_S, LONGEST_S, STEADY_S, Restarts


def test_the_first_restart_comes_soon_and_waits_double_up_to_the_longest() -> None:
    restarts = Restarts()
    waits = [restarts.died(0) for _ in range(12)]
    assert waits[:4] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S]
    assert waits[-1] == LONGEST_S
    assert waits == sorted(waits)
    assert restarts.total == 12


def test_a_worker_that_lived_long_enough_starts_over_with_the_shortest_wait() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.died(STEADY_S - 0.001)
    assert restarts.died(STEADY_S) == FIRST_S
    assert restarts.died(0) == FIRST_S
    assert restarts.died(0) == 2 * FIRST_S

"""The simulated shop."""

from random import Random

from gateway.shop import CUSTOMERS, MOVES, OPEN_ORDERS, PATTERN, STATUSES, OrderMoved, Sale, Shop
from security.policy import Rule, rules_of
from security.subjects import is_subject


def sales(count: int, seed: int = 1) -> list[Sale]:
    shop = Shop(Random(seed), "o1")  # orders are no secret
    return [shop.step() for _ in range(count)]


def test_every_order_moves_through_each_status_in_turn() -> None:
    last: dict[str, str] = {}
    for _, event in sales(2_000):
        before = last.get(event.order)
        assert event.status == ("placed" if before is None else MOVES[before])  # type: ignore[index]
        last[event.order] = event.status
    assert "delivered" in last.values()


def test_orders_under_way_stay_bounded() -> None:
    under_way: set[str] = set()
    for _, event in sales(2_000):
        (under_way.discard if event.status == "delivered" else under_way.add)(event.order)
        assert len(under_way) <= OPEN_ORDERS * len(CUSTOMERS)


def test_a_subject_names_the_customer_and_the_order() -> None:
    for subject, event in sales(50):
        assert subject == f"orders.{event.customer}.{event.order}"
        assert is_subject(subject)


def test_four_events_name_each_customer_and_the_one_on_the_page_twice() -> None:
    names = [event.customer for _, event in sales(400)]
    for first in range(0, 400, 4):
        assert sorted(names[first : first + 4]) == sorted([CUSTOMERS[0].name, *(each.name for each in CUSTOMERS)])


def test_up_to_four_orders_of_a_customer_are_under_way_at_once() -> None:
    under_way: dict[str, set[str]] = {customer.name: set() for customer in CUSTOMERS}
    most = dict.fromkeys(under_way, 0)
    for _, event in sales(2_000):
        orders = under_way[event.customer]
        (orders.discard if event.status == "delivered" else orders.add)(event.order)
        most[event.customer] = max(most[event.customer], len(orders))
    assert set(most.values()) == {OPEN_ORDERS}


def test_a_rush_moves_one_customers_orders_step_by_step_and_the_steady_ones_go_on_from_there() -> None:
    shop = Shop(Random(1), "o1")  # no secret
    before = [shop.step().event for _ in range(30)]
    rush = [sale.event for sale in shop.rush("c43", 100)]
    assert [event.customer for event in rush] == ["c43"] * 100
    last: dict[str, str] = {}
    for event in before + rush + [shop.step().event for _ in range(30)]:
        known = last.get(event.order)
        assert event.status == ("placed" if known is None else MOVES[known])  # type: ignore[index]
        last[event.order] = event.status


def test_a_rush_that_is_given_up_has_moved_nothing_that_was_not_asked_for() -> None:
    given_up, other = Shop(Random(1), "o1"), Shop(Random(1), "o1")  # no secret
    asked = given_up.rush("c42", 100)
    assert [next(asked) for _ in range(3)] == list(other.rush("c42", 3))
    assert [given_up.step() for _ in range(30)] == [other.step() for _ in range(30)]


def test_every_status_is_listed_in_its_order() -> None:
    assert STATUSES == ("placed", "paid", "packed", "shipped", "delivered")


def test_the_same_randomness_gives_the_same_orders() -> None:
    assert sales(100, seed=5) == sales(100, seed=5)
    assert sales(100, seed=5) != sales(100, seed=6)


def test_two_runs_share_no_order() -> None:
    first, second = Shop(Random(1), "o1"), Shop(Random(1), "o2")  # nor are these
    assert {first.step().event.order for _ in range(50)}.isdisjoint(second.step().event.order for _ in range(50))


def test_address_and_phone_are_declared_as_sensitive() -> None:
    assert set(rules_of(PATTERN, OrderMoved)) == {
        Rule(PATTERN, "/address", "contact"),
        Rule(PATTERN, "/phone", "contact"),
    }

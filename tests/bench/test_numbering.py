"""Events are numbered for each subject, on from order to order."""

import msgspec

from bench.numbering import Numbering
from bench.plan import EVERYONE, NOBODY
from bench.way import Order


def told(numbering: Numbering, order: Order) -> list[tuple[str, int, int]]:
    made = [numbering.event(order, number, 99) for number in range(order.events)]
    return [(to, event["s"], event["n"]) for to, data in made for event in [msgspec.json.decode(data)]]


def test_sessions_come_in_turn_and_go_on_in_the_next_order() -> None:
    numbering = Numbering()
    assert told(numbering, Order(events=3, rate=0, sessions=2)) == [
        ("orders.c0.x", 0, 0),
        ("orders.c1.x", 1, 0),
        ("orders.c0.x", 0, 1),
    ]
    assert told(numbering, Order(events=2, rate=0, sessions=1, first=1)) == [
        ("orders.c1.x", 1, 1),
        ("orders.c1.x", 1, 2),
    ]


def test_what_all_read_and_what_nobody_reads_is_counted_apart() -> None:
    numbering = Numbering()
    assert told(numbering, Order(events=2, rate=0)) == [(EVERYONE, 0, 0), (EVERYONE, 0, 1)]
    assert told(numbering, Order(events=1, rate=0, unread=True)) == [(NOBODY, 0, 0)]
    assert told(numbering, Order(events=1, rate=0)) == [(EVERYONE, 0, 2)]

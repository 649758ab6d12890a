"""Pure: a small shop whose orders move, so that there is something to listen to. Randomness is an argument.

What it publishes is what any service would: a typed event, with the fields that name a person declared as sensitive.
"""

from collections.abc import Iterator
from random import Random
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from security.policy import Sensitive

Status = Literal["placed", "paid", "packed", "shipped", "delivered"]

MOVES: Final[dict[Status, Status]] = {
    "placed": "paid",
    "paid": "packed",
    "packed": "shipped",
    "shipped": "delivered",
}
"""What follows on each status; nothing follows on ``delivered``."""

STATUSES: Final[tuple[Status, ...]] = ("placed", *MOVES.values())
"""Every status, in the order in which an order reaches them."""

PATTERN: Final = "orders.{sub}.>"
"""Subjects of the shop's events; the second token is the customer, whose key seals."""

OPEN_ORDERS: Final = 4
"""Orders of one customer under way at once, at most."""

_CLASS: Final = "contact"
_GOODS: Final = ("teapot", "kettle", "lamp", "notebook", "umbrella", "bicycle bell", "scarf", "atlas")


class OrderMoved(msgspec.Struct, frozen=True, kw_only=True):
    """An order has reached a status."""

    order: str
    customer: str
    status: Status
    item: str
    total_cents: int
    address: Annotated[str, Sensitive(_CLASS)]
    phone: Annotated[str, Sensitive(_CLASS)]


class Customer(NamedTuple):
    """Who orders. ``name`` is the ``sub`` of the customer's tokens."""

    name: str
    address: str
    phone: str


CUSTOMERS: Final = (
    Customer("c42", "Harbour Lane 7, 20457 Hamburg", "+49 40 5550142"),
    Customer("c43", "Mill Street 12, 50667 Cologne", "+49 221 5550143"),
    Customer("c44", "Garden Row 3, 04109 Leipzig", "+49 341 5550144"),
)
"""The shop's customers, all invented."""

_TURNS: Final = (CUSTOMERS[0], CUSTOMERS[1], CUSTOMERS[0], CUSTOMERS[2])
"""Whose orders move, in turn: the first customer's, whom the page shows, twice as often."""


class Sale(NamedTuple):
    """One event to publish."""

    subject: str
    event: OrderMoved


class Shop:
    """The orders under way. ``opening`` begins each order's name, so that two runs share none."""

    def __init__(self, random: Random, opening: str) -> None:
        self._random = random
        self._opening = opening
        self._placed = 0
        self._steps = 0
        self._open: dict[str, list[OrderMoved]] = {customer.name: [] for customer in CUSTOMERS}

    def step(self) -> Sale:
        """Place an order, or move one on; customers take turns, so that none waits long for an event."""
        customer = _TURNS[self._steps % len(_TURNS)]
        self._steps += 1
        return self._advance(customer)

    def rush(self, name: str, count: int) -> Iterator[Sale]:
        """Move one customer's orders ``count`` times; each move is made when it is asked for."""
        [customer] = [customer for customer in CUSTOMERS if customer.name == name]
        return (self._advance(customer) for _ in range(count))

    def _advance(self, customer: Customer) -> Sale:
        orders = self._open[customer.name]
        if not orders or (len(orders) < OPEN_ORDERS and self._random.random() < 0.2):
            return self._place(customer, orders)
        return self._move(orders, self._random.randrange(len(orders)))

    def _place(self, customer: Customer, orders: list[OrderMoved]) -> Sale:
        self._placed += 1
        event = OrderMoved(
            order=f"{self._opening}-{self._placed}",
            customer=customer.name,
            status="placed",
            item=self._random.choice(_GOODS),
            total_cents=self._random.randrange(500, 20_000),
            address=customer.address,
            phone=customer.phone,
        )
        orders.append(event)
        return _sale(event)

    def _move(self, orders: list[OrderMoved], place: int) -> Sale:
        event = msgspec.structs.replace(orders[place], status=MOVES[orders[place].status])
        if event.status in MOVES:
            orders[place] = event
        else:
            del orders[place]
        return _sale(event)


def _sale(event: OrderMoved) -> Sale:
    return Sale(f"orders.{event.customer}.{event.order}", event)

"""Pure: a small shop whose orders move, so that there is something to listen to. Randomness is an argument.

What it publishes is what any service would: a typed event, with the fields that name a person declared as sensitive.
"""

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

PATTERN: Final = "orders.{sub}.>"
"""Subjects of the shop's events; the second token is the customer, whose key seals."""

OPEN_ORDERS: Final = 6
"""Orders under way at once, at most."""

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
        self._open: list[OrderMoved] = []

    def step(self) -> Sale:
        """Place an order, or move one on; the customers take turns in placing, so that none waits long for an event."""
        is_quiet = len(self._open) < len(CUSTOMERS)
        if is_quiet or (len(self._open) < OPEN_ORDERS and self._random.random() < 0.3):
            return self._place()
        return self._move(self._random.randrange(len(self._open)))

    def _place(self) -> Sale:
        customer = CUSTOMERS[self._placed % len(CUSTOMERS)]
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
        self._open.append(event)
        return _sale(event)

    def _move(self, place: int) -> Sale:
        order = self._open[place]
        event = msgspec.structs.replace(order, status=MOVES[order.status])
        if event.status in MOVES:
            self._open[place] = event
        else:
            del self._open[place]
        return _sale(event)


def _sale(event: OrderMoved) -> Sale:
    return Sale(f"orders.{event.customer}.{event.order}", event)

"""Pure: which events are published, numbered on from order to order, so that every client can check them."""

from bench.plan import EVERYONE, NOBODY, payload, subject
from bench.way import Order


class Numbering:
    """Remembers how many events each subject has had."""

    def __init__(self) -> None:
        self._had: dict[str, int] = {}

    def event(self, order: Order, number: int, now_ns: int) -> tuple[str, bytes]:
        """Subject and payload of an order's event, ``number`` from 0; ``now_ns`` is monotonic."""
        session = order.first + number % order.sessions if order.sessions else 0
        to = NOBODY if order.unread else subject(session) if order.sessions else EVERYONE
        n = self._had.get(to, 0)
        self._had[to] = n + 1
        return to, payload(session, n, now_ns)

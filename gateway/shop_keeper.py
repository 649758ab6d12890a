"""Shell: keeps the shop open: an event about every second, more in a rush, sealed and published."""

import asyncio
import logging
import secrets
import time
from random import Random

from gateway.shop import PATTERN, OrderMoved, Sale, Shop
from mesh.envelope import Envelopes
from mesh.link import Link
from mesh.publisher import Publisher
from security.errors import TidewireError, UpstreamUnavailable
from security.keyring import KeyRing
from security.policy import Policy, rules_of

log = logging.getLogger(__name__)

EVERY_S = 1.0
"""Seconds between two events."""


class ShopKeeper:
    """The one publisher of the shop. ``run`` in a task; a ``rush`` may come at any time."""

    def __init__(self, keys: KeyRing) -> None:
        opening = time.strftime("%d%H%M%S", time.gmtime())  # two runs begin seconds apart; events are gone in a month
        self._shop = Shop(Random(secrets.randbits(64)), opening)  # noqa: S311  # no secret
        self._envelopes = Envelopes(Policy(rules_of(PATTERN, OrderMoved)), keys)
        self._publisher: Publisher | None = None
        self._turn = asyncio.Lock()  # one event at a time: what happens to an order is stored in that order

    async def run(self, link: Link, *, every_s: float = EVERY_S) -> None:
        """Publish until cancelled, ``every_s`` seconds apart, sealed with the ring's keys: its owner adds epochs.

        An outage of NATS longer than the publisher's patience costs the events of its time: a simulation has no
        customers to lose.
        """
        async with Publisher(link, self._envelopes) as publisher:
            self._publisher = publisher
            while True:
                async with self._turn:
                    await _sell(publisher, self._shop.step())
                await asyncio.sleep(every_s)

    async def rush(self, customer: str, count: int) -> int:
        """Move a customer's orders ``count`` times at once; returns how many moves were stored.

        It stops at the first that is not. Raises ``UpstreamUnavailable`` when there is none, or before ``run``.
        """
        stored = 0
        async with self._turn:
            if self._publisher is not None:
                for sale in self._shop.rush(customer, count):
                    if not await _sell(self._publisher, sale):
                        break
                    stored += 1
        if not stored:
            raise UpstreamUnavailable("the shop cannot publish: NATS does not answer")
        return stored


async def _sell(publisher: Publisher, sale: Sale) -> bool:
    """Publish; say whether it was stored."""
    try:
        await publisher.publish(sale.subject, sale.event)
    except TidewireError as error:
        told = {"subject": sale.subject, "kind": type(error).__name__, "error": str(error)}
        log.warning("the shop's event was not stored", extra=told)
        return False
    return True

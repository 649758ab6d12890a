"""Shell: keeps the shop open: an event about every second, sealed and published, until it is cancelled."""

import asyncio
import logging
import secrets
import time
from random import Random

from gateway.shop import PATTERN, OrderMoved, Shop
from mesh.envelope import Envelopes
from mesh.link import Link
from mesh.publisher import Publisher
from security.errors import TidewireError
from security.keyring import KeyRing
from security.policy import Policy, rules_of

log = logging.getLogger(__name__)

EVERY_S = 1.0
"""Seconds between two events."""


async def keep_shop(link: Link, keys: KeyRing, *, every_s: float = EVERY_S) -> None:
    """Publish for ever, ``every_s`` seconds apart, sealed with ``keys``, which the caller adds epochs to.

    An outage of NATS costs the events of its time: a simulation has no customers to lose.
    """
    shop = Shop(Random(secrets.randbits(64)), time.strftime("%m%d%H%M", time.gmtime()))  # noqa: S311  # no secret
    envelopes = Envelopes(Policy(rules_of(PATTERN, OrderMoved)), keys)
    async with Publisher(link, envelopes) as publisher:
        while True:
            sale = shop.step()
            try:
                await publisher.publish(sale.subject, sale.event)
            except TidewireError as error:
                told = {"subject": sale.subject, "kind": type(error).__name__, "error": str(error)}
                log.warning("the shop's event was not stored", extra=told)
            await asyncio.sleep(every_s)

"""Shell: a gateway's orderly end: everyone is told, and what they have processed is stored."""

import asyncio
import logging
import secrets
from functools import partial
from random import Random

from gateway import close_codes
from gateway.house import House

log = logging.getLogger(__name__)


async def drain(house: House) -> None:
    """Say goodbye to everyone, spread over time; store cursors; park what is pending."""
    settings = house.config.drain
    house.is_draining = True
    random = Random(secrets.randbits(64))  # noqa: S311  # spreads reconnects, keeps no secret
    connections = list(house.open_exchange.by_key.values()) if house.open_exchange is not None else []
    log.info("drain begins", extra={"connections": len(connections)})
    try:
        async with asyncio.timeout(settings.timeout_s):
            for socket in house.first_frames:  # who has not said who it is is sent on as well
                socket.hurry()
            for connection in connections:
                after_ms = random.randint(0, settings.spread_ms)
                connection.guarded(partial(connection.close, close_codes.DRAINING, after_ms))
            if house.open_exchange is not None:
                await house.exchange.empty.wait()
            await house.replays.settle()
            await house.settle()
            if house.link.is_up:
                await house.parking.flush()
    except TimeoutError:
        log.warning("drain took too long", extra={"timeout_s": settings.timeout_s})

"""Shell: how fast an order is published where many events go out in one step."""

import asyncio
from collections.abc import AsyncIterator

from bench.way import Order

TURN_S = 0.002


async def turns(order: Order, most: int) -> AsyncIterator[range]:
    """The numbers of the events that are due now, at most ``most`` at once, until all were due.

    As ``bench.worker.paced``: ``rate`` a second in turns of 2 ms, 0 as fast as the caller takes them.
    """
    loop = asyncio.get_running_loop()
    begun, done = loop.time(), 0
    while done < order.events:
        due = order.events if not order.rate else min(order.events, int((loop.time() - begun) * order.rate) + 1)
        if due > done:
            until = min(due, done + most)
            yield range(done, until)
            done = until
        if done == due < order.events:
            await asyncio.sleep(TURN_S)

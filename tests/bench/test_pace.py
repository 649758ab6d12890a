"""Every event of an order is due once, in order, no faster than the rate."""

import asyncio

import pytest

from bench.pace import turns
from bench.way import Order


@pytest.mark.parametrize("rate", [0, 50_000])
async def test_every_event_is_due_once_in_bounded_steps(rate: int) -> None:
    steps = [due async for due in turns(Order(events=250, rate=rate), 100)]
    assert [number for due in steps for number in due] == list(range(250))
    assert max(map(len, steps)) <= 100


async def test_a_rate_is_kept() -> None:
    begun = asyncio.get_running_loop().time()
    async for due in turns(Order(events=21, rate=1_000), 100):
        assert due.stop <= (asyncio.get_running_loop().time() - begun) * 1_000 + 1

"""The only poll in the tests: wait for a fact, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable


async def until(condition: Callable[[], object | Awaitable[object]], within_s: float = 10.0) -> None:
    """Return once ``condition()`` is true; fail with its name when it is not so within ``within_s`` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        value = condition()
        if isawaitable(value):
            value = await value
        if value:
            return
        assert loop.time() < deadline, f"not so within {within_s} s: {getattr(condition, '__qualname__', condition)}"
        await asyncio.sleep(0.005)

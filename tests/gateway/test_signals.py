"""Commands that run until they are told to stop."""

import asyncio
import os
import signal

import pytest

from gateway.signals import stop_on_signals, until_stopped


async def test_a_task_that_ends_by_itself_is_done() -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    assert await until_stopped(lambda: asyncio.create_task(work()), asyncio.Event()) is True


async def test_a_stop_cancels_the_task_and_waits_for_its_cleanup() -> None:
    cleaned: list[str] = []
    stop = asyncio.Event()

    async def work() -> None:
        try:
            stop.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("up")

    assert await until_stopped(lambda: asyncio.create_task(work()), stop) is False
    assert cleaned == ["up"]


async def test_what_the_task_raises_is_raised() -> None:
    async def work() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await until_stopped(lambda: asyncio.create_task(work()), asyncio.Event())


async def test_a_signal_sets_the_event_and_a_hangup_calls_back() -> None:
    loop = asyncio.get_running_loop()
    hung_up = asyncio.Event()
    stop = stop_on_signals(on_hangup=hung_up.set)
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            await hung_up.wait()
            await stop.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)

"""Shell: what SIGTERM, Ctrl-C and SIGHUP do to a command that runs until it is told to stop."""

import asyncio
import os
import signal
from collections.abc import Callable


def stop_on_signals(on_hangup: Callable[[], None] | None = None) -> asyncio.Event:
    """The event that SIGTERM and SIGINT set. The second one ends the process at once, for who cannot wait for a drain.

    Workers notice that their parent is gone and drain by themselves. ``on_hangup`` is called at SIGHUP, if given.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stopping(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping, number)
    if on_hangup is not None:
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
    return stop


async def until_stopped(start: Callable[[], asyncio.Task[None]], stop: asyncio.Event) -> bool:
    """Run what ``start`` starts; True when it is done, False when ``stop`` came first and it was cancelled.

    Raises what the task raised.
    """
    task = start()
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not task.done():
            task.cancel()
        await asyncio.wait((task,))
    if task.cancelled():
        return False
    task.result()
    return True

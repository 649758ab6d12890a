"""Shell: what the child processes of a benchmark share: commands as JSON lines in, one JSON line back for each."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import uvloop

Handle = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def serve(handle: Handle) -> None:
    """Answer commands until standard input ends, as it does when the parent is gone."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=16 * 1_048_576)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        try:
            answer = await handle(msgspec.json.decode(line))
        except Exception as error:  # noqa: BLE001  # the parent fails the run with it
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(1, msgspec.json.encode(answer) + b"\n")


def main(make: Callable[[], Awaitable[Handle]]) -> None:
    """Run one child."""

    async def run() -> None:
        await serve(await make())

    uvloop.run(run())


async def paced(count: int, rate: int, each: Callable[[int], Awaitable[None]]) -> None:
    """Call ``each`` with 0 to ``count`` - 1, ``rate`` a second in turns of 2 ms; a rate of 0 is as fast as it goes."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    done = 0
    while done < count:
        due = count if not rate else min(count, int((loop.time() - begun) * rate) + 1)
        while done < due:
            await each(done)
            done += 1
        if done < count:
            await asyncio.sleep(0.002)

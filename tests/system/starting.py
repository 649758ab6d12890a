"""A gateway that need not be ready, for tests of what it does before it is."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from gateway.app import run
from gateway.house import House
from mesh.embedded import EmbeddedServer
from security.development import DevelopmentState
from tests.gateways import Gateway, gateway_config


@contextlib.asynccontextmanager
async def starting_gateway(server: EmbeddedServer, folder: Path, **changes: Any) -> AsyncIterator[Gateway]:
    """A gateway as soon as it accepts sockets, NATS or no NATS; drained afterwards."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    state = DevelopmentState(folder)
    state.prepare(time.time())
    config = gateway_config(server, state, folder, changes)
    stop, houses = asyncio.Event(), list[House]()
    started: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        run(config, stop=stop, ready=lambda host, port: started.set_result((host, port)), opened=houses.append)
    )
    try:
        either: list[asyncio.Future[Any]] = [started, task]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        host, port = started.result()
        yield Gateway(config, state, houses[0], host, port)
    finally:
        stop.set()
        await task

"""The rival that is on every machine, for real: its server, its publisher, and devices that speak its dialect."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.load_client import Load
from bench.way import Order, Site
from bench.ways.nats_websocket import NatsWebSocket
from security.development import DevelopmentState


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[tuple[NatsWebSocket, Load]]:
    keys = DevelopmentState(tmp_path / "keys")
    keys.prepare(time.time())
    cores = os.sched_getaffinity(0)
    way, load = NatsWebSocket(Site(tmp_path, keys, cores, cores)), Load()
    assert way.missing() == ""
    try:
        await way.start()
        await load.handle(
            {"do": "begin", "ca": str(keys.ca), "counting": True, "dialect": way.dialect, "tokens": ["", "", ""]}
        )
        await load.handle({"do": "target", "port": way.port})
        yield way, load
    finally:
        await load.handle({"do": "cut"})
        await way.stop()


async def test_each_device_gets_its_own_events_also_after_it_came_back(way: tuple[NatsWebSocket, Load]) -> None:
    served, load = way
    for due in (5, 10):
        await load.handle({"do": "open", "first": 0, "last": 3})
        await load.handle({"do": "hello", "first": 0, "last": 3, "within_s": 10})
        await served.publish(Order(events=15, rate=0, sessions=3))
        await load.handle({"do": "expect", "each": due, "within_s": 10})
        await load.handle({"do": "cut"})

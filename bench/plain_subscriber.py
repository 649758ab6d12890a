"""Shell: a plain NATS subscription in nats-py, which takes the time of each event: what latency is there without us."""

import asyncio
from time import monotonic_ns
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.dialects.event_text import EVENT
from bench.percentiles import percentiles
from bench.plan import subject
from bench.worker import Handle, main

EVERY = subject(0).replace("c0", "*")
"""The subjects of all sessions."""


class Subscriber:
    """One connection and one subscription."""

    def __init__(self) -> None:
        self._nats = Client()
        self._latencies_ns: list[int] = []
        self._news = asyncio.Event()

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """``subscribe``, or ``expect`` so many events: percentiles of their latencies."""
        if command["do"] == "subscribe":
            self._nats = await nats.connect(command["url"], user="gateway", password=command["password"])
            await self._nats.subscribe(EVERY, cb=self._take)
            await self._nats.flush()
            return {}
        async with asyncio.timeout(command["within_s"]):
            while len(self._latencies_ns) < command["events"]:
                self._news.clear()
                await self._news.wait()
        taken, self._latencies_ns = self._latencies_ns, []
        if len(taken) != command["events"]:
            raise AssertionError(f"{len(taken)} events came, {command['events']} were due")
        return dict(percentiles(taken))

    async def _take(self, message: Msg) -> None:
        event = EVENT.fullmatch(message.data)
        assert event is not None, "what a publisher of ours sends"
        self._latencies_ns.append(monotonic_ns() - int(event[3]))
        self._news.set()


async def make() -> Handle:
    """A subscriber without a connection."""
    return Subscriber().handle


if __name__ == "__main__":
    main(make)

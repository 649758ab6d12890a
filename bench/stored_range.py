"""Shell: reads a range of the stream once: a consumer, pulled as fast as it goes, into a function that counts.

Whoever catches up a crowd reads at least this.
"""

import asyncio
import time
from typing import Any

import msgspec

from bench.worker import Handle, main
from mesh.api import Api, ApiError, ConsumerInfo
from mesh.embedded import USERS
from mesh.event import read_delivery
from mesh.link import Link, LinkSettings
from security.errors import UpstreamUnavailable
from security.secret import Secret

BATCH = 1_000
"""Events asked for at once; two such questions are open."""
EXPIRES_NS = 30_000_000_000
"""How long a question stands."""


class Reader:
    """Reads one range, in order, with nothing left out."""

    def __init__(self, first: int, last: int) -> None:
        self.broken = ""
        self.asked = 0
        self.seq = first - 1
        self.last = last
        self.news = asyncio.Event()

    def received(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        """A tap's callback."""
        delivery = read_delivery(subject, reply, data, headers)
        if delivery is None:
            return
        if delivery.event.seq != self.seq + 1:
            self.broken = f"got {delivery.event.seq} after {self.seq}"
        self.seq += 1
        self.asked -= 1
        if self.asked <= BATCH or self.seq >= self.last or self.broken:
            self.news.set()


async def read(link: Link, stream: str, first: int, last: int) -> None:
    """Read every event from ``first`` to ``last``."""
    reader, inbox = Reader(first, last), f"{link.inbox}.range"
    tap = await link.tap(inbox, reader.received)
    config = {
        "name": "range",
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": first,
        "ack_policy": "none",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": EXPIRES_NS,
    }
    body = {"stream_name": stream, "config": config, "action": "create"}
    made = await Api(link).call("CONSUMER.CREATE", f"{stream}.range", body, ConsumerInfo)
    if isinstance(made, ApiError):
        raise UpstreamUnavailable(made.description)
    pull = msgspec.json.encode({"batch": BATCH, "expires": EXPIRES_NS})
    while reader.seq < last and not reader.broken:
        while reader.asked <= BATCH:
            reader.asked += BATCH
            await link.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.range", pull, reply=inbox)
        reader.news.clear()
        await reader.news.wait()
    if reader.broken:
        raise RuntimeError(reader.broken)
    await link.publish(f"$JS.API.CONSUMER.DELETE.{stream}.range", b"")
    await tap.close()


async def handle(command: dict[str, Any]) -> dict[str, Any]:
    """Read ``first`` to ``last`` as the gateway's user; answers with seconds and seconds of CPU."""
    settings = LinkSettings(
        servers=(command["url"],),
        user="gateway",
        password=Secret(command["password"]),
        inbox_prefix=USERS["gateway"],
    )
    async with Link(settings) as link:
        begun, used = time.monotonic(), time.process_time()
        await read(link, command["stream"], command["first"], command["last"])
        return {"seconds": time.monotonic() - begun, "cpu_s": time.process_time() - used}


async def make() -> Handle:
    """A reader that waits to be told what to read."""
    return handle


if __name__ == "__main__":
    main(make)

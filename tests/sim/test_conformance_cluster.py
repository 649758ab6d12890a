"""The model's three servers and three real ones tell the same of a death."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.servers import linked, replicated, running_cluster
from tests.sim.clock import run
from tests.sim.conformance import Asker
from tests.sim.conformance_cluster import a_consumer_on_a_server_that_dies
from tests.sim.nats import Nats

KNOWN = {
    "info": "no answer from $JS.API.CONSUMER.INFO.EVENTS.durable",
    "reset": "no answer from $JS.API.CONSUMER.RESET.EVENTS.durable",
    "info in memory": "no answer from $JS.API.CONSUMER.INFO.EVENTS.feed",
    "delete": "no answer from $JS.API.CONSUMER.DELETE.EVENTS.durable",
    "create": "no answer from $JS.API.CONSUMER.CREATE.EVENTS.durable",
    "pull": ([], ["NATS/1.0 503"]),
    "made again": (["1 as 1", "2 as 2"], []),
    "back: feed": (["1 as 1", "2 as 2"], []),
}
"""What both find. A durable in a file comes back too, where it was or a moment before."""
BACK: tuple[tuple[list[str], list[str]], ...] = tuple(([f"{n} as {n}", f"{n + 1} as {n + 1}"], []) for n in (1, 2, 3))


def check(found: dict[str, Any]) -> None:
    back = found.pop("back: durable")
    assert back in BACK
    named = {what: text.rpartition("-")[0] if "durable-" in text else text for what, text in found.items()}
    assert named == KNOWN


async def test_a_consumer_on_a_real_server_that_dies(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, topology=replicated()) as cluster:
        servers = {server.settings.cluster.server: server for server in cluster.servers if server.settings.cluster}
        here = next(iter(servers))

        async def kill(name: str) -> None:
            await servers[name].kill()

        async def restart(name: str) -> None:
            await servers[name].start()

        async with linked(servers[here]) as link:
            ask = Asker(link)
            await ask.listen()
            check(await a_consumer_on_a_server_that_dies(ask, here, kill, restart))


@pytest.mark.parametrize("seed", range(10))
def test_a_consumer_on_a_modelled_server_that_dies(seed: int) -> None:
    random = Random(seed)

    async def main() -> dict[str, Any]:
        nats = Nats(random)

        async def kill(name: str) -> None:
            nats.kill(name)

        async def restart(name: str) -> None:
            nats.restart(name)

        link = nats.link("asker", inbox_prefix="_INBOX_op")
        await link.start()
        ask = Asker(link)
        await ask.listen()
        return await a_consumer_on_a_server_that_dies(ask, link.server, kill, restart)

    check(run(main(), random))

"""What we know of three servers, one of which dies, as scripts with hands on the servers.

Reduced to facts: how long an election takes, and who is chosen, is chance.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.sim.conformance import Asker
from tests.until import until

Act = Callable[[str], Awaitable[None]]
"""Does something to a server, by its name."""


async def a_consumer_on_a_server_that_dies(ask: Asker, here: str, kill: Act, restart: Act) -> dict[str, Any]:
    """``here`` is the server that the link is connected to: another one dies. Returns what was found."""
    await ask.put("orders.c1.o1", 5)
    leader = (await ask.api("STREAM.INFO", "EVENTS"))["cluster"]["leader"]
    victim, durables = await _durables_elsewhere(ask, here, leader)
    asked, deleted = durables
    await _feed_on(ask, victim)
    await _served(ask, asked, 2)
    await _served(ask, "feed", 3)
    await kill(victim)
    found: dict[str, Any] = {}
    questions = {
        "info": ask.api("CONSUMER.INFO", f"EVENTS.{asked}", within_s=1.0),
        "reset": ask.api("CONSUMER.RESET", f"EVENTS.{asked}", {"seq": 1}, within_s=1.0),
        "info in memory": ask.api("CONSUMER.INFO", "EVENTS.feed", within_s=1.0),
        "delete": ask.api("CONSUMER.DELETE", f"EVENTS.{deleted}", within_s=1.0),
        "create": ask.durable(asked, "orders.c1.>", within_s=1.0),
    }
    answers = await asyncio.gather(*questions.values())
    found |= {what: answer.get("failed", "answered") for what, answer in zip(questions, answers, strict=True)}
    found["pull"] = await _pulled(ask, asked, 2)

    async def is_deleted() -> bool:
        """A deletion has its effect, though nobody says so."""
        await ask.api("CONSUMER.DELETE", f"EVENTS.{deleted}", within_s=0.3)
        return "error" in await ask.api("CONSUMER.INFO", f"EVENTS.{deleted}", within_s=0.3)

    async def is_made_again() -> bool:
        answer = await ask.durable(deleted, "orders.c1.>", within_s=0.3)
        if "name" not in answer:  # given to the dead server once more
            await ask.api("CONSUMER.DELETE", f"EVENTS.{deleted}", within_s=0.3)
        return "name" in answer

    await until(is_deleted, within_s=20.0)
    await until(is_made_again, within_s=20.0)
    found["made again"] = await _served(ask, deleted, 2)
    await restart(victim)
    for consumer in (asked, "feed"):
        found[f"back: {consumer.partition('-')[0]}"] = await _served(ask, consumer, 2)
    return found


async def _durables_elsewhere(ask: Asker, here: str, leader: str) -> tuple[str, list[str]]:
    """A server that is neither ours nor the stream's leader, if there are three, and two durables on it."""
    by_server: dict[str, list[str]] = {}
    for n in range(100):
        name = f"durable-{n}"
        server = (await ask.durable(name, "orders.c1.>"))["cluster"]["leader"]
        names = by_server.setdefault(server, [])
        names.append(name)
        if server not in (here, leader) and len(names) == 2:
            return server, names
    raise AssertionError("all consumers are on two servers")


async def _feed_on(ask: Asker, server: str) -> None:
    for _ in range(100):
        await ask.feed("feed", 1)
        if (await ask.info("feed"))["cluster"]["leader"] == server:
            return
        await ask.api("CONSUMER.DELETE", "EVENTS.feed")
    raise AssertionError(f"no consumer comes to {server}")


async def _pulled(ask: Asker, consumer: str, batch: int) -> tuple[list[str], list[str]]:
    """Stream and consumer sequences, and the statuses."""
    await ask.pull(consumer, batch=batch, no_wait=True)
    tokens = [reply.split(".") for _, reply, _, _ in ask.deliveries]
    return [f"{t[5]} as {t[6]}" for t in tokens], [status.partition("\r\n")[0] for _, status in ask.statuses]


async def _served(ask: Asker, consumer: str, batch: int) -> tuple[list[str], list[str]]:
    """Pull until it is known that the consumer listens."""
    found: tuple[list[str], list[str]] = [], []

    async def is_known() -> bool:
        nonlocal found
        found = await _pulled(ask, consumer, batch)
        return found[1] != ["NATS/1.0 503"]

    await until(is_known, within_s=15.0)
    return found

"""Shell: a service's process that publishes at full speed: plain, with two sealed classes, and with nats-py alone.

All three send the same events to the same subjects, with a thousand of them under way at most, and have ended when
each was acknowledged. nats-py's ``publish_async`` is what a service would use without us: it sends no message id and
repeats nothing.
"""

import asyncio
import secrets
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import nats
from nats.js.api import PubAck

from bench.plan import PAYLOAD_BYTES, subject
from bench.worker import Handle, main
from mesh.embedded import USERS
from mesh.envelope import Envelopes
from mesh.link import Link, LinkSettings
from mesh.publisher import Publisher, PublisherSettings
from security.keyring import KEY_BYTES, KeyRing, SealingKey
from security.policy import Policy, Rule
from security.secret import Secret

PEOPLE = 100
"""Data subjects, each with a key a class."""
CLASSES = {"contact": "/phone", "person": "/name"}
"""What is sealed in an event: class and place."""
UNDER_WAY = PublisherSettings().in_flight
"""Events handed over and not yet acknowledged."""
WARM = 1_000
"""Events before the measured ones."""


_CLEAR = {"order": f"{0:08d}", "status": "packed", "phone": "+49 171 2345678", "name": "Ada Lovelace", "pad": ""}
_PAD = "x" * (PAYLOAD_BYTES - len(msgspec.json.encode(_CLEAR)))


def event(n: int) -> dict[str, str]:
    """The ``n``-th event, ``PAYLOAD_BYTES`` of JSON when nothing is sealed."""
    return _CLEAR | {"order": f"{n:08d}", "pad": _PAD}


class Service:
    """Publishes in one of three ways; one connection for each command."""

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """Publish ``events``; answers with seconds and seconds of CPU of this process."""
        url, password, events = command["url"], command["password"], command["events"]
        match command["do"]:
            case "plain":
                return await self._publish(url, password, events, Envelopes())
            case "sealed":
                policy = Policy(Rule("orders.{sub}.>", place, name) for name, place in CLASSES.items())
                return await self._publish(url, password, events, Envelopes(policy, KeyRing(_keys())))
            case "nats-py":
                return await self._publish_with_nats(url, password, events)
            case other:
                raise ValueError(f"no way {other}")

    async def _publish(self, url: str, password: str, events: int, envelopes: Envelopes) -> dict[str, Any]:
        settings = LinkSettings(
            servers=(url,), user="publisher", password=Secret(password), inbox_prefix=USERS["publisher"]
        )
        async with Link(settings) as link, Publisher(link, envelopes) as publisher:
            begun, used, last = time.monotonic(), time.process_time(), None
            for n in range(WARM + events):
                if n == WARM:
                    await publisher.drain()
                    begun, used = time.monotonic(), time.process_time()
                last = await publisher.hand_over(subject(n % PEOPLE), event(n))
            await publisher.drain()
            if last is not None:
                await last  # raises when it was refused, as all then were
            told = {"seconds": time.monotonic() - begun, "cpu_s": time.process_time() - used}
            return told | {"stored": publisher.acknowledged - WARM, "repeated": publisher.repeated}

    async def _publish_with_nats(self, url: str, password: str, events: int) -> dict[str, Any]:
        client = await nats.connect(url, user="publisher", password=password, inbox_prefix=USERS["publisher"].encode())
        try:
            stream = client.jetstream(publish_async_max_pending=UNDER_WAY)
            begun, used = time.monotonic(), time.process_time()
            done: list[asyncio.Future[PubAck]] = []
            for n in range(WARM + events):
                if n == WARM:
                    await asyncio.gather(*done)
                    done, begun, used = [], time.monotonic(), time.process_time()
                done.append(await stream.publish_async(subject(n % PEOPLE), msgspec.json.encode(event(n))))
            acks = await asyncio.gather(*done)
            told = {"seconds": time.monotonic() - begun, "cpu_s": time.process_time() - used}
            return told | {"stored": sum(not ack.duplicate for ack in acks), "repeated": 0}
        finally:
            await client.close()


def _keys() -> Iterator[SealingKey]:
    for number in range(PEOPLE):
        person = subject(number).split(".")[1]
        for name in CLASSES:
            yield SealingKey(
                f"{person}-{name}",
                secrets.token_bytes(KEY_BYTES),
                tenant="default",
                data_subject=person,
                field_class=name,
                epoch=1,
                created=int(time.time()) - 1,
            )


async def make() -> Handle:
    """A service without a connection."""
    return Service().handle


if __name__ == "__main__":
    main(make)

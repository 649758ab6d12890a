"""Shell: the publisher's process: Tidewire's own ``Publisher``, the same for every way that is measured."""

import time
from typing import Any

from bench.plan import EVERYONE, NOBODY, payload, subject
from bench.worker import Handle, main, paced
from mesh.link import Link, LinkSettings
from mesh.publisher import PublishAck, Publisher
from security.secret import Secret


class Publishing:
    """Publishes to subjects; remembers how many events each has had."""

    def __init__(self) -> None:
        self._link: Link | None = None
        self._publisher: Publisher | None = None
        self._next: dict[str, int] = {}

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """``connect`` to a server, or ``publish``."""
        if command["do"] == "connect":
            settings = LinkSettings(
                servers=(command["url"],),
                user="publisher",
                password=Secret(command["password"]),
                inbox_prefix="_INBOX_pub",
            )
            self._link = Link(settings)
            await self._link.start()
            self._publisher = await Publisher(self._link).__aenter__()
            return {}
        sessions = range(command["first"], command["first"] + command["sessions"])
        return await self._publish(command["to"], command["events"], command["rate"], sessions)

    async def _publish(self, to: str, events: int, rate: int, sessions: range) -> dict[str, Any]:
        """So many events in all ``to`` ``sessions`` in turn, ``everyone`` or ``nobody``."""
        publisher = self._publisher
        assert publisher is not None, "connect comes first"
        last = None

        async def one(number: int) -> None:
            nonlocal last
            session = sessions[number % len(sessions)] if to == "sessions" else 0
            where = subject(session) if to == "sessions" else EVERYONE if to == "everyone" else NOBODY
            n = self._next.get(where, 0)
            self._next[where] = n + 1
            last = await publisher.hand_over(where, payload(session, n, time.monotonic_ns()))

        before = publisher.acknowledged
        await paced(events, rate, one)
        await publisher.drain()
        ack: PublishAck | None = await last if last is not None else None
        return {
            "published": publisher.acknowledged - before,
            "repeated": publisher.repeated,
            "seq": ack.seq if ack else 0,
        }


async def make() -> Handle:
    """A publisher without a connection."""
    return Publishing().handle


if __name__ == "__main__":
    main(make)

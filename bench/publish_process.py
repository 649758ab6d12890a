"""Shell: the publisher's process: Tidewire's own ``Publisher``, the same for every way that is measured."""

import time
from typing import Any

from bench.plan import NOBODY, payload, subject
from bench.worker import Handle, main, paced
from mesh.link import Link, LinkSettings
from mesh.publisher import PublishAck, Publisher
from security.secret import Secret


class Publishing:
    """Publishes to sessions in turn; remembers how many each has had."""

    def __init__(self) -> None:
        self._link: Link | None = None
        self._publisher: Publisher | None = None
        self._next: dict[int, int] = {}

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
        return await self._publish(command["sessions"], command["each"], command["rate"])

    async def _publish(self, sessions: int, each: int, rate: int) -> dict[str, Any]:
        """``each`` events to every session, round and round; no sessions: to nobody, ``each`` in all."""
        publisher = self._publisher
        assert publisher is not None, "connect comes first"
        last = None

        async def one(number: int) -> None:
            nonlocal last
            session = number % sessions if sessions else -1
            n = self._next.get(session, 0)
            self._next[session] = n + 1
            to = subject(session) if sessions else NOBODY
            last = await publisher.hand_over(to, payload(max(session, 0), n, time.monotonic_ns()))

        before = publisher.acknowledged
        await paced(each * (sessions or 1), rate, one)
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

"""A gateway that is misused on raw sockets, and a session on it that must notice nothing."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher
from tests.gateways import Gateway, running_gateway
from tests.servers import linked
from tests.system.raw_socket import RawSocket, frame
from tests.wire_client import WireClient


class Witnessed:
    """The gateway and its witness."""

    def __init__(self, gateway: Gateway, witness: WireClient, publisher: Publisher) -> None:
        self.gateway = gateway
        self.witness = witness
        self.publisher = publisher

    async def still_serves(self) -> None:
        """The witness gets the next event and nothing else, and nobody met a bug."""
        before, seen = len(self.witness.frames), len(self.witness.seqs)
        ack = await (await self.publisher.hand_over("orders.witness.o1", {"n": seen}))
        await self.witness.until("event", seen + 1)
        assert [each["type"] for each in self.witness.frames[before:]] == ["event"]
        assert self.witness.seqs[-1] == ack.seq
        assert self.gateway.house.counters.closes[1011] == 0

    async def greet(self, socket: RawSocket) -> None:
        """Connect a session over a raw JSON socket and read up to ``live``."""
        client = self.gateway.client("raw", ["orders.raw.>"])
        await socket.send(frame(msgspec.json.encode(client.connect_frame)))
        received = b""
        while b'"live"' not in received:
            received += (await socket.read())[1]


@contextlib.asynccontextmanager
async def witnessed_gateway(server: EmbeddedServer, folder: Path) -> AsyncIterator[Witnessed]:
    """A running gateway whose witness is live."""
    async with (
        linked(server, user="publisher") as link,
        Publisher(link) as publisher,
        running_gateway(server, folder) as gateway,
        gateway.client("witness", ["orders.witness.>"]) as witness,
    ):
        await witness.until("live")
        yield Witnessed(gateway, witness, publisher)

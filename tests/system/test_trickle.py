"""A reader that reads a trickle beside a hundred that read at once: it loses nothing, and nobody waits for it."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from gateway.phase import Phase
from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher
from tests.gateways import Gateway, running_gateway
from tests.servers import linked
from tests.until import until
from tests.wire_client import WireClient

EVENTS = 400
PAYLOAD = "x" * 8_000
NORMAL = 100
WIDE = {"messages": 10_000, "bytes": 8_388_608}
"""The largest window that a client may ask for."""


async def slow_socket(gateway: Gateway, session: str) -> WireClient:
    """A client that acknowledges but does not read its socket."""
    client = gateway.client("c42", ["events.all.>"], session=session, tidewire={"read": ["events.all.>"]})
    await client.open()
    await client.send(client.connect_frame)
    await client.until("live")
    assert client.socket is not None
    client.socket.transport.pause_reading()
    return client


async def time_of_a_burst(server: EmbeddedServer, readers: list[WireClient]) -> float:
    """Seconds until a hundred readers have got a burst of events."""
    had = [len(reader.seqs) for reader in readers]
    begun = time.perf_counter()
    async with linked(server, user="publisher") as link, Publisher(link) as publisher:
        acks = [await publisher.hand_over("events.all.x", {"n": n, "pad": PAYLOAD}) for n in range(EVENTS // 4)]
        await asyncio.gather(*acks)
    await asyncio.gather(
        *(reader.until("event", count + EVENTS // 4, 30) for reader, count in zip(readers, had, strict=True))
    )
    return time.perf_counter() - begun


@pytest.mark.timeout(120)
async def test_a_trickle_reader_loses_nothing_and_slows_nobody(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    """P4.4."""
    config = {"recent": {"recent_events": 40}}
    async with running_gateway(nats_server, tmp_path, **config) as gateway:
        readers = [
            gateway.client("c1", ["events.all.>"], session=f"n{n}", ack=True, tidewire={"read": ["events.all.>"]})
            for n in range(NORMAL)
        ]
        await asyncio.gather(*(reader.__aenter__() for reader in readers))
        try:
            await asyncio.gather(*(reader.until("live", 1, 30) for reader in readers))
            await time_of_a_burst(nats_server, readers)
            alone_s = await time_of_a_burst(nats_server, readers)
            trickle = await slow_socket(gateway, "trickle")
            session = next(c.session for c in gateway.house.exchange.by_key.values() if c.owner.session == "trickle")
            beside_s = min([await time_of_a_burst(nats_server, readers) for _ in range(4)])
            assert beside_s < alone_s * 2 + 0.5, f"{alone_s} s alone, {beside_s} s beside the trickle reader"
            assert session.phase is Phase.LAGGING
            assert session.outstanding[0] < EVENTS
            assert session.outstanding[1] <= gateway.config.window.bytes
            assert trickle.close_code is None
            assert trickle.socket is not None
            for _ in range(20):  # a little, again and again
                trickle.socket.transport.resume_reading()
                await asyncio.sleep(0)
                trickle.socket.transport.pause_reading()
            trickle.ack = True
            trickle.socket.transport.resume_reading()
            await trickle.until("event")
            await trickle.send({"type": "ack", "seq": trickle.seqs[-1]})
            await trickle.until("event", EVENTS, 30)
            await until(lambda: session.phase is Phase.LIVE)
            assert trickle.seqs == readers[0].seqs[-EVENTS:]
            assert not trickle.of("gap")
            await trickle.close()
        finally:
            await asyncio.gather(*(reader.close() for reader in readers))


@pytest.mark.timeout(60)
async def test_a_socket_that_takes_bytes_again_goes_on_without_an_ack(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """P4.4: only a full window waits for acknowledgements."""
    count = 1_000  # less than the window, and more than the kernel's buffers take
    async with running_gateway(nats_server, tmp_path) as gateway:
        client = gateway.client("c42", ["events.all.>"], window=WIDE, tidewire={"read": ["events.all.>"]})
        await client.open()
        await client.send(client.connect_frame)
        await client.until("live")
        assert client.socket is not None
        narrow = client.socket.transport.get_extra_info("socket")
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # else the kernel takes it all
        client.socket.transport.pause_reading()
        (connection,) = gateway.house.exchange.by_key.values()
        async with linked(nats_server, user="publisher") as link, Publisher(link) as publisher:
            acks = [await publisher.hand_over("events.all.x", {"n": n, "pad": PAYLOAD}) for n in range(count)]
            await asyncio.gather(*acks)
        # the publisher's last answer may overtake the feed: the session lags from the first event after the block
        await until(lambda: connection.session.is_blocked and connection.session.phase is Phase.LAGGING)
        client.socket.transport.resume_reading()
        await client.until("event", count, 30)
        await until(lambda: connection.session.phase is Phase.LIVE)
        await client.close()

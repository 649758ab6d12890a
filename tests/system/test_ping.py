"""A client asks a real gateway whether the link lives: in order, in batches, within the rates, before its welcome."""

from pathlib import Path

import pytest

from mesh.embedded import EmbeddedServer
from tests.gateways import running_gateway
from tests.system.publishing import publish
from tests.wire_client import JSON, MSGPACK

PING = {"type": "ping"}
PONG = {"type": "pong"}


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
async def test_each_ping_of_a_client_has_its_pong_in_order(
    nats_server: EmbeddedServer, tmp_path: Path, encoding: str
) -> None:  # P2.25
    async with (
        running_gateway(nats_server, tmp_path) as gateway,
        gateway.client("c42", ["orders.c42.>"], encoding=encoding) as client,
    ):
        await client.send(PING)  # before the welcome: like any frame it is read after it
        await client.until("pong")
        assert client.frames[0]["type"] == "welcome"
        assert client.of("pong") == [PONG]
        await client.until("live")
        told = len(client.frames)
        await client.send(PING, {"type": "request", "id": 1, "subject": "s"}, {**PING, "later": [1]}, {"type": "dance"})
        await client.until("error")
        assert [each["type"] for each in client.frames[told:]] == ["pong", "reply", "pong", "error"]
        seqs = await publish(nats_server, "orders.c42.o1", 2)
        await client.until("event", 2)
        assert client.seqs == seqs
        assert client.close_code is None


async def test_pings_of_a_client_count_against_its_rate(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    """P2.25, P7.1."""
    limits = {"frames_per_s": 1, "frames_burst": 5}
    async with running_gateway(nats_server, tmp_path, limits=limits) as gateway:
        async with gateway.client("c42", ["orders.c42.>"]) as client:
            await client.until("live")
            await client.send(*[PING] * 5)
            await client.until("pong", 5)
            await client.send(*[PING] * 6)
            assert (await client.closed(), client.close_reason) == (4429, "rate limited")
            assert client.of("pong") == [PONG] * 5

"""Pings and pongs of RFC 6455 without end: each costs the gateway as much as a frame, so they have a limit as well."""

from pathlib import Path

import msgspec
import pytest

from mesh.embedded import EmbeddedServer
from tests.gateways import running_gateway
from tests.system.raw_socket import CLOSE, PING, PONG, TEXT, frame, raw_socket

BURST = 20


@pytest.mark.parametrize("kind", [PING, PONG])
@pytest.mark.parametrize("is_known", [True, False])
async def test_pings_beyond_the_burst_are_too_many(
    nats_server: EmbeddedServer,
    tmp_path: Path,
    kind: int,
    is_known: bool,  # noqa: FBT001
) -> None:
    """P7.1. Pieces of a message are no such frames."""
    limits = {"frames_per_s": 1, "frames_burst": BURST}
    async with running_gateway(nats_server, tmp_path, limits=limits) as gateway, raw_socket(gateway) as socket:
        if is_known:
            client = gateway.client("c1", ["orders.c1.>"])
            await socket.send(frame(msgspec.json.encode(client.connect_frame)))
            while b"live" not in (await socket.read())[1]:
                pass
        await socket.send(frame(b"p", kind) * BURST + frame(b"", TEXT, fin=False) + frame(b"", 0, fin=False) * 100)
        await socket.send(frame(b"q", kind) * 5)
        *pongs, close = await socket.ended()
        assert close == (CLOSE, (4429).to_bytes(2) + b"rate limited")
        came = [payload for opcode, payload in pongs if opcode == PONG]
        assert came[:BURST] == ([b"p"] * BURST if kind == PING else [])
        assert len(came) <= BURST + 4, "a second may have passed"

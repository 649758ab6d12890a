"""Random and mutated frames in bursts on a gateway process: it lives, keeps its size, and serves others meanwhile.

``make fuzz`` sends a hundred thousand of them; the short run, a part.
"""

import asyncio
import os
from pathlib import Path

import aiohttp
import msgspec
import psutil  # type: ignore[import-untyped]
import pytest

from gateway.frames import JSON, MSGPACK
from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher
from tests.gateway_process import GatewayProcess, running_process
from tests.servers import linked
from tests.system.hostile import Hostile, judged
from tests.system.raw_socket import BINARY, TEXT, frame, raw_socket
from tests.until import until
from tests.wire_client import WireClient

FRAMES = int(os.environ.get("HOSTILE_FRAMES", "12000"))
BURST = 300
STRANGERS_EVERY = 4
"""Of so many connections one is never welcomed."""
GROWTH_MOST_MB = 12
WARM = 0.3
"""The part of the frames after which the process has the size that it must keep."""


class Siege:
    """What the attackers have done together."""

    def __init__(self, gateway: GatewayProcess) -> None:
        assert gateway.process is not None
        self.gateway = gateway
        self.process = psutil.Process(gateway.process.pid)
        self.sent = 0
        self.codes: dict[int, int] = {}
        self.warm_bytes = 0

    def note(self, sent: int, code: int) -> None:
        self.sent += sent
        self.codes[code] = self.codes.get(code, 0) + 1
        if not self.warm_bytes and self.sent > FRAMES * WARM:
            self.warm_bytes = self.process.memory_info().rss

    async def attack(self, slot: int) -> None:
        """Open sockets and misuse them until enough was sent."""
        encoding = (JSON, MSGPACK)[slot % 2]
        hostile = Hostile(f"hostile {slot}", encoding)
        place = 0
        while self.sent < FRAMES:
            place += 1
            before = hostile.sent
            if place % STRANGERS_EVERY == 0:
                code = await self.misuse_as_a_stranger(hostile)
            else:
                code = await self.misuse_a_session(hostile, f"h{slot}")
            self.note(hostile.sent - before, code)

    async def misuse_a_session(self, hostile: Hostile, session: str) -> int:
        encoding = hostile.encoding
        client = WireClient(self.gateway.url, None, self.gateway.token("hostile"), session, ["orders.hostile.>"])
        async with raw_socket(self.gateway, encoding) as socket:
            first = client.connect_frame
            raw = msgspec.json.encode(first) if encoding == JSON else msgspec.msgpack.encode(first)
            await socket.send(frame(raw, TEXT if encoding == JSON else BINARY))
            received = await socket.read()
            while b"live" not in received[1]:
                assert judged([received], encoding) == 0
                received = await socket.read()
            reading = asyncio.create_task(socket.ended(20))
            fatal, code = hostile.fatal()
            await socket.send(hostile.harmless(BURST))
            behind = hostile.anything(20) if hostile.random.random() < 0.5 else b""
            await socket.send(fatal + behind)
            came = judged(await reading, encoding)
            assert came == code or (behind and came == 1007), (came, code)  # bad UTF-8 behind it may be met first
            return code

    async def misuse_as_a_stranger(self, hostile: Hostile) -> int:
        async with raw_socket(self.gateway, hostile.encoding) as socket:
            reading = asyncio.create_task(socket.ended(20))
            await socket.send(hostile.anything(BURST // 10))
            code = judged(await reading, hostile.encoding)
            assert code in {4400, 4501, 1007}, code
            return code


async def serves(gateway: GatewayProcess) -> bool:
    url = gateway.url.replace("wss://", "https://").replace("/v1/session", "/ready")
    async with aiohttp.ClientSession() as http, http.get(url, ssl=gateway.tls) as answer:
        return answer.status == 200


@pytest.mark.timeout(240)
async def test_hostile_frames_harm_nobody(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with (
        linked(nats_server, user="publisher") as link,
        Publisher(link) as publisher,
        running_process(nats_server, tmp_path) as gateway,
    ):
        await until(lambda: serves(gateway), 20)
        patterns = ["orders.witness.>"]
        witness = WireClient(gateway.url, gateway.tls, gateway.token("witness"), "witness", patterns, ack=True)
        async with witness:
            await witness.until("live")
            siege = Siege(gateway)
            attackers = [asyncio.create_task(siege.attack(slot)) for slot in range(6)]
            seqs: list[int] = []
            while not all(attacker.done() for attacker in attackers):
                ack = await publisher.hand_over("orders.witness.o1", {"n": len(seqs)})
                seqs.append((await ack).seq)
                await witness.until("event", len(seqs), within_s=5)
                await asyncio.wait(attackers, timeout=0.05)
            for attacker in attackers:
                attacker.result()
            grown_mb = (siege.process.memory_info().rss - siege.warm_bytes) / 2**20
            assert siege.sent >= FRAMES
            assert siege.codes.keys() == {4400, 4501, 1007}
            assert grown_mb < GROWTH_MOST_MB
            assert witness.seqs == seqs
            assert {each["type"] for each in witness.frames} <= {"welcome", "live", "event"}
            assert gateway.process is not None
            assert gateway.process.returncode is None
    assert "a session failed" not in (tmp_path / "log").read_text()

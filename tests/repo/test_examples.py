"""The example client does what the protocol asks, against a gateway that follows a script."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.repo.sources import ROOT

STREAM = "EVENTS:1795420000000000000"
NEXT_STREAM = "EVENTS:1795420000000000001"
EXAMPLE = ROOT / "examples" / "websockets_client.py"


def welcome(stream: str, after: int, outcome: str) -> dict[str, Any]:
    window = {"messages": 1000, "bytes": 1_048_576}
    return {"type": "welcome", "session": "pixel-7", "stream": stream, "outcome": outcome, "from": after} | {
        "pending": None, "expires": 4_000_000_000, "ping": 25, "window": window, "subjects": ["orders.c42.>"]
    }  # fmt: skip


def event(seq: int) -> dict[str, Any]:
    return {"type": "event", "seq": seq, "subject": "orders.c42.o7", "time": "2026-11-23T08:00:00Z", "data": {"n": seq}}


class Script:
    """A gateway of three connections: a cut by drain, a cut by a replaced stream, a takeover."""

    def __init__(self) -> None:
        self.hellos: list[dict[str, Any]] = []
        self.failures: list[BaseException] = []

    async def __call__(self, socket: ServerConnection) -> None:
        """Play the next connection; what goes wrong is kept for the test."""
        try:
            hello = json.loads(await socket.recv())
            self.hellos.append(hello)
            await (self._first, self._second, self._third)[len(self.hellos) - 1](socket)
        except BaseException as failure:
            self.failures.append(failure)
            raise

    async def _send(self, socket: ServerConnection, *frames: dict[str, Any]) -> None:
        await socket.send(json.dumps(frames[0] if len(frames) == 1 else frames))

    async def _expect(self, socket: ServerConnection, frame: dict[str, Any]) -> None:
        assert json.loads(await socket.recv()) == frame

    async def _end(self, socket: ServerConnection, code: int) -> None:
        await self._send(socket, {"type": "goodbye", "code": code, "reason": "x", "reconnect": code < 4500, "after": 0})
        await socket.close(code)

    async def _first(self, socket: ServerConnection) -> None:
        await self._send(socket, welcome(STREAM, 10, "fresh"))
        await self._send(socket, event(11), event(12), {"type": "live", "seq": 14})
        await self._expect(socket, {"type": "ack", "seq": 14})
        await self._send(socket, {"type": "ping"}, {"type": "of a later version"})
        await self._expect(socket, {"type": "pong"})
        await self._send(socket, event(15))
        await self._expect(socket, {"type": "ack", "seq": 15})
        await self._end(socket, 4001)

    async def _second(self, socket: ServerConnection) -> None:
        await self._send(socket, welcome(STREAM, 14, "gap"), event(15))
        await self._send(socket, {"type": "gap", "after": 15, "before": 20, "reason": "expired"}, event(20))
        await self._expect(socket, {"type": "ack", "seq": 20})
        await self._end(socket, 4006)

    async def _third(self, socket: ServerConnection) -> None:
        gap = {"type": "gap", "after": 0, "before": 1, "reason": "stream_replaced"}
        await self._send(socket, welcome(NEXT_STREAM, 0, "gap"), gap, event(1), event(2))
        await self._expect(socket, {"type": "ack", "seq": 2})
        await self._end(socket, 4509)


async def test_the_example_client_resumes_drops_repeats_and_stops_when_told(tmp_path: Path) -> None:
    script, state = Script(), tmp_path / "position.json"
    async with serve(
        script, "127.0.0.1", 0, subprotocols=[Subprotocol("tidewire.v1.json")], compression=None
    ) as server:
        port = server.sockets[0].getsockname()[1]
        arguments = (f"ws://127.0.0.1:{port}/v1/session", "a-token", "pixel-7", "orders.c42.>", "--state", str(state))
        direct = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        client = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLE), *arguments, stdout=PIPE, stderr=PIPE, env=direct
        )
        async with asyncio.timeout(20):
            printed, told = await client.communicate()
    assert not script.failures, told.decode()
    assert client.returncode == 3, told.decode()
    assert [json.loads(line)["seq"] for line in printed.splitlines()] == [11, 12, 15, 20, 1, 2]
    connect = {"type": "connect", "token": "a-token", "session": "pixel-7", "subscribe": ["orders.c42.>"]}
    assert script.hellos == [
        connect,
        connect | {"resume": {"stream": STREAM, "seq": 15}},
        connect | {"resume": {"stream": STREAM, "seq": 20}},
    ]
    assert json.loads(state.read_text()) == {"stream": NEXT_STREAM, "seq": 2}
    assert b"stream_replaced" in told
    assert b"a-token" not in told

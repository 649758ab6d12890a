"""Shell: a gateway of a few lines, right for some scenarios, with one fault at a time: the command must see each."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Frame = dict[str, Any]

WELCOME: Frame = {
    "type": "welcome",
    "stream": "EVENTS:1795420000000000000",
    "outcome": "fresh",
    "from": 41,
    "pending": 0,
    "expires": 1795423600,
    "ping": 25,
    "window": {"messages": 7, "bytes": 70_000},
}
LIVE: Frame = {"type": "live", "seq": 41}
EVENT: Frame = {"type": "event", "seq": 42, "subject": "s", "time": "2026-11-23T08:00:01Z", "data": 1}
GOODBYE: Frame = {"type": "goodbye", "code": 4400, "reason": "bad frame", "reconnect": True}
UNKNOWN: Frame = {"type": "error", "code": "unknown_type", "message": "unknown frame type", "retry": False}

BEFORE_WELCOME: dict[str, list[Frame]] = {"an event before welcome": [EVENT], "live before welcome": [LIVE]}
AFTER_WELCOME: dict[str, list[Frame]] = {
    "welcome twice": [WELCOME | {"session": "s", "subjects": []}],
    "an event that was not due": [EVENT],
    "no type": [{"seq": 1}],
    "a sequence that is a text": [EVENT | {"seq": "42"}],
    "sequences that fall": [EVENT, EVENT],
    "an event with data and data_b64": [EVENT | {"data_b64": "AA=="}],
    "an event without data": [{name: value for name, value in EVENT.items() if name != "data"}],
    "replay false": [EVENT | {"replay": False}],
    "a reply with data and error": [{"type": "reply", "id": 1, "data": 1, "error": {"code": "limit", "message": ""}}],
    "an error of no code of the page": [UNKNOWN | {"code": "oops"}],
    "a gap of no reason of the page": [{"type": "gap", "after": 1, "before": 3, "reason": "lost"}],
}
AT_THE_END: dict[str, Frame] = {
    "goodbye with another code": GOODBYE | {"code": 4413, "reason": "frame too large"},
    "goodbye with another reason": GOODBYE | {"reason": "seq must be an integer"},
    "goodbye that says stay away": GOODBYE | {"reconnect": False},
}
CLOSES = {"another close code": (4413, "frame too large"), "a reason that tells": (4400, "seq is no integer")}
WELCOMES: dict[str, Frame] = {
    "no expires": {"expires": None},
    "a window of nothing": {"window": {"messages": 0, "bytes": 70_000}},
    "denied without need": {"denied": []},
    "an outcome of its own": {"outcome": "ok"},
    "another session": {"session": "pixel"},
}
OTHERS = {"binary messages", "no JSON", "an empty batch", "compression", "no subprotocol", "silence", "no pong"}
FAULTS = sorted({*BEFORE_WELCOME, *AFTER_WELCOME, *AT_THE_END, *CLOSES, *WELCOMES, *OTHERS})
TRIED = (
    "a new session is welcomed at the newest event",
    "compression is offered",
    "an unknown type is told",
    "a wrong frame says goodbye",
)
"""The scenarios that it passes in JSON when it has no fault."""


class _Wrong:
    def __init__(self, fault: str) -> None:
        self.fault = fault

    async def __call__(self, socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._serve(socket)

    async def _serve(self, socket: ServerConnection) -> None:
        connect = json.loads(await socket.recv())
        if self.fault == "silence":
            await socket.wait_closed()
        changes = WELCOMES.get(self.fault, {})
        welcome = WELCOME | {"session": connect["session"], "subjects": connect["subscribe"]} | changes
        window = connect.get("window")
        if window and "window" not in changes:
            welcome["window"] = window
        # what nobody knows may always be there (P2.1, P2.3)
        welcome |= {"later": [1]}
        for frame in [*BEFORE_WELCOME.get(self.fault, []), welcome, {"type": "later"}, LIVE]:
            await self._send(socket, frame)
        for frame in AFTER_WELCOME.get(self.fault, []):
            await self._send(socket, frame)
        if self.fault == "an empty batch":
            await socket.send("[]")
        async for message in socket:
            await self._answer(socket, json.loads(message))

    async def _answer(self, socket: ServerConnection, frame: Frame) -> None:
        if frame.get("type") == "ping":
            if self.fault != "no pong":
                await self._send(socket, {"type": "pong"})
        elif frame.get("type") in ("dance", "", "ACK", "welcome"):
            await self._send(socket, UNKNOWN)
        else:
            await self._send(socket, AT_THE_END.get(self.fault, GOODBYE))
            await socket.close(*CLOSES.get(self.fault, (4400, "bad frame")))

    async def _send(self, socket: ServerConnection, frame: Frame) -> None:
        text = json.dumps(frame)
        if self.fault == "no JSON":
            text = text.replace('"', "'")
        await socket.send(text.encode() if self.fault == "binary messages" else text)


@contextlib.asynccontextmanager
async def wrong_gateway(fault: str) -> AsyncIterator[str]:
    """A gateway with one of ``FAULTS``, or with none; yields its URL."""
    subprotocols = [] if fault == "no subprotocol" else [Subprotocol("tidewire.v1.json")]
    compression = "deflate" if fault == "compression" else None
    async with serve(
        _Wrong(fault), "127.0.0.1", 0, subprotocols=subprotocols or None, compression=compression, close_timeout=1
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/session"
        await asyncio.sleep(0)

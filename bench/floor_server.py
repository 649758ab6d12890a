"""Shell: the floor: aiohttp on uvloop with TLS that writes ready-made frames straight to the transports, no more.

Whatever delivers events from aiohttp does at least this.
"""

import asyncio
import ssl
from typing import Any

from aiohttp import WSMsgType, web

from bench.plan import payload, subject
from bench.websocket import server_text
from bench.worker import Handle, main, paced

FRAME = (
    b'{"type":"event","seq":1000000,"subject":"%s","time":"2026-01-01T00:00:00.123456789Z",'
    b'"id":"0123456789abcdef0123456789abcdef","data":%s}'
)


class Floor:
    """Sockets, and frames written to them."""

    def __init__(self) -> None:
        self._transports: dict[int, Any] = {}

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """``start``, or ``write``: events, ``together`` in one write, to all transports or to one after the other."""
        if command["do"] == "start":
            return await self._start(command["certificate"], command["key"])
        frame = FRAME % (subject(100).encode(), payload(0, 0, 0))
        together: int = command["together"]
        ready = server_text(frame if together == 1 else b"[" + b",".join([frame] * together) + b"]")
        transports = list(self._transports.values())
        writes = command["events"] // together

        async def to_all(number: int) -> None:
            for transport in transports:
                transport.write(ready)
            await asyncio.sleep(0)  # writes leave at the end of a turn: without it several would share one

        async def to_one(number: int) -> None:
            transports[number % len(transports)].write(ready)

        await paced(writes, command["rate"] // together, to_all if command["to_all"] else to_one)
        return {}

    async def _start(self, certificate: str, key: str) -> dict[str, Any]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        app = web.Application()
        app.router.add_get("/v1/session", self._serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, backlog=4_096).start()
        return {"port": runner.addresses[0][1]}

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("tidewire.v1.json",), compress=False)
        await socket.prepare(request)
        transport = request.transport
        assert transport is not None, "upgraded"
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            if id(transport) not in self._transports:  # what comes after it are acknowledgements, which nobody needs
                self._transports[id(transport)] = transport
                transport.write(server_text(b'{"type":"live","seq":0}'))
        self._transports.pop(id(transport), None)
        return socket


async def make() -> Handle:
    """A server that waits to be told to start."""
    return Floor().handle


if __name__ == "__main__":
    main(make)

"""Shell: the floor: aiohttp on uvloop with TLS that writes ready-made frames straight to the transports, no more.

Whatever delivers events from aiohttp does at least this.
"""

import ssl
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from bench.plan import payload, subject
from bench.websocket import server_text
from bench.worker import Handle, main, paced

FRAME = (
    b'{"type":"event","seq":1000000,"subject":"%s","time":"2026-01-01T00:00:00.123456789Z",'
    b'"id":"0123456789abcdef0123456789abcdef","data":%s}'
)


class Floor:
    """Sockets, and frames written to them in turn."""

    def __init__(self) -> None:
        self._transports: dict[int, Any] = {}

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """``start``, or ``write`` so many events to each, ``together`` in one write."""
        if command["do"] == "start":
            return await self._start(command["certificate"], command["key"])
        frame = FRAME % (subject(100).encode(), payload(0, 0, 0))
        together: int = command["together"]
        ready = server_text(frame if together == 1 else b"[" + b",".join([frame] * together) + b"]")
        transports = list(self._transports.values())

        async def one(number: int) -> None:
            transports[number % len(transports)].write(ready)

        await paced(command["each"] // together * len(transports), command["rate"] // together, one)
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
            if msgspec.json.decode(message.data)["type"] == "connect":
                self._transports[id(transport)] = transport
                transport.write(server_text(b'{"type":"live","seq":0}'))
        self._transports.pop(id(transport), None)
        return socket


async def make() -> Handle:
    """A server that waits to be told to start."""
    return Floor().handle


if __name__ == "__main__":
    main(make)

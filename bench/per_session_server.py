"""Shell: the obvious way, written well: a durable pull consumer for each session, pulled for ever.

aiohttp on uvloop, TLS, nats-py; one connection to NATS, one subscription and one open pull request a session. The
callback takes what came and puts what is waiting into one WebSocket message; the client's cumulative ack becomes one
JetStream ack (``ack_policy`` all). It checks no tokens and keeps no second copy of anything: what it does is the least
that keeps a session's place in JetStream, so what it costs is what the way costs.
"""

import asyncio
import ssl
import sys
from collections import deque
from typing import Any

import msgspec
import nats
from aiohttp import WSMsgType, web
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.worker import Handle, main

STREAM = "EVENTS"
INBOX = "_INBOX_gw"
BATCH = 500
"""Messages asked for by one pull request."""
EXPIRES_S = 30.0
"""Seconds that a pull request waits."""
TOGETHER = 100
"""Most events in one WebSocket message."""
CREATES = 32
"""Consumers made at once."""


class _Connect(msgspec.Struct):
    session: str
    subscribe: list[str]


class _Ack(msgspec.Struct):
    seq: int


class _Event(msgspec.Struct):
    type: str
    seq: int
    subject: str
    time: str
    data: msgspec.Raw


class Session:
    """One WebSocket and its consumer."""

    def __init__(self, server: "Server", socket: web.WebSocketResponse, connect: _Connect) -> None:
        self._server = server
        self._socket = socket
        self._name = connect.session
        self._subjects = connect.subscribe
        self._inbox = f"{INBOX}.{connect.session}.{server.next_token()}"
        self._unacked: deque[tuple[int, str]] = deque()
        self._frames: list[bytes] = []
        self._asked = 0
        self._subscription: Any = None
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Make the consumer if it is not there, and pull."""
        config = {
            "durable_name": self._name,
            "deliver_policy": "new",
            "ack_policy": "all",
            "ack_wait": 300_000_000_000,
            "max_ack_pending": 1_000,
            "filter_subjects": self._subjects,
            "inactive_threshold": 86_400_000_000_000,
        }
        body = msgspec.json.encode({"stream_name": STREAM, "config": config})
        async with self._server.creating:
            made = await self._server.nats.request(f"$JS.API.CONSUMER.CREATE.{STREAM}.{self._name}", body, timeout=10)
        if b'"error"' in made.data:
            raise RuntimeError(made.data.decode())
        self._subscription = await self._server.nats.subscribe(self._inbox, cb=self._received)
        await self._socket.send_str('{"type":"live","seq":0}')
        await self._pull()

    async def close(self) -> None:
        """Stop pulling; the consumer stays."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def acknowledge(self, seq: int) -> None:
        """The client has processed everything up to ``seq``: one JetStream ack."""
        reply = None
        while self._unacked and self._unacked[0][0] <= seq:
            reply = self._unacked.popleft()[1]
        if reply is not None:
            await self._server.nats.publish(reply, b"+ACK")

    async def _pull(self) -> None:
        self._asked = BATCH
        body = b'{"batch":%d,"expires":%d}' % (BATCH, int(EXPIRES_S * 1e9))
        await self._server.nats.publish(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self._name}", body, reply=self._inbox)

    async def _received(self, message: Msg) -> None:
        if not message.reply:  # a status: the pull request has ended
            await self._write()
            await self._pull()
            return
        metadata = message.metadata
        seq = metadata.sequence.stream
        time = metadata.timestamp.isoformat()
        self._unacked.append((seq, message.reply))
        self._frames.append(
            self._server.encoder.encode(_Event("event", seq, message.subject, time, msgspec.Raw(message.data)))
        )
        self._asked -= 1
        if self._subscription.pending_msgs == 0 or len(self._frames) >= TOGETHER:
            await self._write()
        if self._asked == 0:
            await self._pull()

    async def _write(self) -> None:
        frames, self._frames = self._frames, []
        if frames:
            text = frames[0] if len(frames) == 1 else b"[" + b",".join(frames) + b"]"
            await self._socket.send_frame(text, WSMsgType.TEXT)


class Server:
    """The HTTP server."""

    def __init__(self) -> None:
        self.nats: Client = Client()
        self.encoder = msgspec.json.Encoder()
        self.creating = asyncio.Semaphore(CREATES)
        self._tokens = 0

    def next_token(self) -> int:
        """A number not used before in this process."""
        self._tokens += 1
        return self._tokens

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """Start; answers with the port."""
        self.nats = await nats.connect(
            command["url"],
            user="gateway",
            password=command["password"],
            inbox_prefix=INBOX.encode(),
            error_cb=_complain,
            disconnected_cb=_disconnected,
        )
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(command["certificate"], command["key"])
        app = web.Application()
        app.router.add_get("/v1/session", self._serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, backlog=4_096)
        await site.start()
        return {"port": runner.addresses[0][1]}

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("tidewire.v1.json",), compress=False, decode_text=False)
        await socket.prepare(request)
        session: Session | None = None
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                if session is not None:
                    await session.acknowledge(msgspec.json.decode(message.data, type=_Ack).seq)
                else:
                    session = Session(self, socket, msgspec.json.decode(message.data, type=_Connect))
                    await session.open()
        except ConnectionError:
            pass
        finally:
            if session is not None:
                await session.close()
        return socket


async def _complain(error: Exception) -> None:
    sys.stderr.write(f"per-session server: {type(error).__name__}: {error}\n")


async def _disconnected() -> None:
    sys.stderr.write("per-session server: NATS closed the connection\n")


async def make() -> Handle:
    """A server that waits to be told where NATS is."""
    return Server().handle


if __name__ == "__main__":
    main(make)

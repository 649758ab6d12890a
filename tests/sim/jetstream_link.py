"""The gateway's own ``Link``, with a simulated wire in the place of nats-py's client.

Supervising, heartbeats, requests and taps are the code under test; what it would say to a socket goes to the model.
"""

import asyncio
import contextvars
import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from nats.errors import ConnectionClosedError

from mesh.link import Link, LinkSettings
from mesh.nats_client import TapCallback, TappedClient
from tests.sim.jetstream_passage import Passage

if TYPE_CHECKING:
    from tests.sim.nats import Nats

log = logging.getLogger(__name__)

TOGETHER_EVERY = 3
"""One message in so many comes with others: it is handed on with what comes within ``TOGETHER_S``."""
TOGETHER_S = 0.002
NO_RESPONDERS = b"NATS/1.0 503\r\nNats-Subject: %s\r\n\r\n"


class _Subscription:
    def __init__(self, wire: "Wire", subject: str) -> None:
        self._wire = wire
        self._subject = subject

    async def unsubscribe(self) -> None:
        wire = self._wire
        wire.up.send(partial(wire.heard.pop, self._subject, None))


class Wire:
    """One connection between a link and a server, both directions in order: all of nats-py's client that Link uses."""

    _transport = None
    is_full = False

    def __init__(self, nats: "Nats", link: "SimLink", server: str, taps: Mapping[str, TapCallback]) -> None:
        self._nats = nats
        self._link = link
        self._taps = taps
        self.inbox = link.inbox
        self.server = server
        self.up = Passage(nats.latency)
        self.down = Passage(nats.latency)
        self.heard: dict[str, None] = {}
        """Subjects that the server knows to be listened to."""
        self.is_open = False
        self._came = 0

    async def connect(self) -> None:
        """Reach the server; ``ConnectionRefusedError`` when it is down."""
        await asyncio.sleep(self._nats.latency())
        if self.server not in self._nats.living:
            raise ConnectionRefusedError(self.server)
        self.is_open = True
        self._nats.wires[self.inbox] = self

    def send(self, subject: str, payload: bytes, reply: str, headers: dict[str, str] | None) -> None:
        """Send a message to the server."""
        self._require_open()
        self.up.send(partial(self._nats.receive, self, subject, payload, reply, header_block(headers)))

    async def subscribe(self, subject: str) -> _Subscription:
        """Ask the server for what comes on a subject."""
        self._require_open()
        self.up.send(partial(self.heard.setdefault, subject))
        return _Subscription(self, subject)

    def hears(self, subject: str) -> str | None:
        """The pattern, known to the server, by which a subject is listened to."""
        if (siblings := subject[: subject.rfind(".")] + ".*") in self.heard:
            return siblings
        return next((pattern for pattern in self.heard if self._nats.matches(pattern, subject)), None)

    def deliver(self, pattern: str, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        """Send a message from the server to the tap of a pattern."""
        self.down.send(partial(self._arrived, pattern, subject, reply, data, headers))

    def _arrived(self, pattern: str, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        tap = self._taps.get(pattern)
        if tap is None:
            return
        try:
            self._link.context.copy().run(tap, subject, reply, data, headers)
        except Exception:  # as the real client does: one tap must not deafen the others
            log.exception("tap failed", extra={"tap": pattern})
        self._came += 1
        if self._came % TOGETHER_EVERY:
            self._has_read()
        else:  # more is still being read
            asyncio.get_running_loop().call_later(TOGETHER_S, self._has_read)

    def _has_read(self) -> None:
        for callback in list(self._link.after_read):
            self._link.context.copy().run(callback)

    async def _send_ping(self, pong: "asyncio.Future[bool]") -> None:
        self._require_open()
        self.up.send(lambda: self.down.send(lambda: None if pong.done() else pong.set_result(True)))

    async def _close(self, status: int, do_cbs: bool) -> None:  # noqa: FBT001  # nats-py's
        del status, do_cbs
        if self.is_open and not self.up.held_s:
            self.up.flush()  # as nats-py does with what is not written yet
        self.cut()

    def cut(self) -> None:
        """Break the connection: a part of what was on its way to the server may have arrived, the rest is lost."""
        if not self.is_open:
            return
        self.is_open = False
        if self.server in self._nats.living:
            self.up.lose(self._nats.random)
        self.up.clear()
        self.down.clear()
        self.heard.clear()
        if self._nats.wires.get(self.inbox) is self:
            del self._nats.wires[self.inbox]
        self._link.wire_is_lost()

    def _require_open(self) -> None:
        if not self.is_open:
            raise ConnectionClosedError


class SimLink(Link):
    """A link into the model."""

    def __init__(self, nats: "Nats", settings: LinkSettings) -> None:
        super().__init__(settings)
        self._nats = nats
        self.context = contextvars.copy_context()
        """Of whoever made the link: what a tap does is that process's doing, not the sender's."""

    def cut(self) -> None:
        """Break the connection; the link makes a new one by itself."""
        if (wire := self._wire) is not None:
            wire.cut()

    def stall(self, for_s: float) -> None:
        """Let nothing through for so long, in either direction, then everything in order."""
        if (wire := self._wire) is not None:
            wire.up.hold(for_s)
            wire.down.hold(for_s)

    def unstall(self) -> None:
        """End a stall."""
        if (wire := self._wire) is not None:
            wire.up.release()
            wire.down.release()

    def wire_is_lost(self) -> None:
        """Called by the wire when it breaks."""
        self._ended()

    @property
    def server(self) -> str:
        """Name of the server that the link is connected to; empty when to none."""
        return self._wire.server if self._wire is not None and self._wire.is_open else ""

    @property
    def _wire(self) -> Wire | None:
        return cast("Wire | None", self._client)

    async def _connect(self, server: str) -> None:
        self._lost.clear()
        wire = Wire(self._nats, self, server, self._taps)
        client = self._client = cast("TappedClient", wire)
        async with asyncio.timeout(self.settings.connect_s):
            await wire.connect()
            await self._subscribe_missing(client)
            await self._ping(client)
            await self._subscribe_missing(client)
        self.connects += 1
        self._up.set()
        for callback in list(self.changed):
            callback(True)  # noqa: FBT003

    async def _subscribe_missing(self, client: TappedClient) -> None:
        while missing := [subject for subject in self._taps if subject not in self._subscriptions]:
            await self._subscribe(client, missing[0])


def header_block(headers: Mapping[str, Any] | None) -> bytes:
    """Headers as they are stored and sent."""
    if not headers:
        return b""
    return ("NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()

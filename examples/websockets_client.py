"""Shell: a client written from docs/protocol.md alone, on the PyPI package websockets; none of our code.

Prints one JSON line per event on stdout, and what happens to the connection on stderr. Exit code 3: refused.
Comments cite the clauses of the protocol.
"""
# ruff: noqa: T201, S311 (it is a command; its random numbers spread load)

import argparse
import asyncio
import json
import random
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

ACK_AFTER_S = 0.1  # P2.16: one ack for many events
SILENCE_S = 10.0  # P2.38: beyond the gateway's own ping


class RefusedError(Exception):
    """The gateway said that coming back is pointless without a person."""


class Client:
    """One session: keeps its position over any number of connections."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.stream: str | None = None  # None: nothing stored yet
        self.seq = 0  # newest processed
        self.failures = 0
        self.after_ms: float | None = None
        self.live_since: float | None = None
        if options.state and options.state.exists():
            stored = json.loads(options.state.read_text())
            self.stream, self.seq = stored["stream"], stored["seq"]

    def store(self, seq: int) -> None:
        """Keep the position; a crash leaves the old file or the new one."""
        self.seq = seq
        if self.options.state:
            beside = self.options.state.with_suffix(".new")
            beside.write_text(json.dumps({"stream": self.stream, "seq": seq}))
            beside.replace(self.options.state)

    def take(self, frame: dict[str, Any]) -> None:
        """Do what one frame asks for, apart from answering it. Unknown frames are ignored (P2.3)."""
        match frame["type"]:
            case "welcome":
                if frame["stream"] != self.stream:  # P6.2, P6.3: another stream, or nothing stored yet
                    self.stream, self.seq = frame["stream"], frame["from"]
                    if frame["outcome"] != "gap":  # else once the gap was dealt with
                        self.store(self.seq)
                say(frame)
            case "event" if frame["seq"] > self.seq:  # P6.2: what is at or below was processed before
                print(json.dumps(frame), flush=True)  # the application's work comes first, then the position (P6.1)
                self.store(frame["seq"])
            case "live":
                say(frame)
                self.store(max(self.seq, frame["seq"]))  # P2.36
                self.live_since = self.live_since or time.monotonic()
            case "gap":
                say(frame)  # P6.8: an application reloads its state here; the position does not move (P6.4)
                self.store(self.seq)  # P6.3: a crash before this line has the gap told again
            case "error" | "goodbye":
                say(frame)
                self.after_ms = frame.get("after")
            case _:
                pass

    async def converse(self, socket: ClientConnection) -> None:
        """Serve one connection until it ends, which raises."""
        loop = asyncio.get_running_loop()
        hello: dict[str, Any] = {"type": "connect", "token": self.options.token, "session": self.options.session}
        hello["subscribe"] = [self.options.pattern]  # P2.12: always the whole list
        if self.stream is not None:
            hello["resume"] = {"stream": self.stream, "seq": self.seq}
        await socket.send(json.dumps(hello))
        acked, ack_due, silent_after_s = self.seq, 0.0, 30.0
        while True:
            frames = await receive(socket, ACK_AFTER_S if self.seq > acked else silent_after_s)
            if not frames and self.seq <= acked:
                raise TimeoutError  # P2.38: nothing heard, the connection is dead
            for frame in frames:
                self.take(frame)
                if frame["type"] == "welcome":
                    silent_after_s, acked = frame["ping"] + SILENCE_S, max(frame["from"], self.seq)
                elif frame["type"] == "ping":
                    await socket.send('{"type":"pong"}')
            if self.seq > acked and loop.time() >= ack_due:
                await socket.send(json.dumps({"type": "ack", "seq": self.seq}))
                acked, ack_due = self.seq, loop.time() + ACK_AFTER_S

    async def run(self) -> None:
        """Connect for ever; raises RefusedError when the gateway says so."""
        tls = ssl.create_default_context(cafile=self.options.ca) if self.options.url.startswith("wss:") else None
        while True:
            self.after_ms = self.live_since = None
            try:
                # P1.5: no compression. P1.8: events of up to 2 MiB. The gateway pings, so the package need not.
                async with Direct(
                    self.options.url,
                    ssl=tls,
                    subprotocols=[Subprotocol("tidewire.v1.json")],
                    compression=None,
                    max_size=2 << 20,
                    ping_interval=None,
                ) as socket:
                    await self.converse(socket)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                say({"closed": code})
                if code >= 4500 or code == 4004:  # P3.1; this client has one token only
                    raise RefusedError(f"refused: {code}") from None
            except InvalidStatus as refused:
                if refused.response.status_code < 500:  # P3.5
                    raise RefusedError(f"refused: HTTP {refused.response.status_code}") from None
            except (OSError, TimeoutError, InvalidHandshake, InvalidMessage) as failure:
                say({"failed": type(failure).__name__})
            await asyncio.sleep(self.wait_s())

    def wait_s(self) -> float:
        """Return how long to wait before the next attempt (P6.6). Draws; changes the number of failures."""
        if self.live_since is not None and time.monotonic() > self.live_since + 10:
            self.failures = 0
        self.failures += 1
        if self.after_ms is not None:
            return self.after_ms / 1000 * random.uniform(1.0, 1.5)
        if self.failures == 1:
            return random.uniform(0.0, 0.5)
        return random.uniform(0.5, min(20.0, 0.5 * 2.0 ** min(self.failures, 10)))


async def receive(socket: ClientConnection, within_s: float) -> list[dict[str, Any]]:
    """Return the frames of the next message (P1.4), none when it did not come in time."""
    try:
        async with asyncio.timeout(within_s):
            message = json.loads(await socket.recv())
    except TimeoutError:
        return []
    return message if isinstance(message, list) else [message]


class Direct(connect):
    """A connect that follows no redirect: the token is for the configured host alone (P6.7)."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Give every failure back as it is."""
        return exc


def say(what: dict[str, Any]) -> None:
    """Tell a person, on stderr."""
    print(json.dumps(what), file=sys.stderr, flush=True)


def main() -> int:
    """Read the command line and run until stopped."""
    parser = argparse.ArgumentParser(description="Print a session's events, one JSON line each.")
    for name in ("url", "token", "session", "pattern"):
        parser.add_argument(name)
    parser.add_argument("--ca", help="file with the certificates to trust; default: the system's")
    parser.add_argument("--state", type=Path, help="file that keeps the position between runs")
    try:
        asyncio.run(Client(parser.parse_args()).run())
    except RefusedError as refused:
        print(refused, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Sessions that come and go at random while events are published, and an oracle that knows what each must have got."""

import asyncio
import ssl
from collections.abc import Sequence
from random import Random
from typing import Any, Protocol

import msgspec
from websockets.exceptions import WebSocketException

from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher
from security.errors import UpstreamUnavailable
from tests.servers import linked
from tests.until import until
from tests.wire_client import WireClient


class Reachable(Protocol):
    """A gateway that a client can connect to."""

    url: str
    tls: ssl.SSLContext

    def token(self, subject: str = "c42", **tidewire: Any) -> str:
        """A development token."""
        ...


SUBJECTS = [f"orders.t{n}.x" for n in range(30)]


class Oracle:
    """What was stored: sequence and subject, as the stream acknowledged it."""

    def __init__(self) -> None:
        self.stored: dict[int, str] = {}

    def due(self, subjects: Sequence[str], after: int) -> list[int]:
        """Sequences that a session with these subjects must get when it began after ``after``."""
        return sorted(seq for seq, subject in self.stored.items() if seq > after and subject in subjects)


class Wanderer:
    """A client with a state of its own, which is what survives its connections."""

    def __init__(self, number: int, random: Random) -> None:
        self.name = f"wanderer-{number}"
        self.random = random
        self.subjects = sorted(random.sample(SUBJECTS, 3))
        self.stream = ""
        self.begun_after: int | None = None
        self.processed: list[int] = []
        self.position: int | None = None
        self.handovers = 0
        self.gaps = 0
        self.refusals: list[int] = []

    async def visit(self, gateway: Reachable, stay_s: float, *, until_seq: int | None = None) -> None:
        """Connect, process what comes for a while, and be cut (or stay until ``until_seq`` was processed)."""
        resume = (self.stream, self.position) if self.position is not None and self.random.random() < 0.8 else None
        client = WireClient(
            gateway.url,
            gateway.tls,
            gateway.token(self.name, read=["orders.>"]),
            "w",
            self.subjects,
            resume=resume,
            window={"messages": self.random.choice([3, 50, 1000])},
        )
        try:
            async with client:
                try:
                    async with asyncio.timeout(stay_s):
                        await self.process(client, until_seq)
                except TimeoutError:
                    if until_seq is not None:
                        where = f"position {self.position} of {until_seq}, window {client.connect_frame['window']}"
                        raise AssertionError(f"{self.name} is stuck: {where}; {client.frames[-3:]}") from None
                if until_seq is None and self.random.random() < 0.8:
                    await client.cut()
        except (OSError, WebSocketException, TimeoutError):
            pass  # the gateway or the way to it was gone
        if client.close_code is not None and client.close_code >= 4000:
            self.refusals.append(client.close_code)

    async def process(self, client: WireClient, until_seq: int | None) -> None:
        """Take frames as they come, acknowledge most of them, until the socket ends or ``until_seq`` was processed."""
        seen = last = 0
        while True:
            frames, seen = client.frames[seen:], len(client.frames)
            for frame in frames:
                last = self.take(frame, last)
            if last and self.random.random() < 0.7:
                await client.send({"type": "ack", "seq": last})
            if client.close_code is not None or (until_seq is not None and until_seq <= (self.position or 0)):
                return
            client.news.clear()
            if seen == len(client.frames):
                if last:  # whoever waits for more has acknowledged all
                    await client.send({"type": "ack", "seq": last})
                await client.news.wait()

    def take(self, frame: dict[str, Any], last: int) -> int:
        """Process one frame; ``last`` is the newest sequence of this connection, as is the answer."""
        match frame["type"]:
            case "welcome":
                self.stream = frame["stream"]
                if self.begun_after is None:
                    self.begun_after = self.position = frame["from"]
            case "live":
                self.handovers += 1
            case "gap":
                self.gaps += 1
            case "event":
                assert frame["seq"] > last, "a repeat or a step back on one connection"
                if self.position is None or frame["seq"] > self.position:
                    self.processed.append(frame["seq"])
                    self.position = frame["seq"]
                return int(frame["seq"])
            case _:
                pass
        return last


async def publish_for_ever(server: Sequence[EmbeddedServer], oracle: Oracle, random: Random, pause_s: float) -> None:
    """A service that publishes until it is cancelled; only what was acknowledged counts as stored."""
    async with linked(*server, user="publisher") as link, Publisher(link) as publisher:
        number = 0
        while True:
            subject = random.choice(SUBJECTS)
            number += 1
            try:
                ack = await publisher.publish(subject, {"n": number})
            except UpstreamUnavailable:
                continue  # not acknowledged: perhaps stored, so not counted
            oracle.stored[ack.seq] = subject
            if number % 8 == 0:
                await asyncio.sleep(pause_s)


async def torture(
    servers: Sequence[EmbeddedServer],
    gateways: Sequence[Reachable],
    *,
    seed: int,
    sessions: int = 40,
    handovers: int = 300,
    events: int = 0,
    at_least_s: float = 0.0,
    within_s: float = 40.0,
    trouble: Sequence[asyncio.Task[None]] = (),
    oracle: Oracle | None = None,
) -> list[Wanderer]:
    """Run until so many hand-overs and events are done, then let everyone catch up and compare with the oracle.

    ``trouble``: tasks that make some, cancelled before everyone catches up.
    """
    oracle = Oracle() if oracle is None else oracle
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    publishing = asyncio.create_task(publish_for_ever(servers, oracle, Random(f"{seed}/publisher"), 0.02))
    wanderers = [Wanderer(n, Random(f"{seed}/{n}")) for n in range(sessions)]
    stop = asyncio.Event()

    async def wander(wanderer: Wanderer) -> None:
        while not stop.is_set():
            await wanderer.visit(wanderer.random.choice(gateways), wanderer.random.uniform(0.05, 1.0))
            await asyncio.sleep(wanderer.random.uniform(0.0, 0.8))

    tasks = [asyncio.create_task(wander(wanderer)) for wanderer in wanderers]

    def enough() -> bool:
        for task in (publishing, *tasks):
            if task.done():
                task.result()
        made = sum(wanderer.handovers for wanderer in wanderers)
        processed = sum(len(wanderer.processed) for wanderer in wanderers)
        return loop.time() - begun_s >= at_least_s and made >= handovers and processed >= events

    try:
        await until(enough, within_s)
        for task in trouble:
            task.cancel()
        stop.set()
        await asyncio.gather(*tasks)
    finally:
        stop.set()
        publishing.cancel()
        for task in (*tasks, *trouble):
            task.cancel()
        await asyncio.gather(publishing, *tasks, *trouble, return_exceptions=True)
    await settle(wanderers, gateways, oracle)
    return wanderers


async def settle(wanderers: Sequence[Wanderer], gateways: Sequence[Reachable], oracle: Oracle) -> None:
    """Everyone comes back once more and gets the rest; then each has got what the oracle says."""

    async def finish(wanderer: Wanderer) -> None:
        assert wanderer.begun_after is not None, "everyone was there once"
        due = oracle.due(wanderer.subjects, wanderer.begun_after)
        tries = 0
        # a publish that was cut off may be stored behind the last one that was acknowledged
        while due and (wanderer.position or 0) < due[-1]:
            tries += 1
            assert tries < 20, f"{wanderer.name} does not get the rest"
            await wanderer.visit(wanderer.random.choice(gateways), 15, until_seq=due[-1])
            if (wanderer.position or 0) < due[-1]:
                await asyncio.sleep(0.2)
        extra = [seq for seq in wanderer.processed if seq not in oracle.stored]
        got = [seq for seq in wanderer.processed if seq in oracle.stored]
        missing = sorted(set(due) - set(got))
        assert not missing, f"{wanderer.name} missed {missing[:10]} of {len(due)}"
        assert got == due, f"{wanderer.name}: not the oracle's order"
        # a publish whose acknowledgement was lost with its server may be stored all the same
        assert len(extra) <= 20, msgspec.json.encode(extra)

    await asyncio.gather(*(finish(wanderer) for wanderer in wanderers))

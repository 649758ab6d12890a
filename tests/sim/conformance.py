"""What we know of JetStream, as scripts that ask it: a real server and the model must give the same answers.

A script speaks through a ``Link`` and nothing else. Its results are lists of plain values without what a server makes
up (times, names of its own). Each begins with empty streams.
"""

import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from mesh.link import Link
from mesh.topology import SECOND_NS, Topology
from security.errors import UpstreamUnavailable
from tests.until import until

Script = Callable[["Asker"], Awaitable[None]]

MADE_UP = (
    "cluster",
    "config",
    "created",
    "first_ts",
    "last_active",
    "last_ts",
    "limit",
    "num_redelivered",
    "num_subjects",
    "offset",
    "stream_name",
    "time",
    "total",
    "ts",
)
"""Fields of answers that differ from server to server, or that nobody here reads."""


def adding_to(scripts: dict[str, Script]) -> Callable[[Script], Script]:
    """A decorator that adds a script under its name."""

    def script(function: Script) -> Script:
        scripts[function.__name__] = function
        return function

    return script


class Asker:
    """Asks, and keeps what was answered in ``seen``."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._tokens = itertools.count(1)
        self.seen: list[object] = []
        self.deliveries: list[tuple[str, ...]] = []
        self.statuses: list[tuple[str, str]] = []

    async def start(self) -> None:
        """Listen, and begin with empty streams."""
        await self.listen()
        for config in Topology().configs():
            await self.make_stream(config)
        self.seen.clear()

    async def listen(self) -> None:
        """Hear what pulls bring."""
        await self.link.tap(f"{self.link.inbox}.x.*", self._received)

    async def make_stream(self, config: dict[str, Any]) -> None:
        """Delete a stream and make it anew."""
        await self.api("STREAM.DELETE", config["name"])
        await self.api("STREAM.CREATE", config["name"], config)

    async def api(self, verb: str, name: str, body: object = None, *, within_s: float = 5.0) -> dict[str, Any]:
        """One question to the API."""
        payload = msgspec.json.encode(body) if body is not None else b""
        answer: dict[str, Any]
        try:
            reply = await self.link.request(f"$JS.API.{verb}.{name}", payload, timeout_s=within_s)
            answer = msgspec.json.decode(reply.payload)
        except UpstreamUnavailable as error:
            answer = {"failed": str(error).split(" within ")[0]}
        self.seen.append((verb, _plain(answer)))
        return answer

    async def info(self, consumer: str) -> dict[str, Any]:
        """CONSUMER.INFO."""
        return await self.api("CONSUMER.INFO", f"EVENTS.{consumer}")

    async def get(self, **body: object) -> None:
        """STREAM.MSG.GET."""
        await self.api("STREAM.MSG.GET", "EVENTS", body)

    async def durable(
        self, name: str, *filters: str, action: str = "", within_s: float = 5.0, **more: object
    ) -> dict[str, Any]:
        """CONSUMER.CREATE of a session's durable."""
        config = {
            "name": name,
            "durable_name": name,
            "deliver_policy": "all",
            "ack_policy": "none",
            "replay_policy": "instant",
            "max_deliver": -1,
            "num_replicas": 1,
            "filter_subjects": filters,
            **more,
        }
        body = {"stream_name": "EVENTS", "config": config, "action": action}
        return await self.api("CONSUMER.CREATE", f"EVENTS.{name}", body, within_s=within_s)

    async def feed(self, name: str, start_seq: int, action: str = "create") -> None:
        """CONSUMER.CREATE of a feed."""
        config = {
            "name": name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": start_seq,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 30 * SECOND_NS,
        }
        body = {"stream_name": "EVENTS", "config": config, "action": action}
        await self.api("CONSUMER.CREATE", f"EVENTS.{name}", body)

    async def reset(self, name: str, seq: int | None) -> None:
        """CONSUMER.RESET."""
        body = {"seq": seq} if seq is not None else None
        await self.api("CONSUMER.RESET", f"EVENTS.{name}", body, within_s=2.0)

    async def put(self, subject: str, count: int = 1, data: bytes = b"x", **headers: str) -> None:
        """Publish and keep the acknowledgements."""
        named = {name.replace("_", "-"): value for name, value in headers.items()} or None
        for _ in range(count):
            try:
                reply = await self.link.request(subject, data, headers=named)
                self.seen.append(reply.payload.decode())
            except UpstreamUnavailable as error:
                self.seen.append(str(error))

    async def put_counted(self, subject: str, count: int, *consumers: str, **headers: str) -> None:
        """Publish what these consumers match, and wait until they count it: a server tells them after it has answered.

        Until then they say that there is nothing.
        """
        before = {consumer: await self._count(consumer, "num_pending") for consumer in consumers}
        await self.put(subject, count, b"x", **headers)
        for consumer, pending in before.items():
            await self.until_pending(consumer, pending + count)

    async def until_pending(self, consumer: str, count: int) -> None:
        """Wait until a consumer counts so many messages; how often was asked is not kept."""
        await self._until_info(consumer, "num_pending", count)

    async def until_waiting(self, consumer: str, count: int) -> None:
        """Wait until so many pulls wait at a consumer."""
        await self._until_info(consumer, "num_waiting", count)

    async def put_to_waiting(self, subject: str, count: int) -> None:
        """Publish to pulls that wait, each message when the one before was heard.

        A delivery says how many messages are left, and a server may have stored the next before it counts.
        """
        for _ in range(count):
            heard = len(self.deliveries)
            await self.put(subject)
            await until(partial(self._have_come, heard + 1), within_s=5.0)

    async def send_pull(self, consumer: str, **body: object) -> None:
        """Ask for messages; what comes is in ``deliveries`` and ``statuses``."""
        subject = f"$JS.API.CONSUMER.MSG.NEXT.EVENTS.{consumer}"
        reply = f"{self.link.inbox}.x.{next(self._tokens)}"
        await self.link.publish(subject, msgspec.json.encode(body), reply=reply)

    async def pull(self, consumer: str, **body: Any) -> None:
        """Ask for messages and wait for the end of it."""
        self.forget()
        await self.send_pull(consumer, **body)
        await until(lambda: self._is_over or self._have_come(body["batch"]), within_s=5.0)
        self.note()

    async def ended(self, count: int) -> None:
        """Wait until so many pulls were ended by a status."""
        await until(lambda: len([1 for _, status in self.statuses if " 100 " not in status]) >= count, within_s=5.0)

    def forget(self) -> None:
        """Begin to listen anew."""
        self.deliveries.clear()
        self.statuses.clear()

    def note(self) -> None:
        """Keep what was heard."""
        self.seen.append((tuple(self.deliveries), tuple(self.statuses)))

    async def put_key(self, key: str, value: bytes, revision: int | None = None, **headers: str) -> None:
        """Write a key of the bucket."""
        if revision is not None:
            headers["Nats_Expected_Last_Subject_Sequence"] = str(revision)
        await self.put(f"$KV.cursors.{key}", 1, value, **headers)

    async def get_key(self, key: str) -> None:
        """Read a key by direct get."""
        reply = await self.link.request(f"$JS.API.DIRECT.GET.KV_cursors.$KV.cursors.{key}")
        self.seen.append((reply.payload, _timeless(reply.headers)))

    async def get_keys(self, *keys: str) -> None:
        """Read keys by one direct get."""
        heard: list[tuple[bytes, bytes]] = []
        tap = await self.link.tap(f"{self.link.inbox}.y.*", lambda *came: heard.append(came[2:]))
        body = msgspec.json.encode({"multi_last": [f"$KV.cursors.{key}" for key in keys]})
        await self.link.publish("$JS.API.DIRECT.GET.KV_cursors", body, reply=f"{self.link.inbox}.y.1")
        await until(lambda: bool(heard) and not heard[-1][1].startswith(b"NATS/1.0\r\n"), within_s=5.0)
        await tap.close()
        self.seen += [(data, _timeless(headers)) for data, headers in heard]

    async def _until_info(self, consumer: str, field: str, count: int) -> None:
        for _ in range(1_000):
            if await self._count(consumer, field) == count:
                return
        raise AssertionError(f"{field} of {consumer} is not {count}")

    async def _count(self, consumer: str, field: str) -> int:
        answer = await self.info(consumer)
        self.seen.pop()
        count: int = answer[field]
        return count

    def _have_come(self, count: int) -> bool:
        return len(self.deliveries) >= count

    @property
    def _is_over(self) -> bool:
        return any(" 100 " not in status for _, status in self.statuses)

    def _received(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if reply:
            tokens = reply.decode().split(".")
            kept = (*tokens[:7], tokens[8])  # without the time
            self.deliveries.append((subject.decode(), ".".join(kept), data.decode(), headers.decode()))
        else:
            self.statuses.append((subject.decode().rpartition(".")[2], headers.decode()))


def _timeless(headers: bytes) -> list[bytes]:
    return [line for line in headers.split(b"\r\n") if not line.startswith(b"Nats-Time-Stamp: ")]


def _plain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _plain(inner) for key, inner in sorted(value.items()) if key not in MADE_UP}

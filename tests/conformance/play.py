"""Shell: plays one scenario of tests/vectors/gateway_wire.json, step by step, in one encoding."""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from tests.conformance.connection import Closed, Connection, Target
from tests.conformance.encoding import JSON, MSGPACK, Deviation
from tests.conformance.matching import World, mismatch, resolve
from tests.conformance.publishing import Publisher

Scenario = dict[str, Any]


class Stage(msgspec.Struct, kw_only=True):
    """What all scenarios of one run share."""

    target: Target
    document: dict[str, Any]
    """tests/vectors/gateway_wire.json."""
    token: str
    other_token: str | None
    short_token: Callable[[], str] | None
    """Makes a token that ends soon; called before each scenario that needs one."""
    prefix: str
    publish: Publisher | None
    pace: Callable[[], Awaitable[None]]
    """Awaited before each connection: the gateway limits how many an address may open."""
    run: str = msgspec.field(default_factory=lambda: secrets.token_hex(4))
    count: Iterator[int] = msgspec.field(default_factory=itertools.count)

    def world(self, encoding: str, case: Any = None) -> World:
        """A session and a subject that no other scenario uses."""
        own = f"conformance-{self.run}-{next(self.count)}"
        texts = {
            "token": self.token,
            "other-token": self.other_token or "",
            "session": own,
            "subject": f"{self.prefix}.{own}",
        }
        known = frozenset(self.document["members"])
        return World(encoding=encoding, texts=texts, templates=self.document["templates"], known=known, case=case)


def needs(scenario: Scenario) -> list[str]:
    """What a scenario cannot do without: ``publisher``, ``other-token``, ``short-token``, ``time``, ``limits``."""
    text = msgspec.json.encode(scenario).decode()
    found = ["publisher"] if any("publish" in step for step in scenario["steps"]) else []
    found += [name for name in ("other-token", "short-token") if f"<{name}>" in text]
    return found + [need for field, need in (("slow", "time"), ("limits", "limits")) if scenario.get(field)]


async def play(stage: Stage, scenario: Scenario, encoding: str) -> None:
    """Play a scenario, once for each of its cases; raises ``Deviation`` at the first step that goes wrong."""
    cases = scenario.get("cases", {"": None})
    for name, case in cases.items():
        try:
            world = stage.world(encoding, case)
            if "short-token" in needs(scenario):
                assert stage.short_token is not None, "scenarios that need one are skipped"
                world.texts["short-token"] = await asyncio.to_thread(stage.short_token)
            await _Play(stage, world).steps(scenario["steps"])
        except Deviation as deviation:
            raise Deviation(f"{name}: {deviation}" if name else str(deviation)) from None


class _Play:
    def __init__(self, stage: Stage, world: World) -> None:
        self._stage = stage
        self._world = world
        self._connections: dict[str, Connection] = {}

    async def steps(self, steps: list[dict[str, Any]]) -> None:
        try:
            for number, step in enumerate(steps, 1):
                kind = next(iter(step))
                try:
                    await getattr(self, f"_{kind}")(step)
                except Deviation as deviation:
                    raise Deviation(f"step {number}, {kind}: {deviation}") from None
                except Closed as end:
                    raise Deviation(f"step {number}, {kind}: the gateway {end}") from None
        finally:
            for connection in self._connections.values():
                await connection.leave()

    def _on(self, step: dict[str, Any]) -> Connection:
        return self._connections[step.get("on", "a")]

    # --- steps, by the names that they have in the file ---

    async def _open(self, step: dict[str, Any]) -> None:
        more = {
            name: resolve(step[name], self._world)
            for name in ("protocols", "query", "origin", "headers", "compression")
            if name in step
        }
        name = step["open"]
        old = self._connections.get(name)
        if old is not None:
            await old.leave()
        connection = self._connections[name] = Connection(name, self._stage.target, self._world)
        await self._stage.pace()
        status = await connection.open(**more)
        wanted = step.get("status", 101)
        if status != wanted:
            raise Deviation(f"the upgrade was answered with HTTP {status}, not {wanted}")
        if "protocol" in step and connection.subprotocol != step["protocol"]:
            raise Deviation(f"the gateway took {connection.subprotocol}, not {step['protocol']}")
        if status == 101 and connection.extensions:
            raise Deviation(f"the gateway negotiated {connection.extensions} (P1.5)")

    async def _live(self, step: dict[str, Any]) -> None:
        """Open, connect with some changes, be welcomed, with nothing to replay."""
        like = {"$like": "connect", **step.get("with", {})}
        await self._open({"open": step["live"]})
        await self._send({"send": like, "on": step["live"]})
        frames = [{"type": "welcome", "$more": True}, {"type": "live", "seq": {"$is": "position"}}]
        await self._expect({"expect": frames, "on": step["live"]})

    async def _send(self, step: dict[str, Any]) -> None:
        await self._on(step).send(resolve(step["send"], self._world))

    async def _raw(self, step: dict[str, Any]) -> None:
        """Send a text message, or a binary one in hex, for one encoding each."""
        raw = resolve(step["raw"], self._world)
        message = raw[self._world.encoding]
        await self._on(step).send_raw(bytes.fromhex(message["hex"]) if "hex" in message else message["text"])

    async def _expect(self, step: dict[str, Any]) -> None:
        connection = self._on(step)
        within_s = resolve(step["within_s"], self._world) if "within_s" in step else None
        for each in step["expect"]:
            wanted = _in_encoding(each, self._world.encoding)
            frame = await connection.frame(within_s, pings=wanted["type"] == "ping")
            expected = resolve(wanted, self._world)
            if frame["type"] != expected["type"]:
                raise Deviation(f"{_shown(frame)} came, not {expected['type']}")
            told = mismatch(expected, frame, self._world, frame["type"])
            if told:
                raise Deviation(told)

    async def _closed(self, step: dict[str, Any]) -> None:
        """Read to the end; before it may come what announces it, or what ``after`` names."""
        within_s = resolve(step["within_s"], self._world) if "within_s" in step else None
        code, frames = await self._on(step).closed(within_s)
        wanted = step["closed"]
        if code not in (wanted if isinstance(wanted, list) else [wanted]):
            raise Deviation(f"closed with {code}, not {wanted}; before it {[_shown(frame) for frame in frames]}")
        strange = [frame for frame in frames if frame["type"] not in ("error", "goodbye", *step.get("after", ()))]
        if strange:
            raise Deviation(f"{_shown(strange[0])} before the close with {code}")

    async def _quiet(self, step: dict[str, Any]) -> None:
        """Nothing has been sent meanwhile, and the connection lives: a ``ping`` is answered by the next frame."""
        for name in [step["quiet"]] if isinstance(step["quiet"], str) else step["quiet"]:
            connection = self._connections[name]
            await connection.send({"type": "ping"})
            frame = await connection.frame()
            if frame["type"] != "pong":
                raise Deviation(f"{_shown(frame)} came to {name}, where nothing was due")

    async def _silent(self, step: dict[str, Any]) -> None:
        """For so many seconds nothing comes: for connections that may not ask with a ``ping`` yet."""
        try:
            frame = await self._on(step).frame(resolve(step["silent"], self._world), pings="pings" in step)
        except Deviation:
            return
        raise Deviation(f"{_shown(frame)} came, where nothing was due")

    async def _publish(self, step: dict[str, Any]) -> None:
        publish = self._stage.publish
        assert publish is not None, "scenarios that need one are skipped"
        for event in step["publish"]:
            given = resolve(event, self._world)
            if "hex" in given:
                payload = bytes.fromhex(given["hex"])
            else:
                payload = given["text"].encode() if "text" in given else msgspec.json.encode(given.get("data", {}))
            seq = await publish(given["subject"], payload, given.get("headers"))
            self._world.published[given["as"]] = seq

    async def _websocket_ping(self, step: dict[str, Any]) -> None:
        await self._connections[step["websocket_ping"]].ping()

    async def _leave(self, step: dict[str, Any]) -> None:
        await self._connections[step["leave"]].leave()

    async def _cut(self, step: dict[str, Any]) -> None:
        await self._connections[step["cut"]].cut()


def encodings(scenario: Scenario) -> list[str]:
    """In which encodings a scenario is played."""
    return list(scenario.get("encodings", (JSON, MSGPACK)))


def _in_encoding(frame: dict[str, Any], encoding: str) -> dict[str, Any]:
    """An expected frame, or the one of this encoding where they differ."""
    found: dict[str, Any] = frame[encoding] if encoding in frame and "type" not in frame else frame
    return found


def _shown(frame: dict[str, Any]) -> str:
    text = str({name: value for name, value in frame.items() if name != "type"})
    return f"{frame['type']} {text if len(text) < 160 else text[:157] + '...'}"

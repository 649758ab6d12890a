"""A world made of one seed: gateways, devices, a service that publishes, NATS, and what goes wrong between them.

``run`` lets things go wrong for a while, then ends all faults, and asks that everyone is live and has everything
within ``LIVELY_WITHIN_S``. Every frame that is written and every record that is stored is checked as it happens.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any
from unittest import mock

import msgspec
from tidewire_client import WindowSize
from tidewire_client import client as client_module
from tidewire_client import connection as client_connection

from gateway import connection as gateway_connection
from gateway import exchange
from gateway.house import House
from gateway.phase import Phase
from gateway.settings import topology
from replay import sharing, stretch
from replay.record import decode_record
from tests.sim import clock
from tests.sim.devices import Device, DeviceSettings, claims_of
from tests.sim.faults import Faults
from tests.sim.gateways import PROCESS, GatewayNode, Processes, simulated_config
from tests.sim.nats import Nats, NatsSettings
from tests.sim.options import Options, choose
from tests.sim.oracle import ConnectionChecks, Oracle, Violation
from tests.sim.wire import DeviceSocket, Wire

LIVELY_WITHIN_S = 150.0
"""After the last fault everyone is live and has everything within so many virtual seconds of the last delivery."""
CALM_MOST_S = 3_000.0
"""And in no case later than at this virtual time."""
OUTBOX_MORE = 50
"""Frames that may wait for a session beside the events of its window: gaps, pings, answers."""
LOOK_S = 0.1
"""How often states are looked at that show in no frame."""
HOUSES = ("c1", "c2", "c3", "c4", "c5")


class Result(msgspec.Struct, frozen=True):
    """What a run showed."""

    seed: int
    trace_hash: str
    events: int
    deliveries: int
    virtual_s: float
    seen: Counter[str]
    """Rare states and faults, counted."""


Outcome = tuple[int, Result | str]


class World:
    """Everything there is."""

    def __init__(self, seed: int, options: Options, say: Callable[[str], None] | None) -> None:
        self.seed = seed
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.processes = Processes()
        self.nats = Nats(self.random("nats"), NatsSettings(topology=topology(simulated_config(options))))
        self.oracle = Oracle(lambda seq: seq in self.nats.gone)
        self.seen = self.oracle.seen
        self.gateways = [
            GatewayNode(f"gateway-{n + 1}", self.nats, options, self.processes) for n in range(options.gateways)
        ]
        self.devices: dict[str, Device] = {}
        self.wires: dict[Wire, str] = {}
        """Connections and the device at their end."""
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.published = 0
        self._deliveries = 0
        self._say = say
        self._hash = hashlib.sha256()
        self._dials = 0
        self._is_slow = True
        self._has_read: dict[Any, bool] = {}
        """Connections that have read their durable and are not live again."""
        self._counted: dict[str, Counter[str]] = {}
        """By process: what it counts itself, as last looked at."""
        self._chances = {name: self.random(name) for name in ("dial", "publish", "wire")}

    def random(self, name: str) -> Random:
        """A source of chance by name: a new draw here does not move those there."""
        return Random(f"{self.seed}/{name}")

    def trace(self, who: str, what: str) -> None:
        """One line of what happens; all lines together are the run's hash."""
        line = f"{self.loop.time():10.4f} {who:12} {what}"
        self._hash.update(line.encode())
        if self._say is not None:
            self._say(line)

    def fail(self, error: BaseException) -> None:
        """The first failure ends the run."""
        if self.failure is None:
            self.failure = error
            self.failed.set()

    # --- the run ---

    async def run(self) -> Result:
        """Live through chaos and calm. Raises the first ``Violation``."""
        self.loop.set_exception_handler(lambda _loop, context: self._loop_failed(context))
        living = self.loop.create_task(self._live())
        failing = self.loop.create_task(self.failed.wait())
        await asyncio.wait([living, failing], return_when=asyncio.FIRST_COMPLETED)
        if self.failure is None and living.done():
            living.result()
        living.cancel()
        if self.failure is not None:
            raise self.failure
        self.seen.update({f"fault: {kind}": count for kind, count in self.faults.happened.items()})
        return Result(self.seed, self._hash.hexdigest(), self.published, self._deliveries, self.loop.time(), self.seen)

    async def _live(self) -> None:
        options = self.options
        self.faults = Faults(self)
        for gateway in self.gateways:
            await gateway.start()
        await self._until(lambda: all(g.house is not None and g.house.is_ready for g in self.gateways), 30, "a start")
        self._make_devices()
        for name in self.devices:
            self.start_device(name)
        publishing = self.loop.create_task(self._publish())
        looking = self.loop.create_task(self._look())
        await self.faults.run(options.chaos_s)
        self.trace("world", "all faults end")
        await self.faults.end()
        for wire in self.wires:
            wire.slowness_s = 0.0
        self._is_slow = False
        publishing.cancel()
        await self._until(self._is_calm, LIVELY_WITHIN_S, "everyone live with everything")
        for subject in self.subjects():  # once more, when all is well
            self.publish(subject)
        await self._until(self._is_calm, LIVELY_WITHIN_S, "everyone live with everything, at the end")
        looking.cancel()

    async def _until(self, condition: Callable[[], bool], within_s: float, what: str) -> None:
        progress, ends_s = (-1, -1), 0.0
        while not condition():
            done = self._deliveries, sum(len(ledger.pending) for ledger in self.oracle.ledgers.values())
            if done != progress:
                progress, ends_s = done, self.loop.time() + within_s
            if self.loop.time() > min(ends_s, CALM_MOST_S):
                raise Violation(f"not {what} within {within_s} s: {self._who_is_late()}")
            await asyncio.sleep(LOOK_S)

    def _is_calm(self) -> bool:
        return not self._who_is_late()

    def _who_is_late(self) -> list[str]:
        late: list[str] = []
        for name, device in self.devices.items():
            if device.stopped or device.client is None:
                continue
            if device.client.state != "live":
                late.append(f"{name} is {device.client.state}")
            elif lacking := self.oracle.lacks(device.ledger):
                first = min(lacking, key=lambda event: event.number)
                late.append(f"{name} lacks {len(lacking)}, first n={first.number} seq={first.seq}")
        ends = [self.devices[name].settings.subject for wire, name in self.wires.items() if not wire.socket.closed]
        for owner, count in Counter(ends).items():
            if count > 1:
                late.append(f"the session of {owner} has {count} connections")
        return late

    def _loop_failed(self, context: dict[str, Any]) -> None:
        self.fail(context.get("exception") or Violation(context["message"]))

    # --- devices ---

    def subjects(self) -> list[str]:
        houses = HOUSES[: self.options.devices]
        return [f"orders.{house}.o{n}" for house in houses for n in range(self.options.subjects)] + ["events.all"]

    def _make_devices(self) -> None:
        options = self.options
        for n in range(options.devices + options.twins):
            house = HOUSES[n % options.devices]
            random = self.random(f"device-{n}")
            wide = (f"orders.{house}.>",)
            narrow = (f"orders.{house}.o0", "events.*")
            settings = DeviceSettings(
                name=f"device-{n}",
                session="phone",
                subject=house,
                patterns=random.choice([wide, (*wide, "events.all"), narrow]) if n < options.devices else wide,
                encoding=random.choice(["json", "msgpack"]),
                window=WindowSize(options.window_messages, options.window_bytes),
                work_s=options.work_s,
                token_life_s=options.token_life_s,
                is_manual=random.random() < 0.3,
            )
            if n >= options.devices:  # of one session all devices ask for the same
                first = self.devices[f"device-{n - options.devices}"].settings
                settings = msgspec.structs.replace(settings, patterns=first.patterns)
            ledger = self.oracle.ledger(house)
            self.devices[settings.name] = Device(settings, ledger, self.oracle, random, self.trace)

    def start_device(self, name: str) -> None:
        """Start the program of a device."""
        self.trace(name, "starts")
        self.processes.start(name, self.devices[name].run()).add_done_callback(self._device_ended)

    def _device_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    async def stop_device(self, name: str) -> None:
        """The program is gone from one moment to the next; what it still tries to do does not happen."""
        device = self.devices[name]
        device.storage.run += 1
        for wire, who in list(self.wires.items()):
            if who == name:
                wire.cut()
        device.client = None
        await self.processes.kill(name)

    # --- connections ---

    async def connect(self, url: str, *, subprotocols: list[str], **_settings: Any) -> DeviceSocket:
        """A device dials (``websockets.connect``): some gateway takes the connection, or nobody does."""
        name, subprotocol = url.rpartition("/")[2], subprotocols[0]
        encoding = subprotocol.rpartition(".")[2]
        random, options = self._chances["dial"], self.options
        await asyncio.sleep(options.latency_s * random.uniform(2, 6))
        self._dials += 1
        up = [gateway for gateway in self.gateways if gateway.is_up]
        if self.devices[name].is_forced_away or not up:
            raise ConnectionRefusedError
        gateway = random.choice(up)
        slowness_s = options.slowness_s if name == "device-0" and self._is_slow else 0.0
        wire = Wire(self.random(f"wire-{self._dials}"), options.latency_s, slowness_s)
        checks = ConnectionChecks(self.oracle, self.devices[name].ledger, f"{name}@{gateway.process}")
        json = msgspec.json.Decoder() if encoding == "json" else msgspec.msgpack.Decoder()
        who = f"{name}#{self._dials}"
        wire.sent = lambda message: self._guarded(self._sent, who, checks, json.decode(message), len(message), message)
        wire.taken = lambda message: self._guarded(self._taken, who, checks, message, encoding)
        for gone in [wire for wire in self.wires if wire.socket.is_lost and wire.down.is_lost]:
            del self.wires[gone]
        self.wires[wire] = name
        self.trace(who, f"reaches {gateway.process}")
        socket = DeviceSocket(wire, subprotocol)
        gateway.serve(wire, subprotocol)
        return socket

    def _guarded(self, step: Callable[..., None], *args: Any) -> None:
        try:
            step(*args)
        except AssertionError as error:
            self.fail(error)

    def _sent(self, who: str, checks: ConnectionChecks, message: Any, size: int, encoded: bytes) -> None:
        unix_s = clock.UNIX_S + self.loop.time()
        sizes = _sizes(encoded, len(message)) if isinstance(message, list) else [size]
        for frame, size_bytes in zip(message if isinstance(message, list) else [message], sizes, strict=True):
            told = {
                key: frame[key]
                for key in ("seq", "after", "before", "from", "outcome", "code", "reason", "replay")
                if key in frame
            }
            self.trace(who, f"< {frame['type']} {told}")
            checks.write(frame, size_bytes, unix_s)
            self._deliveries += frame["type"] == "event"

    def _taken(self, who: str, checks: ConnectionChecks, message: Any, encoding: str) -> None:
        frame = msgspec.json.decode(message) if encoding == "json" else msgspec.msgpack.decode(message)
        told = {key: frame[key] for key in ("seq", "resume", "subjects") if key in frame}
        self.trace(who, f"> {frame['type']} {told}")
        if "token" in frame:
            claims = claims_of(frame["token"])
            checks.token_ends_s = claims["exp"]
            checks.permitted = tuple(claims["tidewire"]["read"])
        checks.received(frame)

    # --- the service that publishes ---

    async def _publish(self) -> None:
        random, subjects = self._chances["publish"], self.subjects()
        while True:
            await asyncio.sleep(random.expovariate(1 / self.options.publish_every_s))
            for _ in range(random.choice([1, 1, 1, 2, 5])):
                self.publish(random.choice(subjects))

    def publish(self, subject: str, *, is_leak: bool = False) -> None:
        """An event, if the stream takes it."""
        self.published += 1
        data: dict[str, Any] = {"n": self.published}
        if is_leak:
            data["secret"] = "in clear"
        elif self.published % 7 == 0:
            data["text"] = "x" * (self.published % 300)
        seq = self.nats.publish(subject, msgspec.json.encode(data))
        if seq is not None:
            self.trace("service", f"event {seq} {subject} n={self.published}")
            self.oracle.store(self.published, subject, seq, is_leak=is_leak)
            if any(gateway.house is not None and gateway.house.replays.running for gateway in self.gateways):
                self.seen["published while a durable is read"] += 1

    # --- states that show in no frame ---

    async def _look(self) -> None:
        before: dict[str, tuple[Any, Any]] = {}
        while True:
            await asyncio.sleep(LOOK_S)
            self._guarded(self._look_once, before)

    def note_identities(self) -> None:
        """Which life of the stream the gateways' identities stand for."""
        for gateway in self.gateways:
            if gateway.house is not None and gateway.house.open_exchange is not None:
                self.oracle.life_of(gateway.house.exchange.identity)

    def note_records(self) -> None:
        """What the cursor bucket holds of each session now."""
        messages = self.nats.streams["KV_cursors"].truth.messages.values()
        records = [decode_record(message.payload) for message in messages if message.payload]
        by_owner = {record.owner.subject: record for record in records if record is not None}
        for name, ledger in self.oracle.ledgers.items():
            self.oracle.record(ledger, by_owner.get(name))

    def _look_once(self, before: dict[str, tuple[Any, Any]]) -> None:
        self.note_identities()
        self.note_records()
        for gateway in self.gateways:
            house = gateway.house
            if house is None or house.open_exchange is None:
                continue
            recent = house.exchange.recent
            if len(recent) > self.options.recent_events:
                raise Violation(f"{gateway.name} keeps {len(recent)} events")
            if recent.floor > 0:
                self.seen["recent window moved on"] += 1
            self._count(gateway.process, house)
            for connection in house.exchange.by_key.values():
                self._look_at(gateway, connection, before)

    def _count(self, process: str, house: House) -> None:
        now = Counter(
            {
                "cursor write refused": house.cursors.conflicts,
                "feed made again": house.feed.restarts if house.feed is not None else 0,
                "sweep begun": house.counters.sweeps,
                "read by a sweep": house.counters.events_swept,
                "given from a sweep": house.counters.events_from_sweeps,
            }
        )
        self.seen += now - self._counted.get(process, Counter())
        self._counted[process] = now

    def _look_at(self, gateway: GatewayNode, connection: Any, before: dict[str, tuple[Any, Any]]) -> None:
        session = connection.session
        messages, size = session.outstanding
        settings = session._settings
        if messages > settings.window_messages or (messages > 1 and size > settings.window_bytes):
            raise Violation(f"{gateway.name} {session.name}: {messages} outstanding, {size} bytes")
        if len(session.outbox) > settings.window_messages + OUTBOX_MORE:
            raise Violation(f"{gateway.name} {session.name}: {len(session.outbox)} frames wait")
        self.seen[f"phase {session.phase.value}"] += 1
        replays = gateway.house.replays if gateway.house is not None else None
        reads_durable = session.is_reading and replays is not None and connection not in replays._asks
        self.seen["reads a durable"] += reads_durable
        if session.is_reading and session.phase is Phase.LAGGING:
            self.seen["lags behind the recent window"] += 1
        if session.is_blocked:
            self.seen["socket takes no more"] += 1
        if session.waits_for_feed:
            self.seen["waits for the feed"] += 1
        if session.phase is Phase.LIVE and self._has_read.pop(connection, False):
            self.seen["live after a durable"] += 1
        elif reads_durable:
            self._has_read[connection] = True
        was = before.get(connection.key)
        now = (gateway.process, session.phase)
        if was is not None and was[0] != now[0] and was[1] in (Phase.REPLAYING, Phase.LAGGING):
            self.seen["taken over during a replay"] += 1
        before[connection.key] = now


def _sizes(encoded: bytes, count: int) -> list[int]:
    """Bytes of each frame of a batch."""
    if encoded[:1] == b"[":
        return [len(raw) for raw in msgspec.json.decode(encoded, type=list[msgspec.Raw])]
    raws = msgspec.msgpack.decode(encoded, type=list[msgspec.Raw])
    assert len(raws) == count
    return [len(raw) for raw in raws]


class DeviceTime:
    """The wall clock as a device's client reads it (``time`` as far as it is used): wrong by the device's own error."""

    def __init__(self, world: World) -> None:
        self._world = world

    def time(self) -> float:
        """Seconds since 1970, as the device believes."""
        device = self._world.devices.get(PROCESS.get())
        return clock.UNIX_S + self._world.loop.time() + (device.offset_s if device is not None else 0.0)


class _Errors(logging.Handler):
    """A gateway logs an error where it caught a bug: that ends the run."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if "holds in clear" in record.getMessage():
            return
        error = record.exc_info[1] if record.exc_info else None
        violation = Violation(f"{PROCESS.get()} logged: {record.getMessage()} ({error!r})")
        violation.__cause__ = error
        self._world.fail(violation)


async def _run(seed: int, options: Options, say: Callable[[str], None] | None) -> Result:
    world = World(seed, options, say)
    errors = _Errors(world)
    root = logging.getLogger()
    root.addHandler(errors)
    try:
        with (
            mock.patch.object(client_connection, "_Direct", world.connect),
            mock.patch.object(client_module, "time", DeviceTime(world)),
            mock.patch.object(gateway_connection, "WRITE_HIGH_BYTES", options.write_high_bytes),
            mock.patch.object(gateway_connection, "WRITE_LOW_BYTES", options.write_high_bytes // 4),
            mock.patch.object(exchange, "MANY", options.many),
            mock.patch.object(sharing, "SHARERS_LEAST", options.sharers),
            mock.patch.object(sharing, "AHEAD_MOST", options.ahead_events),
            mock.patch.object(stretch, "PULL_EVENTS", options.pull_events),
        ):
            return await world.run()
    finally:
        root.removeHandler(errors)


def run(seed: int, *, say: Callable[[str], None] | None = None, options: Options | None = None) -> Result:
    """Run the world of a seed. ``say`` gets each line of its trace. Raises what went wrong."""
    logging.disable(logging.WARNING)
    try:
        return clock.run(_run(seed, options or choose(seed), say), Random(f"{seed}/chance"))
    finally:
        logging.disable(logging.NOTSET)


def attempt(seed: int) -> Outcome:
    """Run one seed; the text says what was wrong. For processes of a pool."""
    try:
        return seed, run(seed)
    except Exception as error:  # noqa: BLE001 - told by the parent
        return seed, f"{type(error).__name__}: {error}"

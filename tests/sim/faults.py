"""What goes wrong in a world, and when; and how it is mended at the end."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from gateway.commands import sessions
from mesh.api import Api
from mesh.epoch import EPOCH_KEY, decode_epoch
from mesh.kv import Bucket
from replay.record import Owner, session_key
from security.errors import UpstreamUnavailable
from security.subjects import matches
from tests.sim.gateways import ISSUER, GatewayNode, simulated_config
from tests.sim.jetstream_replica import Put

if TYPE_CHECKING:
    from tests.sim.world import World

SPARE_S = 15.0
"""After a fall back no gateway is stopped for so long: what only they know would be lost with them. Nor is another."""


class Faults:
    """The faults of one world. Each kind has a clock and dice of its own."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.happened: Counter[str] = Counter()
        self._nats = world.nats
        self._cursors = world.nats.streams["KV_cursors"]
        self._operator: Any = None
        self._spare_until_s = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._kinds: dict[str, Callable[[Any], Awaitable[None]]] = {
            "gateway killed": self._kill_gateway,
            "gateway drained": self._drain_gateway,
            "device cut": self._cut,
            "device half open": self._fall_silent,
            "device stalled": self._stall,
            "device crashed": self._crash,
            "device wiped": self._wipe,
            "device away": self._go_away,
            "device clock stepped": self._step_clock,
            "token shrunk": self._shrink,
            "session ended": self._end_session,
            "twin": self._start_again,
            "patterns changed": self._visit,
            "server killed": self._kill_server,
            "events step down": self._step_down_events,
            "cursors step down": self._step_down_cursors,
            "server lags": self._lag,
            "link cut": self._cut_link,
            "link stalled": self._stall_link,
            "api overflows": self._overflow,
            "api slow": self._slow_api,
            "purged": self._purge,
            "deleted": self._delete,
            "recreated": self._recreate,
            "fell back": self._fall_back,
            "fell back with cursors": self._fall_back_all,
            "leak": self._leak,
        }

    async def run(self, for_s: float) -> None:
        """Let things go wrong for a while."""
        for kind, mean_s in self.world.options.faults.items():
            self._tasks.append(self.world.loop.create_task(self._happen(kind, mean_s)))
        await asyncio.sleep(for_s)

    async def end(self) -> None:
        """Everything works again; who was away comes back."""
        world = self.world
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for task in self._tasks:
            if not task.cancelled():
                task.result()
        for server in self._nats.servers:
            self._nats.restart(server)
        for gateway in world.gateways:
            if not gateway.is_up:  # a drain that was under way is not waited for
                await gateway.kill(silently=False)
                await gateway.start()
        for name, device in world.devices.items():
            device.is_forced_away = False
            if device.client is None:
                world.start_device(name)

    async def _happen(self, kind: str, mean_s: float) -> None:
        random = self.world.random(f"fault {kind}")
        while True:
            await asyncio.sleep(random.expovariate(1 / mean_s))
            self.happened[kind] += 1
            await self._kinds[kind](random)

    def _trace(self, what: str) -> None:
        self.world.trace("fault", what)

    # --- gateways ---

    def _some_gateway(self, random: Any) -> GatewayNode:
        gateway: GatewayNode = random.choice(self.world.gateways)
        return gateway

    async def _kill_gateway(self, random: Any) -> None:
        gateway = self._some_gateway(random)
        if self._is_spared():
            return
        silently = random.random() < 0.3
        self._trace(f"{gateway.name} is killed{', silently' if silently else ''}")
        await gateway.kill(silently=silently)
        await asyncio.sleep(random.choice([0.1, 2.0, 10.0]))
        if not gateway.is_running:
            await gateway.start()

    async def _drain_gateway(self, random: Any) -> None:
        gateway = self._some_gateway(random)
        if self._is_spared():
            return
        self._trace(f"{gateway.name} drains")
        await gateway.drain()
        await asyncio.sleep(random.choice([0.1, 2.0]))
        if not gateway.is_running:
            await gateway.start()

    # --- devices and their connections ---

    def _some_wire(self, random: Any) -> Any:
        wires = [wire for wire in self.world.wires if not wire.socket.closed]
        return random.choice(wires) if wires else None

    async def _cut(self, random: Any) -> None:
        wire = self._some_wire(random)
        if wire is not None:
            self._trace(f"{self.world.wires[wire]} is cut")
            wire.cut()

    async def _fall_silent(self, random: Any) -> None:
        wire = self._some_wire(random)
        if wire is not None:
            self._trace(f"{self.world.wires[wire]} falls silent")
            wire.fall_silent()

    async def _stall(self, random: Any) -> None:
        wire = self._some_wire(random)
        if wire is not None:
            for_s = random.choice([0.3, 3.0, 12.0])
            self._trace(f"{self.world.wires[wire]} stalls for {for_s} s")
            way = random.choice([wire.down, wire.up])
            way.stall(for_s)

    def _some_device(self, random: Any) -> str:
        name: str = random.choice(sorted(self.world.devices))
        return name

    async def _crash(self, random: Any) -> None:
        name = self._some_device(random)
        self._trace(f"{name} crashes")
        await self.world.stop_device(name)
        await asyncio.sleep(random.choice([0.0, 0.5, 5.0]))
        self._revive(name)

    async def _wipe(self, random: Any) -> None:
        name = self._some_device(random)
        self._trace(f"{name} loses its state")
        await self.world.stop_device(name)
        self.world.devices[name].storage.position = None
        self._revive(name)

    def _revive(self, name: str) -> None:
        if self.world.devices[name].client is None:
            self.world.start_device(name)

    async def _go_away(self, random: Any) -> None:
        name = self._some_device(random)
        device = self.world.devices[name]
        for_s = random.choice([0.5, 5.0, 20.0, 60.0])
        self._trace(f"{name} goes into a tunnel for {for_s} s")
        device.is_forced_away = True
        for wire, who in list(self.world.wires.items()):
            if who == name:
                wire.cut()
        await asyncio.sleep(for_s)
        device.is_forced_away = False
        if device.client is not None and random.random() < 0.5:
            device.client.wake()

    async def _step_clock(self, random: Any) -> None:
        name = self._some_device(random)
        self.world.devices[name].offset_s += random.choice([-3_600.0, -60.0, 60.0, 3_600.0])
        self._trace(f"the clock of {name} is now wrong by {self.world.devices[name].offset_s} s")

    async def _shrink(self, random: Any) -> None:
        """The next token permits less; of what only the lost pattern made due nothing is due any more."""
        name = self._some_device(random)
        device = self.world.devices[name]
        if len(device.read) < 2:
            return
        lost = device.read[-1]
        self._trace(f"{name} may not read {lost} any more")
        for other in self.world.devices.values():
            if other.ledger is device.ledger:
                other.read = tuple(pattern for pattern in other.read if pattern != lost)
        device.ledger.never.add(lost)
        self.world.oracle.let_go(device.ledger, {lost})

    async def _end_session(self, random: Any) -> None:
        """An operator ends a session: its devices are told, and forget."""
        device = self.world.devices[self._some_device(random)]
        config = simulated_config(self.world.options)
        self._trace(f"the session of {device.settings.subject} is ended")
        if self._operator is None:
            self._operator = self._nats.link("operator")
            await self._operator.start(within_s=None)
        api = Api(self._operator)
        key = session_key(Owner(ISSUER, device.settings.subject, device.settings.session))
        with contextlib.suppress(UpstreamUnavailable):
            await self._operator.wait_up(5)
            await sessions._Store(config, api, Bucket(self._operator, api, config.cursors.bucket)).end(key)

    async def _visit(self, random: Any) -> None:
        device = self.world.devices[self._some_device(random)]
        stay_s = random.choice([0.1, 1.0, 10.0])
        self._trace(f"{device.settings.name} takes up one more pattern for {stay_s} s")
        await device.visit(stay_s)

    async def _start_again(self, random: Any) -> None:
        """Somebody starts the program of a device again that was taken over or stopped."""
        stopped = [name for name, device in self.world.devices.items() if device.stopped]
        if stopped:
            name = random.choice(stopped)
            device = self.world.devices[name]
            self._trace(f"{name} is started again")
            if device.stopped == "Revoked":
                device.storage.position = None  # it has signed in anew
            await self.world.stop_device(name)
            self._revive(name)

    # --- NATS ---

    async def _kill_server(self, random: Any) -> None:
        server = random.choice(self._nats.servers)
        self._trace(f"server {server} is killed")
        self._nats.kill(server)
        await asyncio.sleep(random.choice([0.2, 3.0, 15.0]))
        self._nats.restart(server)

    async def _step_down_events(self, random: Any) -> None:
        del random
        self._trace("the leader of the events steps down")
        self._nats.step_down("EVENTS")

    async def _step_down_cursors(self, random: Any) -> None:
        del random
        self._trace("the leader of the cursors steps down")
        self._nats.step_down("KV_cursors")

    async def _lag(self, random: Any) -> None:
        server, for_s = random.choice(self._nats.servers), random.choice([0.5, 5.0])
        self._trace(f"server {server} lags for {for_s} s")
        self._nats.lag(server, for_s)

    def _some_link(self, random: Any) -> Any:
        links = [gateway.link for gateway in self.world.gateways if gateway.is_running]
        return random.choice(links) if links else None

    async def _cut_link(self, random: Any) -> None:
        link = self._some_link(random)
        if link is not None:
            self._trace("a gateway's link to NATS is cut")
            link.cut()

    async def _stall_link(self, random: Any) -> None:
        link = self._some_link(random)
        if link is not None:
            for_s = random.choice([0.2, 2.0, 6.0])
            self._trace(f"a gateway's link to NATS stalls for {for_s} s")
            link.stall(for_s)

    async def _overflow(self, random: Any) -> None:
        del random
        self._trace("the queue of the JetStream API overflows")
        self._nats.overflow()

    async def _slow_api(self, random: Any) -> None:
        self._trace("the JetStream API is slow")
        self._nats.slow_api(random.choice([0.2, 1.0]), random.choice([1.0, 5.0]))

    async def _purge(self, random: Any) -> None:
        first, last = self._nats.first_seq, self._nats.last_seq
        if last > first:
            seq = random.randint(first, last)
            self._trace(f"purged up to {seq}")
            self._nats.purge(seq)

    async def _delete(self, random: Any) -> None:
        first, last = self._nats.first_seq, self._nats.last_seq
        for _ in range(random.choice([1, 3])):
            if last >= first:
                seq = max(first, last - random.choice([0, 0, 1, 5, 50]))
                self._trace(f"deleted {seq}")
                self._nats.delete(seq)

    def _known_to(self, through_ns: int) -> int:
        """Up to where it will be noticed that the stream fell back, where the bucket goes back to ``through_ns``.

        A gateway that is being drained may not get to say what it knows.
        """
        houses = [gateway.house for gateway in self.world.gateways if gateway.house is not None and gateway.is_up]
        heads = [house.feed.head for house in houses if house.feed is not None]
        return max(self._witnessed_to(through_ns), *heads, 0)

    def _witnessed_to(self, through_ns: int) -> int:
        """The event of the stream of now by which the bucket, as it was then, tells one history from another; or 0."""
        put = [change.message for at_ns, change in self._cursors.log if at_ns <= through_ns and isinstance(change, Put)]
        values = [message.payload for message in put if message.subject.endswith(f".{EPOCH_KEY}")]
        epoch = decode_epoch(values[-1]) if values else None
        if epoch is None or epoch.witness is None:
            return 0
        seq, time_ns = epoch.witness.seq, epoch.witness.time_ns
        return seq if self._nats.stored_ns(seq) == time_ns else 0

    async def _recreate(self, random: Any) -> None:
        del random
        if self._is_spared():
            return
        self._trace("the stream is made anew")
        self.world.note_identities()
        self.world.oracle.begin_life(0, self._nats.last_seq)
        self._nats.recreate()

    async def _fall_back(self, random: Any) -> None:
        self._fall(random, with_buckets=False)

    async def _fall_back_all(self, random: Any) -> None:
        self._fall(random, with_buckets=True)

    def _fall(self, random: Any, *, with_buckets: bool) -> None:
        first, last = self._nats.first_seq, self._nats.last_seq
        if self._is_spared() or last <= first:
            return
        self.world.note_identities()
        self.world.note_records()
        seq = max(first, last - random.choice([1, 3, 20, 200]))
        known_to = self._known_to(self._nats.stored_ns(seq) if with_buckets else self._nats.now_ns())
        if known_to < self.world.oracle.heard_to():
            self.happened["fell back and nobody could know"] += 1
            return  # docs/decisions/0009: a session's position alone does not tell it
        self._trace(f"the stream falls back from {last} to {seq}{', cursors too' if with_buckets else ''}")
        self.world.oracle.begin_life(seq, known_to)
        self._nats.fall_back(seq, with_buckets=with_buckets)
        self._spare_until_s = self.world.loop.time() + SPARE_S

    def _is_spared(self) -> bool:
        """Whether gateways may not be stopped now: they know that the stream fell back, and have not said so yet."""
        return self.world.loop.time() < self._spare_until_s

    async def _leak(self, random: Any) -> None:
        """A publisher forgets to seal."""
        subject = random.choice([s for s in self.world.subjects() if matches("orders.>", s)])
        self.world.publish(subject, is_leak=True)

"""A gateway of the simulated world: the real one, put together over a simulated link and simulated sockets."""

import asyncio
import base64
import contextlib
import contextvars
import json
from typing import Any

from gateway import config as configuration
from gateway.app import open_house, works_of
from gateway.config import Config
from gateway.counters import Counters
from gateway.doorkeeper import Doorkeeper
from gateway.draining import drain
from gateway.house import House
from gateway.reception import Reception
from security.issuers import Issuer, Issuers
from security.keys import KeySet, parse_jwks
from tests.sim.nats import Nats
from tests.sim.options import Options
from tests.sim.wire import Wire

ISSUER = "sim"
KID = "sim-1"
SECRET = b"a secret of the simulated world, no other"
PROCESS: contextvars.ContextVar[str] = contextvars.ContextVar("process", default="world")
"""Which process of the world runs: a kill ends its tasks and no others."""


def simulated_config(options: Options) -> Config:
    """A gateway's configuration."""
    return Config(
        profile="development",
        listen=configuration.Listen(plain=True),
        stream=configuration.Stream(replicas=3, max_age_s=options.max_age_s or 7 * configuration.DAY_S),
        cursors=configuration.Cursors(
            replicas=3, save_within_ms=options.save_within_ms, session_idle_s=options.session_idle_s
        ),
        recent=configuration.Recent(recent_events=options.recent_events),
        sweeps=configuration.Sweeps(events=options.sweep_events),
        durables=configuration.Durables(
            park_after_s=options.park_after_s, inactive_threshold_s=options.inactive_threshold_s
        ),
        admission=configuration.Admission(
            replays=options.replays, batch_events=options.batch_events, api_in_flight=options.api_in_flight
        ),
        ping=configuration.Ping(every_s=options.ping_every_s),
        drain=configuration.Drain(spread_ms=2_000, timeout_s=15.0),
        issuers=(configuration.Issuer(name=ISSUER, jwks="unread", algorithms=("HS256",)),),
        sealed=(configuration.Sealed(subject="orders.{sub}.>", pointer="/secret", field_class="contact"),),
    )


def simulated_issuers() -> Issuers:
    """Whose tokens are taken."""
    key = {"kty": "oct", "kid": KID, "alg": "HS256", "k": base64.urlsafe_b64encode(SECRET).decode().rstrip("=")}
    keys = parse_jwks(json.dumps({"keys": [key]}).encode(), algorithms=("HS256",), from_file=True)
    assert isinstance(keys, KeySet), keys
    return Issuers([Issuer(name=ISSUER, audience="tidewire", algorithms=("HS256",), keys=keys)])


class Processes:
    """Which tasks belong to which process of the world."""

    def __init__(self) -> None:
        self._tasks: dict[str, dict[asyncio.Task[Any], None]] = {}
        asyncio.get_running_loop().set_task_factory(self._make)

    def _make(self, loop: asyncio.AbstractEventLoop, work: Any, **kwargs: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **kwargs)
        context = kwargs.get("context")
        owner = context.get(PROCESS, "world") if context is not None else PROCESS.get()
        tasks = self._tasks.setdefault(owner, {})
        tasks[task] = None
        task.add_done_callback(lambda done: tasks.pop(done, None))
        return task

    def start(self, name: str, work: Any) -> "asyncio.Task[Any]":
        """Run a task as part of a process."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, name)
        return asyncio.get_running_loop().create_task(work, context=context)

    async def kill(self, name: str) -> None:
        """End every task of a process; what they still try to do must reach nobody, which the caller sees to."""
        while tasks := self._tasks.get(name):
            for task in list(tasks):
                task.cancel()
            await asyncio.wait(list(tasks))


class GatewayNode:
    """One gateway, through any number of processes."""

    def __init__(self, name: str, nats: Nats, options: Options, processes: Processes) -> None:
        self.name = name
        self.house: House | None = None
        self.wires: dict[Wire, None] = {}
        self._nats = nats
        self._options = options
        self._processes = processes
        self._runs = 0
        self.link: Any = None
        self._reception: Reception | None = None
        self._is_leaving = False
        self.opening: asyncio.Task[Any] | None = None
        """The newest socket's opening."""

    @property
    def process(self) -> str:
        return f"{self.name}.{self._runs}"

    @property
    def is_up(self) -> bool:
        return self._reception is not None and not self._is_leaving

    @property
    def is_running(self) -> bool:
        return self._reception is not None

    async def start(self) -> None:
        """Start a process; returns when it takes sockets, which is before it serves."""
        self._runs += 1
        self._is_leaving = False
        await self._processes.start(self.process, self._begin())

    async def _begin(self) -> None:
        config, counters = simulated_config(self._options), Counters()
        doorkeeper = Doorkeeper(config, counters)
        doorkeeper._issuers = simulated_issuers()
        self.link = self._nats.link(self.process)
        await self.link.start(within_s=None)
        self.house = await open_house(config, self.link, doorkeeper, counters)
        for name, work in works_of(self.house).items():
            asyncio.create_task(work, name=name).add_done_callback(_ended)
        self._reception = Reception(self.house)

    def serve(self, wire: Wire, encoding: str) -> None:
        """Take a socket whose upgrade is done."""
        assert self._reception is not None, "only a running gateway is reached"
        for gone in [wire for wire in self.wires if wire.socket.closed]:
            del self.wires[gone]
        self.wires[wire] = None
        work = self._reception.serve(wire.socket, wire.transport, encoding, lambda: None)  # type: ignore[arg-type]
        self.opening = self._processes.start(self.process, work)

    async def kill(self, *, silently: bool) -> None:
        """``kill -9``, or the machine is gone: its peers are told, or not."""
        if not self.is_running:
            return
        process, self._reception, self.house = self.process, None, None
        self.link.cut()
        for wire in list(self.wires):
            if silently:
                wire.fall_silent()
                wire.socket.lose()
            else:
                wire.cut()
        await self._processes.kill(process)
        self.wires.clear()

    async def drain(self) -> None:
        """SIGTERM."""
        if not self.is_up or self.house is None:
            return
        self._is_leaving = True
        house, process = self.house, self.process
        await self._processes.start(process, drain(house))
        if self.process != process or not self.is_running:
            return  # killed meanwhile
        self._reception = self.house = None
        left = list(self.wires)
        await self._processes.kill(process)
        for wire in left:
            wire.cut()
        self.wires.clear()
        with contextlib.suppress(Exception):
            await self.link.close()


def _ended(task: "asyncio.Task[None]") -> None:
    """A gateway's work ends by its failure only, which ends the run."""
    if not task.cancelled() and (error := task.exception()) is not None:
        asyncio.get_running_loop().call_exception_handler({"message": "a gateway failed", "exception": error})

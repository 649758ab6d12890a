"""A device of the simulated world: the Python client, its storage, and an application that works on events."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.jwk import OctKey
from tidewire_client import Client, WindowSize
from tidewire_client.errors import ClientError, Forbidden, Revoked, TakenOver
from tidewire_client.event import Event
from tidewire_client.frames import GapFrame
from tidewire_client.position import Position

from tests.sim.clock import UNIX_S
from tests.sim.gateways import ISSUER, KID, SECRET
from tests.sim.oracle import Ledger, Oracle, Violation

TOKEN_TYPE = "at+jwt"
VISITED = "events.all"
"""A pattern that devices take up and leave again."""


def mint(subject: str, read: tuple[str, ...], now_s: float, life_s: int, number: int) -> str:
    """A token, as the issuer of the world makes it."""
    issued_at = UNIX_S + int(now_s)
    payload = {
        "iss": ISSUER,
        "aud": "tidewire",
        "sub": subject,
        "jti": f"{subject}-{number}",
        "iat": issued_at,
        "exp": issued_at + life_s,
        "tidewire": {"read": list(read)},
    }
    header = {"alg": "HS256", "typ": TOKEN_TYPE, "kid": KID}
    return jwt.encode(header, payload, OctKey.import_key(SECRET), algorithms=["HS256"])


class Storage:
    """What a device keeps over its crashes."""

    def __init__(self, random: Random, slowness_s: float) -> None:
        self.position: Position | None = None
        self._random = random
        self._slowness_s = slowness_s
        self.run = 0
        """A write of an older run of the device does not arrive any more."""

    def of_run(self) -> "RunStorage":
        self.run += 1
        return RunStorage(self, self.run)

    async def pause(self) -> None:
        await asyncio.sleep(self._random.uniform(0, self._slowness_s))


class RunStorage:
    """The storage as one run of the client's program sees it (``tidewire_client.position_store.StateStore``)."""

    def __init__(self, storage: Storage, run: int) -> None:
        self._storage = storage
        self._run = run

    async def load(self, scope: object) -> Position | None:
        del scope
        await self._storage.pause()
        return self._storage.position

    async def save(self, scope: object, position: Position | None) -> None:
        del scope
        await self._storage.pause()
        if self._run == self._storage.run:
            self._storage.position = position


class DeviceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of device it is."""

    name: str
    session: str
    subject: str
    patterns: tuple[str, ...]
    encoding: Any
    window: WindowSize
    work_s: float
    token_life_s: int
    is_manual: bool
    """Whether the application acknowledges by itself, in any order."""


class Device:
    """One device, through any number of runs of its program."""

    def __init__(
        self,
        settings: DeviceSettings,
        ledger: Ledger,
        oracle: Oracle,
        random: Random,
        trace: Callable[[str, str], None],
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.read: tuple[str, ...] = tuple(dict.fromkeys((*settings.patterns, VISITED)))
        """What its next token permits."""
        self.client: Client | None = None
        self.storage = Storage(random, 0.2)
        self.offset_s = 0.0
        """How far its clock is wrong."""
        self.is_forced_away = False
        self.stopped = ""
        """Why its session ended for good."""
        self._oracle = oracle
        self._random = random
        self._trace = trace
        self._tokens = 0
        self._processed_in_run: set[int] = set()

    async def run(self) -> None:
        """One run of the program: connect, work, until cancelled or stopped by the gateway."""
        self._processed_in_run = set()
        self.stopped = ""
        settings = self.settings
        client = self.client = Client(
            f"ws://localhost/{settings.name}",
            token=self._token,
            session=settings.session,
            state=self.storage.of_run(),
            window=settings.window,
            encoding=settings.encoding,
            on_gap=self._gap,
            on_error=lambda _error: None,
            random=Random(self._random.getrandbits(32)),
        )
        try:
            async with client, asyncio.TaskGroup() as group:
                for pattern in settings.patterns:
                    group.create_task(self._work(client, pattern))
        except* (TakenOver, Revoked, Forbidden) as stopped:
            self.stopped = type(stopped.exceptions[0]).__name__
            self._trace(settings.name, f"stopped: {self.stopped}")
        except* ClientError as error:
            raise Violation(f"{settings.name} gave up: {error.exceptions[0]!r}") from error

    async def _work(self, client: Client, pattern: str) -> None:
        settings = self.settings
        acks: list[asyncio.Task[None]] = []
        try:
            async for event in client.subscribe(pattern, ack="manual" if settings.is_manual else "auto"):
                if settings.work_s:
                    await asyncio.sleep(self._random.uniform(0, settings.work_s))
                self._process(event)
                if settings.is_manual:
                    acks.append(asyncio.create_task(self._ack_later(event)))
        except Forbidden:
            self._trace(settings.name, f"{pattern} is not permitted any more")

    async def _ack_later(self, event: Event) -> None:
        """In any order."""
        await asyncio.sleep(self._random.choice([0.0, 0.1, 1.0]) * self._random.random())
        await event.ack()

    async def visit(self, stay_s: float) -> None:
        """Take up one more pattern for a while."""
        client, ledger = self.client, self.ledger
        if client is None or client.failure is not None or VISITED in client._core.patterns:
            return
        ledger.unwanted.discard(VISITED)
        events = client.subscribe(VISITED)
        try:
            async with asyncio.timeout(stay_s):
                async for event in events:
                    self._process(event)
        except (TimeoutError, ClientError):
            pass
        finally:
            ledger.unwanted.add(VISITED)
            self._oracle.let_go(ledger, {VISITED})
            await events.aclose()

    def _process(self, event: Event) -> None:
        number = event.data["n"] if isinstance(event.data, dict) else None
        if number is None:
            raise Violation(f"{self.settings.name} got something else: {event.seq}")
        if number in self._processed_in_run:
            self._oracle.seen["processed again in a run"] += 1
        self._processed_in_run.add(number)
        self._trace(self.settings.name, f"processes n={number}")
        self._oracle.process(self.ledger, number)

    async def _gap(self, gap: GapFrame) -> None:
        if gap.reason == "stream_replaced":
            self._processed_in_run.clear()
        await self.storage.pause()
        assert self.client is not None, "a client calls"
        assert self.client.welcome is not None, "a gap comes after a welcome"
        life = self._oracle.life_of(self.client.welcome.stream)
        self._oracle.tell(self.ledger, life, {"after": gap.after, "before": gap.before, "reason": gap.reason})

    def _token(self) -> Awaitable[str]:
        return self._fetch_token()

    async def _fetch_token(self) -> str:
        await self.storage.pause()
        self._tokens += 1
        now_s = asyncio.get_running_loop().time()
        return mint(self.settings.subject, self.read, now_s, self.settings.token_life_s, self._tokens)


def claims_of(token: str) -> dict[str, Any]:
    """What a token of this world says."""
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found

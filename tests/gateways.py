"""A real gateway for tests: in this process, on a real socket with TLS, against a real nats-server.

async with running_gateway(nats_server, tmp_path) as gateway, gateway.client("c42", ["orders.c42.>"]) as client: ...
"""

import asyncio
import contextlib
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from gateway.app import run
from gateway.config import Config
from gateway.config_parse import parse
from gateway.house import House
from mesh.embedded import EmbeddedServer
from security.development import DevelopmentState
from tests.until import until
from tests.wire_client import WireClient

LOOSE = {
    "frames_per_s": 100_000,
    "frames_burst": 100_000,
    "user_frames_per_s": 100_000,
    "address_connects_per_s": 100_000,
    "connections_per_address": 100_000,
    "unauthenticated": 100_000,
    "unauthenticated_per_address": 100_000,
    "sessions_per_user": 1_000,
}
"""Limits out of the way of tests that are about something else."""


class Gateway:
    """A running gateway and how to reach it."""

    def __init__(self, config: Config, state: DevelopmentState, house: House, host: str, port: int) -> None:
        self.config = config
        self.state = state
        self.house = house
        self.url = f"wss://{host}:{port}/v1/session"
        self.http = f"https://{host}:{port}"
        self.port = port
        self.tls = ssl.create_default_context(cafile=str(state.ca))

    def token(self, subject: str = "c42", *, ttl_s: int = 3_600, **tidewire: Any) -> str:
        """A development token; its subject may read ``orders.SUBJECT.>`` by the issuer's template."""
        claims = {"tidewire": tidewire} if tidewire else None
        return self.state.mint(subject, ttl_s, time.time(), claims)

    def client(
        self, subject: str = "c42", patterns: list[str] | None = None, *, session: str | None = None, **more: Any
    ) -> WireClient:
        """A client that speaks frames, connected by ``async with``; see ``WireClient``."""
        token = more.pop("token", None) or self.token(subject, **more.pop("tidewire", {}))
        name = session or f"s{secrets.token_hex(4)}"
        return WireClient(self.url, self.tls, token, name, patterns, **more)

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of an HTTP request."""
        async with aiohttp.ClientSession() as http, http.get(self.http + path, ssl=self.tls) as answer:
            return answer.status, await answer.text()

    def calls(self) -> dict[str, int]:
        """JetStream API calls so far, pulls included."""
        return {**self.house.api.calls, "CONSUMER.MSG.NEXT": self.house.durables.puller.pulls}


def gateway_config(
    server: EmbeddedServer, state: DevelopmentState, folder: Path, changes: Mapping[str, Any], *more: EmbeddedServer
) -> Config:
    """A development configuration against real servers; ``changes`` are merged section by section."""
    password = folder / "gateway.password"
    if not password.exists():
        password.touch(mode=0o600)
        password.write_text(server.password("gateway").reveal())
    document: dict[str, Any] = {
        "profile": "development",
        "listen": {"port": 0, "certificate": str(state.certificate), "key": str(state.key)},
        "nats": {
            "servers": [each.url for each in (server, *more)],
            "user": "gateway",
            "password_file": str(password),
        },
        "issuers": [
            {"name": "tidewire-development", "jwks": str(state.jwks), "read": ["orders.{sub}.>", "events.{sub}.>"]}
        ],
        "limits": dict(LOOSE),
        "durables": {"park_after_s": 0},
        "cursors": {"save_within_ms": 50},
        "drain": {"spread_ms": 0, "timeout_s": 5},
    }
    for section, fields in changes.items():
        if isinstance(fields, Mapping):
            document[section] = {**document.get(section, {}), **fields}
        else:
            document[section] = fields
    return parse(document)


@contextlib.asynccontextmanager
async def running_gateway(
    server: EmbeddedServer, folder: Path, *more: EmbeddedServer, **changes: Any
) -> AsyncIterator[Gateway]:
    """A gateway, ready, drained afterwards. ``changes``: sections of the configuration."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    state = DevelopmentState(folder)
    state.prepare(time.time())
    config = gateway_config(server, state, folder, changes, *more)
    stop = asyncio.Event()
    started: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    houses: list[House] = []
    task = asyncio.create_task(
        run(config, stop=stop, ready=lambda host, port: started.set_result((host, port)), opened=houses.append)
    )
    task.add_done_callback(lambda _: None if started.done() else started.cancel())
    try:
        host, port = await started
    except asyncio.CancelledError:
        task.result()
        raise
    gateway = Gateway(config, state, houses[0], host, port)
    try:
        await until(lambda: gateway.house.is_ready, 20)
        yield gateway
    finally:
        stop.set()
        await task


def values(frame_list: list[dict[str, Any]], field: str) -> list[Any]:
    """One field of each frame."""
    return [frame[field] for frame in frame_list]


def encoded(value: object) -> bytes:
    """A payload."""
    return msgspec.json.encode(value)

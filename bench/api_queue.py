"""Shell: how many JetStream API requests wait in nats-server: its monitoring port is asked all the time.

A peak between two looks is not seen; a queue of hundreds that is served at 100 us a request stands for longer than
the time between them.
"""

import asyncio
import json
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from mesh.embedded import EmbeddedServer, default_config

LOOK_S = 0.02
"""Seconds between two looks."""
ANSWER_S = 5.0
"""Seconds that an answer may take."""


def config_with_monitoring(folder: Path) -> Path:
    """A copy of Tidewire's nats.conf that opens a monitoring port as well, any free one on loopback."""
    made = folder / "nats-monitored.conf"
    made.write_text(default_config().read_text(encoding="utf-8") + '\nhttp: "127.0.0.1:-1"\n', encoding="utf-8")
    return made


class _Api(msgspec.Struct, frozen=True):
    total: int = 0
    errors: int = 0
    inflight: int = 0


class _JetStream(msgspec.Struct, frozen=True):
    api: _Api = _Api()


class ApiQueue:
    """Looks at a server from entering to leaving ``async with``. The server must run on ``config_with_monitoring``."""

    def __init__(self, nats: EmbeddedServer) -> None:
        self.longest = 0
        """The most requests that were seen in the queue or being served."""
        self.looks = 0
        self._url = ""
        self._ports = nats.settings.state_dir / f"nats-server_{nats.pid}.ports"
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._url = json.loads(self._ports.read_bytes())["monitoring"][0] + "/jsz"
        self._task = asyncio.create_task(self._look_on(), name="api queue")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._task is not None, "entered"
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _look_on(self) -> None:
        while True:
            answer = await asyncio.to_thread(self._ask)
            self.looks += 1
            self.longest = max(self.longest, msgspec.json.decode(answer, type=_JetStream).api.inflight)
            await asyncio.sleep(LOOK_S)

    def _ask(self) -> bytes:
        with urllib.request.urlopen(self._url, timeout=ANSWER_S) as answer:  # noqa: S310  # loopback, http
            text: bytes = answer.read()
            return text


def drops(log: Path) -> list[str]:
    """Lines of nats-server's log that tell of requests dropped or consumers too slow."""
    lines: list[Any] = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if "queue limit" in line or "Slow Consumer" in line or "slow consumer" in line]

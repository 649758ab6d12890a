"""Shell: publishing to the stream behind the gateway, with the plain NATS client."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import nats
import nats.errors
import nats.js.errors

from tests.conformance.encoding import Deviation

SOON: dict[str, Any] = {
    "allow_reconnect": False,
    "connect_timeout": 5,
    "max_reconnect_attempts": 1,
    "reconnect_time_wait": 0.1,
}
"""So that a wrong address is told at once: by default the client tries for two minutes."""


class Publisher(Protocol):
    """Stores an event; returns its sequence."""

    async def __call__(self, subject: str, payload: bytes, headers: dict[str, str] | None) -> int:
        """Return once JetStream has it."""


@contextlib.asynccontextmanager
async def publisher(url: str, inbox_prefix: str, ca: Path | None = None) -> AsyncIterator[Publisher]:
    """A publisher on ``nats://USER:PASSWORD@HOST:PORT``; raises ``Deviation`` when NATS does not let it in."""
    more: dict[str, Any] = {}
    if url.startswith("tls:"):
        more["tls"] = ssl.create_default_context(cafile=ca)
    try:
        link = await nats.connect(url, inbox_prefix=inbox_prefix.encode(), **SOON, error_cb=_quiet, **more)
    except (OSError, TimeoutError, nats.errors.Error) as failure:
        raise Deviation(f"NATS: {type(failure).__name__}: {failure}") from None
    stream = link.jetstream()

    async def publish(subject: str, payload: bytes, headers: dict[str, str] | None) -> int:
        try:
            return (await stream.publish(subject, payload, headers=headers)).seq
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as failure:
            raise Deviation(f"publishing to {subject}: {type(failure).__name__}: {failure}") from None

    try:
        yield publish
    finally:
        await link.close()


async def _quiet(_: Exception) -> None:
    """Failures are told where they are met."""

"""Shell: waits until a gateway on this machine serves clients, as its `/ready` says."""

import asyncio
import http.client
import ssl
from pathlib import Path

from security.errors import UpstreamUnavailable

ASK_EVERY_S = 0.05
"""Seconds between two questions."""


async def until_serving(host: str, port: int, ca: Path, within_s: float = 60.0) -> None:
    """Return once ``/ready`` answers 200: feed and recent window are up.

    Raises ``UpstreamUnavailable`` after ``within_s`` seconds.
    """
    tls = ssl.create_default_context(cafile=ca)
    status = None
    try:
        async with asyncio.timeout(within_s):
            while (status := await asyncio.to_thread(_ask, host, port, tls)) != http.client.OK:  # noqa: ASYNC110  # another process
                await asyncio.sleep(ASK_EVERY_S)
    except TimeoutError:
        told = f"status {status}" if status else "no answer"
        raise UpstreamUnavailable(f"the gateway is not ready after {within_s:.0f} s ({told})") from None


def _ask(host: str, port: int, tls: ssl.SSLContext) -> int | None:
    connection = http.client.HTTPSConnection(host, port, context=tls, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()

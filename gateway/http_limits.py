"""Pure: how patient aiohttp is with a peer (docs/security.md S18)."""

from typing import Any, Final

HEAD_S: Final = 10.0
"""Seconds for which a connection may be open without a whole request on it."""
RUNNER_SETTINGS: Final[dict[str, Any]] = {
    "access_log": None,  # it would log query strings
    "max_headers": 64,
    "max_line_size": 4_096,
    "max_field_size": 4_096,
    "lingering_time": 1.0,
    "shutdown_timeout": 1.0,  # for sockets that have said nothing yet; the others are closed by the drain
    "handle_signals": False,
}
"""Arguments of ``web.AppRunner``; aiohttp's defaults let a silent request head sit for an hour."""

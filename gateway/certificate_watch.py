"""Shell: takes up a renewed certificate while sockets are open."""

import asyncio
import logging
import time

from security.tls import ServerTls

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
"""How often the certificate files are looked at, in seconds."""


async def watch_certificate(tls: ServerTls | None) -> None:
    """Look for ever; new sockets get a renewed certificate, those that are open keep theirs. None: nothing to do."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if tls is not None and tls.has_changed():
            reloaded = tls.reload(time.time())
            if reloaded.problem:
                log.error("the new certificate is not taken", extra={"error": reloaded.problem})
            else:
                log.info("certificate renewed")

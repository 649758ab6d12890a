"""Shell: how to connect to NATS as ``[nats]`` says."""

import ssl
from pathlib import Path

from gateway.config import Nats
from mesh.link import LinkSettings
from security.tls import nats_client_context


def link_settings(nats: Nats, *, name: str) -> LinkSettings:
    """How to connect as ``name``. Raises ``ConfigurationError`` when a certificate file is wrong."""
    return LinkSettings(
        servers=nats.servers,
        user=nats.user,
        password_file=nats.password_file,
        credentials=nats.credentials_file,
        tls=_tls_context(nats),
        name=name,
        inbox_prefix=nats.inbox_prefix,
    )


def _tls_context(nats: Nats) -> ssl.SSLContext | None:
    """The context for links to NATS; None when no server is reached by TLS."""
    if nats.ca is None and not any(server.startswith("tls://") for server in nats.servers):
        return None
    ca, certificate, key = (Path(file) if file else None for file in (nats.ca, nats.certificate, nats.key))
    return nats_client_context(ca, certificate, key)

"""Pure: what Centrifugo is told: JSON over TLS, its own publish API on a port for the inside, history and recovery."""

from typing import Any

import msgspec


class Places(msgspec.Struct, frozen=True):
    """What differs from run to run."""

    port: int
    """For clients, with TLS."""
    api_port: int
    """For publishers, without."""
    certificate: str
    key: str
    token_key: str
    """The public key of tokens, as PEM."""
    redis_port: int = 0
    """0: the memory engine."""


HISTORY_EVENTS = 300
"""As many as one recovery brings: more than ``client.recovery_max_publication_limit`` would be of no use."""
HISTORY_S = 300
QUEUE_BYTES = 268_435_456


def centrifugo_config(places: Places) -> dict[str, Any]:
    """Its configuration file as data.

    Every publication is kept, each subscription is positioned and recovers. Clients bring the same tokens as to
    Tidewire. Limits that would throw out a client that is behind, or one that waits with ``connect``, are out of the
    way: the load client must get everything. No metrics, no compression, no logs but errors. Buffers of a WebSocket as
    its documentation advises for many connections.
    """
    engine: dict[str, Any] = {"type": "memory"}
    if places.redis_port:
        engine = {"type": "redis", "redis": {"address": [f"redis://127.0.0.1:{places.redis_port}"]}}
    tls = {"enabled": True, "cert_pem": places.certificate, "key_pem": places.key}
    return {
        "http_server": {
            "address": "127.0.0.1",
            "port": places.port,
            "internal_address": "127.0.0.1",
            "internal_port": str(places.api_port),
            "tls": tls,
            "tls_external": True,
        },
        "engine": engine,
        "client": {
            "token": {"ecdsa_public_key": places.token_key},
            "stale_close_delay": "300s",
            "queue_max_size": QUEUE_BYTES,
            "allowed_origins": [],
        },
        "websocket": {"write_timeout": "60s", "read_buffer_size": 512, "use_write_buffer_pool": True},
        "channel": {
            "without_namespace": {
                "history_size": HISTORY_EVENTS,
                "history_ttl": f"{HISTORY_S}s",
                "force_positioning": True,
                "force_recovery": True,
                "allow_subscribe_for_client": True,
            }
        },
        "http_api": {"insecure": True},
        "log": {"level": "error"},
        "usage_stats": {"disabled": True},
    }


def batch(events: list[tuple[str, bytes]]) -> bytes:
    """The body of one ``/api/batch`` request: publications in order."""
    commands = [{"publish": {"channel": to, "data": msgspec.Raw(data)}} for to, data in events]
    return msgspec.json.encode({"commands": commands})


def refused(answer: bytes) -> str:
    """The first error in the answer to a batch; empty when every publication was accepted."""
    replies: list[dict[str, Any]] = msgspec.json.decode(answer).get("replies") or [{"error": "no replies"}]
    return next((str(reply["error"]) for reply in replies if "error" in reply), "")

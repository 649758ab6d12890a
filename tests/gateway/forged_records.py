"""Records of TLS 1.3 that no library would send, made with a client's own keys (RFC 8446 5.2, 7.1, 7.3)."""

import hashlib
import hmac
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HANDSHAKE = 22
DATA = 23
KEY_UPDATE = b"\x18\x00\x00\x01\x00"
"""The message, which asks for no answer (4.6.3)."""


class ForgedRecords:
    """What a client says after its handshake, with TLS_AES_256_GCM_SHA384."""

    def __init__(self, key_log: Path) -> None:
        lines = [line.split() for line in key_log.read_text(encoding="ascii").splitlines()]
        [secret] = [line[2] for line in lines if line[0] == "CLIENT_TRAFFIC_SECRET_0"]
        self._begin(bytes.fromhex(secret))

    def record(self, kind: int, content: bytes) -> bytes:
        """One record of this kind."""
        nonce = (int.from_bytes(self._iv) ^ self._number).to_bytes(12)
        self._number += 1
        inner = content + bytes((kind,))
        head = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2)
        return head + self._key.encrypt(nonce, inner, head)

    def key_update(self) -> bytes:
        """A record that says that the next ones have other keys."""
        record = self.record(HANDSHAKE, KEY_UPDATE)
        self._begin(_expand(self._secret, b"traffic upd", 48))
        return record

    def _begin(self, secret: bytes) -> None:
        self._secret = secret
        self._key = AESGCM(_expand(secret, b"key", 32))
        self._iv = _expand(secret, b"iv", 12)
        self._number = 0


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label without a context; up to one hash long."""
    label = b"tls13 " + label
    info = size.to_bytes(2) + bytes((len(label),)) + label + b"\x00\x01"
    return hmac.new(secret, info, hashlib.sha384).digest()[:size]

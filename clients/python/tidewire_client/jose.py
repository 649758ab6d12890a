"""Pure: the door to joserfc, an optional extra (``pip install tidewire-client[sealed]``). Imported when needed only."""

from typing import Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.registry import HeaderParameter

HEADER_BYTES: Final = 2_048  # longest protected header, in base64url


class _Registry(jwe.JWERegistry):
    """joserfc's rules with our header members and room for a subject of 256 bytes."""

    max_protected_header_length = HEADER_BYTES


_REGISTRY: Final = _Registry(
    header_registry={
        "sub": HeaderParameter("Subject of the message", "str", required=True),
        "mid": HeaderParameter("Message id", "str", required=True),
        "cls": HeaderParameter("Class of sensitivity", "str", required=True),
        "iat": HeaderParameter("Sealed at", "int", required=True),
    },
    algorithms=["dir", "A256GCM"],
)


def decrypt(compact: str, secret: bytes) -> bytes | None:
    """Open one compact JWE with one key of 32 bytes; None when it does not open, whatever the reason."""
    try:
        # Not import_key: it first tries to read the bytes as PEM and DER, five times.
        return jwe.decrypt_compact(compact, OctKey(secret, secret), registry=_REGISTRY).plaintext
    except (JoseError, ValueError):  # damaged parts raise binascii.Error and ValueError beside joserfc's own
        return None

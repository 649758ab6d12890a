"""Pure: by which names what was made for development is recognised, so that production refuses it. No key is here."""

from typing import Final

DEVELOPMENT_ISSUER: Final = "tidewire-development"
DEVELOPMENT_AUDIENCE: Final = "tidewire"
KID_PREFIX: Final = "development-"


def is_development_issuer(name: str) -> bool:
    """Say whether ``name`` is the development issuer's ``iss``."""
    return name == DEVELOPMENT_ISSUER


def is_development_kid(kid: str) -> bool:
    """Say whether a key id is a development issuer's, whatever issuer it is configured for."""
    return kid.startswith(KID_PREFIX)

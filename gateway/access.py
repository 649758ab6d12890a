"""Pure: which of the patterns that a client asks for it gets, now."""

from collections.abc import Iterable

import msgspec

from security.permissions import Permissions
from security.subjects import PATTERN_BYTES, PATTERN_TOKENS, is_pattern


class Granted(msgspec.Struct, frozen=True):
    """Patterns, sorted by what becomes of them; each once, in the order asked."""

    allowed: list[str]
    denied: list[str]
    invalid: list[str]


def grant(
    wanted: Iterable[str],
    permissions: Permissions,
    *,
    pattern_bytes: int = PATTERN_BYTES,
    pattern_tokens: int = PATTERN_TOKENS,
) -> Granted:
    """Sort patterns. One function decides for connect, resume, subscribe and refresh.

    ``pattern_bytes`` and ``pattern_tokens``: the most of either; a pattern with more is invalid.
    """
    granted = Granted([], [], [])
    for pattern in dict.fromkeys(wanted):
        if not is_pattern(pattern) or len(pattern.encode()) > pattern_bytes or pattern.count(".") >= pattern_tokens:
            granted.invalid.append(pattern)
        elif permissions.allows("read", pattern):
            granted.allowed.append(pattern)
        else:
            granted.denied.append(pattern)
    return granted

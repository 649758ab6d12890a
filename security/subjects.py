"""Pure: the grammar of NATS subjects and patterns, and what one pattern says about another.

A subject is tokens joined by dots. A pattern is a subject in which a whole token may be ``*`` (any one token) and
the last may be ``>`` (one or more tokens). A pattern stands for the set of subjects that it matches; ``covers`` is
"contains that set", ``overlaps`` is "shares a member with it".

The limits are ours (NATS itself has none but the length of a line); tokens are stricter than NATS's, which also
takes ``a*b`` as a literal: a person reads that as a wildcard, so nobody gets one.
"""

from typing import Final

PATTERN_BYTES: Final = 256  # longest subject or pattern, in bytes of UTF-8
PATTERN_TOKENS: Final = 16  # most tokens in one

_RESERVED_PREFIXES: Final = ("$", "_INBOX")  # $JS, $KV, $SYS, every inbox prefix
_RESERVED_TOKENS: Final = frozenset({"*", ">", "tidewire"})  # gateways talk to each other below "tidewire"


def is_subject(text: object) -> bool:
    """Say whether ``text`` is a literal subject: 1 to 16 non-empty tokens, 256 bytes, no space, control or wildcard."""
    return isinstance(text, str) and "*" not in text and ">" not in text and is_pattern(text)


def is_pattern(text: object) -> bool:
    """Say whether ``text`` is a pattern (every subject is one): as ``is_subject``, with whole-token wildcards."""
    if not isinstance(text, str) or len(text) > PATTERN_BYTES or not text.isprintable() or " " in text:
        return False  # isprintable: no control, no separator, no invisible format character, no lone surrogate
    if not text.isascii() and len(text.encode()) > PATTERN_BYTES:
        return False
    tokens = text.split(".")
    if len(tokens) > PATTERN_TOKENS or "" in tokens:
        return False
    if tokens[-1] == ">":
        tokens.pop()
    return all(part == "*" or ("*" not in part and ">" not in part) for part in tokens)


def matches(pattern: str, subject: str) -> bool:
    """Say whether ``subject`` belongs to ``pattern``, a valid one. Any text is taken as a subject. A hot path."""
    if "*" not in pattern:
        if pattern[-1] != ">":
            return pattern == subject
        # "a.b.>" without other wildcards is a prefix with at least one character after it.
        return len(subject) >= len(pattern) and subject.startswith(pattern[:-1])
    wanted = pattern.split(".")
    tokens = subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(tokens) <= len(wanted):
            return False
    elif len(tokens) != len(wanted):
        return False
    return all(want in ("*", token) for want, token in zip(wanted, tokens, strict=False))


def covers(allow: str, want: str) -> bool:
    """Say whether **every** subject that ``want`` can match is matched by ``allow``. Both are valid patterns.

    Token by token: ``>`` covers one or more of anything, ``*`` a literal or ``*`` but not ``>``, a literal itself.
    """
    allowed = allow.split(".")
    wanted = want.split(".")
    for place, part in enumerate(allowed):
        if place == len(wanted):
            return False
        if part == ">":
            return True
        if wanted[place] == ">" or part not in ("*", wanted[place]):
            return False
    return len(allowed) == len(wanted)


def overlaps(one: str, other: str) -> bool:
    """Say whether some subject is matched by both valid patterns. The order of the two does not matter."""
    left = one.split(".")
    right = other.split(".")
    for a, b in zip(left, right, strict=False):
        if ">" in (a, b):
            return True  # both have a token here, and the rest is free
        if a != b and "*" not in (a, b):
            return False
    return len(left) == len(right)


def is_reserved(pattern: str) -> bool:
    """Say whether no client may have ``pattern``, whatever its claims.

    So are patterns whose first token is a wildcard, starts with ``$`` (``$JS``, ``$KV``, ``$SYS``) or ``_INBOX``,
    or is ``tidewire`` (what gateways tell each other, and the dead letters).
    """
    first = pattern.split(".", 1)[0]
    return first in _RESERVED_TOKENS or first.startswith(_RESERVED_PREFIXES)

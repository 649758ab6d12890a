"""Pure: subject patterns as NATS has them: tokens between dots, ``*`` is one token, a last ``>`` is one or more."""

PATTERN_BYTES = 256
"""The most bytes of UTF-8 in a pattern; the gateway refuses longer ones."""
PATTERN_TOKENS = 16
"""The most tokens in a pattern; the gateway refuses more."""


def check_pattern(pattern: str) -> None:
    """Raise ValueError, with what is wrong, unless ``pattern`` can be subscribed to."""
    tokens = pattern.split(".")
    if not all(tokens):
        raise ValueError(f"pattern {pattern!r} is empty or has an empty token")
    if ">" in tokens[:-1]:
        raise ValueError(f"pattern {pattern!r}: '>' must be the last token")
    if any(ch.isspace() or ord(ch) < 32 or ord(ch) == 127 for ch in pattern):
        raise ValueError(f"pattern {pattern!r} has a space or a control character")
    if len(tokens) > PATTERN_TOKENS or len(pattern.encode("utf-8", "surrogatepass")) > PATTERN_BYTES:
        raise ValueError(f"a pattern has at most {PATTERN_TOKENS} tokens and {PATTERN_BYTES} bytes")


def matches(pattern: str, subject: str) -> bool:
    """Whether ``subject`` is one of those that ``pattern`` stands for."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">" and place == len(wanted) - 1:
            return len(given) > place
        if place >= len(given) or part not in ("*", given[place]):
            return False
    return len(wanted) == len(given)

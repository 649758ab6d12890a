"""Pure: a consumer's filter for a session's patterns.

nats-server refuses a consumer whose filter subjects overlap (err_code 10138). So patterns that another covers are
left out, and two that overlap without covering are widened to one; what comes too much is dropped when events are
matched.
"""

from collections.abc import Iterable

from security.subjects import covers, overlaps


def filter_subjects(patterns: Iterable[str]) -> list[str]:
    """Subjects, none overlapping another, that cover all ``patterns``; sorted, so that equal sets are equal."""
    kept: list[str] = []
    for pattern in sorted(set(patterns)):
        wide = pattern
        while True:
            clash = next((other for other in kept if overlaps(wide, other)), None)
            if clash is None:
                kept.append(wide)
                break
            kept.remove(clash)
            wide = _join(wide, clash)
    return sorted(kept)


def _join(one: str, other: str) -> str:
    """A pattern that covers both."""
    if covers(one, other):
        return one
    if covers(other, one):
        return other
    tokens: list[str] = []
    ones, others = one.split("."), other.split(".")
    for a, b in zip(ones, others, strict=False):
        if ">" in (a, b):
            return ".".join([*tokens, ">"])
        tokens.append(a if a == b else "*")
    return ".".join(tokens if len(ones) == len(others) else [*tokens, ">"])

"""NATS's rules of subjects, written as naively as can be: an oracle for whatever matches, covers or overlaps.

``test_subjects_oracle.py`` holds the oracle itself against a real nats-server.
"""

from itertools import product

from hypothesis import strategies as st


def is_valid_subject(text: str) -> bool:
    """No token is empty. Wildcards in a published subject are letters like others."""
    return "" not in text.split(".")


def is_valid_pattern(text: str) -> bool:
    """No token is empty, and ``>`` is the last if any. A token that holds more than a wildcard is a literal."""
    tokens = text.split(".")
    return "" not in tokens and ">" not in tokens[:-1]


def is_match(pattern: str, subject: str) -> bool:
    """Whether a subscription to a valid pattern gets what is published to ``subject``."""
    return is_valid_subject(subject) and walk(pattern.split("."), subject.split("."))


def walk(wanted: list[str], have: list[str]) -> bool:
    """The definition, by recursion on the first token."""
    if not wanted or not have:
        return not wanted and not have
    if wanted == [">"]:
        return True
    return wanted[0] in ("*", have[0]) and walk(wanted[1:], have[1:])


def universe(letters: str, longest: int) -> list[str]:
    """Every subject of at most so many tokens of one letter each."""
    return [".".join(tokens) for length in range(1, longest + 1) for tokens in product(letters, repeat=length)]


def patterns_of(*tokens: str, longest: int = 4) -> st.SearchStrategy[str]:
    """Patterns over these tokens and ``*``, some with ``>`` at their end."""
    head = st.lists(st.sampled_from([*tokens, "*"]), min_size=1, max_size=longest).map(".".join)
    return head | head.map(lambda text: f"{text}.>") | st.just(">")


def subjects_of(*tokens: str, longest: int = 5) -> st.SearchStrategy[str]:
    """Subjects over these tokens."""
    return st.lists(st.sampled_from(tokens), min_size=1, max_size=longest).map(".".join)

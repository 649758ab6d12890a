"""Pure: patterns with claims in them, such as ``orders.{sub}.>``.

A claim fills exactly one token, and its value must fit the grammar of names (no dot, no wildcard): so a value can
never add a token, nor widen what the template's author saw when writing it.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeGuard

from security.subjects import is_pattern, is_reserved

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_HOLE: Final = re.compile(r"\{([A-Za-z0-9_-]{1,64})\}")


def is_name(value: object) -> TypeGuard[str]:
    """Say whether ``value`` is 1 to 128 of ``A-Za-z0-9_-``: fit for a subject token, a consumer name, a key."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def is_template(text: str) -> bool:
    """Say whether ``text`` is a pattern in which whole tokens may be ``{claim}``, and is not reserved."""
    sample = ".".join("x" if _HOLE.fullmatch(part) else part for part in text.split("."))
    return is_pattern(sample) and not is_reserved(sample) and "{" not in sample and "}" not in sample


def fill(template: str, claims: Mapping[str, str]) -> str | None:
    """Put claims into a template. None when a claim is missing or unfit, or the result is no permissible pattern."""
    filled: list[str] = []
    for part in template.split("."):
        hole = _HOLE.fullmatch(part)
        value = claims.get(hole.group(1)) if hole else part
        if value is None or (hole and not is_name(value)):
            return None
        filled.append(value)
    pattern = ".".join(filled)
    return pattern if is_pattern(pattern) and not is_reserved(pattern) else None

"""Pure: a value that must not be seen. It hides from repr, str, format, pickle and encoders."""

import hmac
from typing import NoReturn

HIDDEN = "Secret(***)"


class Secret:
    """A secret string (password, key text, token) that has to be asked for by name to be read.

    Whatever shows an object by accident (logs, tracebacks, f-strings, dataclass reprs) shows ``Secret(***)``;
    whatever would store one (pickle, copy, JSON encoders) raises TypeError. Comparison takes constant time.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Give the value itself. The only way to it, so that a search for ``reveal`` finds every use."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self._value.encode("utf-8", "surrogatepass"), other._value.encode("utf-8", "surrogatepass")
        )

    __hash__ = None  # type: ignore[assignment]  # a hash would be an oracle, and secrets are no keys of dicts

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not pickled or copied")

"""Randomness that a test can foresee."""

from random import Random


class FixedRandom(Random):
    """Every draw gives the same value."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self._value = value

    def random(self) -> float:
        """The value."""
        return self._value

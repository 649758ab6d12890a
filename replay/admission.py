"""Pure: how many replays run at once, in all and for one tenant; the others wait their turn."""

from collections import Counter, OrderedDict
from typing import Generic, TypeVar

W = TypeVar("W")


class Admission(Generic[W]):
    """Grants turns in the order in which they were asked for; a tenant at its limit lets others pass."""

    def __init__(self, most: int, most_per_tenant: int) -> None:
        self._most = most
        self._most_per_tenant = most_per_tenant
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[W, str] = OrderedDict()

    @property
    def running(self) -> int:
        """Turns granted and not yet given back."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def ask(self, who: W, tenant: str) -> bool:
        """Ask for a turn; False: wait until ``next`` names you."""
        if not self._admits(tenant):
            self._waiting[who] = tenant
            return False
        self._running[tenant] += 1
        return True

    def leave(self, who: W) -> None:
        """Stop waiting."""
        self._waiting.pop(who, None)

    def give_back(self, tenant: str) -> list[W]:
        """End a turn; returns whose turn it is now, at most one: of those who wait nobody was admitted before."""
        assert self._running[tenant] > 0, "only a granted turn ends"
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        for who, waiting_tenant in self._waiting.items():
            if self._admits(waiting_tenant):
                del self._waiting[who]
                self._running[waiting_tenant] += 1
                return [who]
        return []

    def _admits(self, tenant: str) -> bool:
        return self.running < self._most and self._running[tenant] < self._most_per_tenant

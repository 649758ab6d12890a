"""Pure: one clock for everything that is due: a heap of times, no timer of its own per session."""

import heapq
import itertools
from typing import Generic, Protocol, TypeVar


class Due(Protocol):
    """Something that wants to be called at ``due_s``, which may move later at any time without telling."""

    @property
    def due_s(self) -> float:
        """Monotonic seconds."""
        ...


D = TypeVar("D", bound=Due)


class Timers(Generic[D]):
    """What is due when. An entry popped before its owner's ``due_s`` goes back with the later time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []  # by number: who is forgotten is not held until its time comes
        self._owners: dict[int, D] = {}
        self._earliest: dict[D, tuple[float, int]] = {}
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._earliest)

    def watch(self, owner: D) -> None:
        """Remember the owner's ``due_s``; call again when it moved earlier."""
        known = self._earliest.get(owner)
        if known is None or owner.due_s < known[0]:
            self.forget(owner)
            entry = self._earliest[owner] = (owner.due_s, next(self._numbers))
            self._owners[entry[1]] = owner
            heapq.heappush(self._heap, entry)

    def forget(self, owner: D) -> None:
        """The owner wants no more calls."""
        known = self._earliest.pop(owner, None)
        if known is not None:
            del self._owners[known[1]]

    def due(self, now_s: float) -> list[D]:
        """Those whose time has come. Call ``watch`` for each again after serving it."""
        served: list[D] = []
        while self._heap and self._heap[0][0] <= now_s:
            owner = self._owners.get(heapq.heappop(self._heap)[1])
            if owner is None:
                continue  # forgotten, or an earlier entry has taken its place
            self.forget(owner)
            if owner.due_s > now_s:
                self.watch(owner)
            else:
                served.append(owner)
        return served

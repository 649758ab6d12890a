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
        self._heap: list[tuple[float, int, D]] = []
        self._earliest: dict[D, float] = {}
        self._ties = itertools.count()

    def __len__(self) -> int:
        return len(self._earliest)

    def watch(self, owner: D) -> None:
        """Remember the owner's ``due_s``; call again when it moved earlier."""
        known = self._earliest.get(owner)
        if known is None or owner.due_s < known:
            self._earliest[owner] = owner.due_s
            heapq.heappush(self._heap, (owner.due_s, next(self._ties), owner))

    def forget(self, owner: D) -> None:
        """The owner wants no more calls."""
        self._earliest.pop(owner, None)

    def due(self, now_s: float) -> list[D]:
        """Those whose time has come. Call ``watch`` for each again after serving it."""
        served: list[D] = []
        while self._heap and self._heap[0][0] <= now_s:
            at, _, owner = heapq.heappop(self._heap)
            if self._earliest.get(owner) != at:
                continue  # forgotten, or an earlier entry has taken its place
            del self._earliest[owner]
            if owner.due_s > now_s:
                self.watch(owner)
            else:
                served.append(owner)
        return served

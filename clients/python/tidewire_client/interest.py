"""Pure: which patterns the iterators of a session want, and which of them the gateway knows of.

A connection asks for the patterns known when it opens. What comes or goes later is told once the gateway has said
welcome.
"""

from collections.abc import Iterator

from tidewire_client.effects import Effect, Send
from tidewire_client.frames import Subscribe, Unsubscribe
from tidewire_client.patterns import matches


class Interest:
    """The patterns of each iterator. ``frame_ids`` numbers the frames that a connection sends."""

    def __init__(self, frame_ids: Iterator[int]) -> None:
        self._frame_ids = frame_ids
        self._inboxes: dict[int, tuple[str, ...]] = {}
        self._told: set[str] = set()  # patterns the gateway has been told on this connection
        self._asked: dict[str, tuple[str, ...]] = {}  # subscribe frames without a reply yet

    @property
    def patterns(self) -> tuple[str, ...]:
        """What the iterators want, each pattern once, in the order of asking."""
        return tuple(dict.fromkeys(pattern for held in self._inboxes.values() for pattern in held))

    def add(self, inbox: int, patterns: tuple[str, ...]) -> None:
        """Take in a new iterator."""
        assert inbox not in self._inboxes
        self._inboxes[inbox] = patterns

    def remove(self, inbox: int) -> bool:
        """Forget an iterator; False when it is not known."""
        return self._inboxes.pop(inbox, None) is not None

    def matching(self, subject: str) -> tuple[int, ...]:
        """The iterators that an event of this subject is for, maybe none."""
        return tuple(n for n, held in self._inboxes.items() if any(matches(p, subject) for p in held))

    def connect(self) -> tuple[str, ...]:
        """All patterns, for the first frame of a connection."""
        self._told = set(self.patterns)
        return self.patterns

    def announce(self) -> list[Effect]:
        """Tell the gateway what changed since it was last told."""
        wanted = self.patterns
        added = tuple(p for p in wanted if p not in self._told)
        ended = tuple(sorted(self._told.difference(wanted)))
        self._told = set(wanted)
        effects: list[Effect] = []
        if added:
            frame_id = str(next(self._frame_ids))
            self._asked[frame_id] = added
            effects.append(Send(Subscribe(frame_id, added)))
        if ended:
            effects.append(Send(Unsubscribe(str(next(self._frame_ids)), ended)))
        return effects

    def answered(self, frame_id: str) -> tuple[str, ...] | None:
        """The patterns of the ``subscribe`` frame that a reply is about; None when it is about another frame."""
        return self._asked.pop(frame_id, None)

    def deny(self, subjects: tuple[str, ...]) -> tuple[int, ...]:
        """Forget the iterators that hold a refused pattern, and return them."""
        hit = tuple(n for n, held in self._inboxes.items() if any(p in subjects for p in held))
        for inbox in hit:
            del self._inboxes[inbox]
        if hit:
            self._told.difference_update(subjects)
        return hit

    def end_connection(self) -> None:
        """The next gateway knows of nothing."""
        self._told.clear()
        self._asked.clear()

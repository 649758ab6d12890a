"""Pure: events that came together and go to the same sessions: their frames are put together once for all of them."""

from gateway.event_frame import passing_frame
from gateway.outstanding import Sent
from gateway.websocket_frame import websocket_message, websocket_messages
from mesh.event import StoredEvent


class Portion:
    """The events of a batch in one encoding."""

    __slots__ = ("bytes", "count", "entries", "messages")

    def __init__(self, events: list[StoredEvent], encoding: str) -> None:
        if len(events) == 1:  # as an event that one session gets nearly always is
            frame = passing_frame(events[0], encoding)
            self.count, self.bytes = 1, len(frame)
            self.entries = [Sent(events[0].seq, len(frame))]
            self.messages = websocket_message(frame, encoding)
            return
        frames = [passing_frame(event, encoding) for event in events]
        self.count = len(frames)
        self.entries = [Sent(event.seq, len(frame)) for event, frame in zip(events, frames, strict=True)]
        """What ``Outstanding`` counts of each."""
        self.bytes = sum(map(len, frames))
        self.messages = websocket_messages(frames, encoding)
        """What a socket gets to which nothing else is to be said."""


class Batch:
    """At least one event, in rising sequence."""

    __slots__ = ("events", "first_seq", "is_plain", "last_seq", "portions")

    def __init__(self, events: list[StoredEvent]) -> None:
        self.events = events
        self.first_seq = events[0].seq
        self.last_seq = events[-1].seq
        self.is_plain = True
        """Whether all of them may be delivered."""
        for event in events:
            if event.is_withheld:
                self.is_plain = False
        self.portions: dict[str, Portion] = {}
        """What has been made of them so far, by encoding."""

    def portion(self, encoding: str) -> Portion:
        """The events in an encoding; made on first use. Only of a plain batch."""
        portion = self.portions.get(encoding)
        if portion is None:
            portion = self.portions[encoding] = Portion(self.events, encoding)
        return portion

    def failed_at(self, told: int) -> int:
        """The event that a session failed at which was told of all up to ``told``."""
        return next((event.seq for event in self.events if event.seq > told), self.last_seq)

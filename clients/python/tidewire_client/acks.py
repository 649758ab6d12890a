"""Pure: the position of a session: it follows what is processed, is stored first, and is acknowledged then.

Nothing is acknowledged that is not processed, and nothing that this connection's gateway has not brought. An event in
work, or a gap that the program has not dealt with, holds the position.
"""

from tidewire_client.effects import Deliver, Effect, Send, Store, TellGap
from tidewire_client.frames import Ack, EventFrame, GapFrame, Welcome, WindowSize
from tidewire_client.ledger import NOTHING, Ledger
from tidewire_client.position import Position
from tidewire_client.timers import Timers

ACK_WITHIN_S = 0.25
"""The longest that a processed event waits for its acknowledgement."""
ACK_EVENTS = 50
"""So many processed events are acknowledged at once; fewer when the window is small."""
OVERRUN = 2
"""A gateway that sends more than so many windows of unprocessed events breaks the protocol."""


class Acks:
    """The events in work and the position below them. ``window`` is what the client asks for; ``ack`` is its timer."""

    def __init__(self, window: WindowSize, timers: Timers) -> None:
        self.epoch = 0  # number of the current ledger: an answer about an older stream changes nothing
        self._asked_window = window
        self._window = window  # as the last welcome has it
        self._timers = timers
        self._stream: str | None = None
        self._ledger: Ledger | None = None
        self._stored: Position | None = None
        self._gaps = 0
        self._is_held = False  # a welcome announced a gap that has not come yet: store nothing
        self._is_connected = False  # from a welcome on
        self._acked = 0
        self._ack_limit = 0
        self._processed_events = 0  # since the last flush
        self._processed_bytes = 0

    @property
    def position(self) -> Position | None:
        """Up to where everything is processed; None before it is known."""
        if self._stream is None or self._ledger is None or self._is_held or self._ledger.processed == NOTHING:
            return None
        return Position(self._stream, self._ledger.processed)

    @property
    def resume(self) -> Position | None:
        """Where to resume from: the position, or the stored one while there is none.

        Then the gateway tells again what lies in between, also when it has forgotten the session.
        """
        return self.position or self._stored

    @property
    def _received(self) -> Position | None:
        """Up to where everything has come of a stream whose first gap is still open, and so has no position."""
        if self._stream is None or self._ledger is None:
            return None
        return Position(self._stream, self._ledger.received)

    # --- what the gateway brings ---

    def begin(self, frame: Welcome, now: float) -> list[Effect]:
        """A connection begins: go on, or begin with what its gateway says."""
        before = self.position
        self._is_connected = True
        self._window = frame.window
        self._acked, self._ack_limit = 0, frame.after
        self._is_held = frame.outcome == "gap"
        lost = _untold_gap(before or self._received, frame)
        if self._stream != frame.stream or self._ledger is None:
            self._restart(frame.stream, frame.after, is_lost=self._is_held or lost is not None)
        effects: list[Effect] = []
        if lost is not None:
            effects.append(self._open_gap(lost))
        if not self._is_held and before is None:
            effects += self.store()
        self._schedule(now)
        return effects

    def receive(self, frame: EventFrame, inboxes: tuple[int, ...], now: float) -> list[Effect] | None:
        """An event for some iterators, maybe none. None when the gateway goes on beyond the window: a bug of it."""
        self._ack_limit = max(self._ack_limit, frame.seq)
        self._is_held = False  # the gap that was announced lies ahead: up to it the position may move
        ledger = self._ledger
        assert ledger is not None, "a welcome has made one"
        if frame.seq <= ledger.received:
            self._schedule(now)  # a repeat: its acknowledgement may have been lost
            return []
        if len(ledger) >= OVERRUN * self._asked_window.messages:
            return None
        ledger.receive(frame.seq, inboxes, len(bytes(frame.data)))
        return [Deliver(inboxes, self.epoch, frame)] if inboxes else self._settle(now)

    def reach(self, seq: int, now: float) -> list[Effect]:
        """Everything up to ``seq`` has been sent: once it is processed, the position may stand there."""
        assert self._ledger is not None, "a welcome has made one"
        self._ack_limit = max(self._ack_limit, seq)
        self._is_held = False
        self._ledger.reach(seq)
        self._schedule(now)
        return self._settle(now)

    def gap(self, frame: GapFrame) -> list[Effect]:
        """A gap was told: the program must deal with it before the position may pass."""
        effects: list[Effect] = []
        if frame.reason == "stream_replaced" and not self._is_held:
            # While connected: the new stream's identity comes with the next welcome, until then nothing is stored.
            self._restart(None, 0)
            self._ack_limit, self._acked = 0, 0
            effects.append(Store(None))
            self._stored = None
        self._is_held = False
        return [*effects, self._open_gap(frame)]

    def _open_gap(self, frame: GapFrame) -> TellGap:
        assert self._ledger is not None, "a welcome has made one"
        self._gaps += 1
        self._ledger.open_gap(self._gaps)
        return TellGap(self._gaps, frame)

    def end_connection(self) -> None:
        """The connection is lost: of it stay the position and the events in work."""
        self._is_connected = False
        if self._is_held:  # the gap that was announced never came: ask as before
            self._is_held = False
            if self._stored is None or self._stored.stream != self._stream:
                self._restart(None, 0)
                self._ledger = None
                if self._stored is not None:
                    self._restart(self._stored.stream, self._stored.seq)

    # --- what the program does ---

    def load(self, position: Position | None) -> None:
        """Begin with a stored position, unless a gateway's welcome was faster."""
        if position is not None and self._ledger is None:
            self._stored = position
            self._restart(position.stream, position.seq)

    def process(self, inbox: int, epoch: int, seq: int, now: float) -> list[Effect]:
        """An iterator is done with an event of this epoch; of an older one it changes nothing."""
        if self._ledger is None or epoch != self.epoch:
            return []
        self._ledger.process(seq, inbox)
        return self._settle(now)

    def close_gap(self, number: int, now: float) -> list[Effect]:
        """The program has dealt with a gap: the position may pass it, and does so now."""
        if self._ledger is None:
            return []
        self._ledger.close_gap(number)
        return self._settle(now) + self.flush()

    def release(self, inbox: int) -> None:
        """An iterator is gone: its events are not due any more."""
        if self._ledger is not None:
            self._ledger.release(inbox)

    def give_up(self, inbox: int, now: float) -> list[Effect]:
        """An iterator is given up by the program: the position moves over its events."""
        self.release(inbox)
        return self._settle(now)

    # --- storing and acknowledging ---

    def flush(self) -> list[Effect]:
        """Store and acknowledge what is processed, now; with no connection, store."""
        self._timers.stop("ack")
        self._processed_events = self._processed_bytes = 0
        effects = self.store()
        seq = self._ackable()
        if self._is_connected and seq > self._acked:
            self._acked = seq
            effects.append(Send(Ack(seq)))
        return effects

    def store(self) -> list[Effect]:
        """Store the position when it is another than the stored one."""
        position = self.position
        if position is None or position == self._stored:
            return []
        self._stored = position
        return [Store(position)]

    def _restart(self, stream: str | None, after: int, *, is_lost: bool = False) -> None:
        self.epoch += 1
        self._stream = stream
        self._ledger = Ledger(after, is_lost=is_lost)
        self._processed_events = self._processed_bytes = 0

    def _settle(self, now: float) -> list[Effect]:
        """Let the position follow what is processed; acknowledge by count and size, else by time."""
        if self._ledger is None:
            return []
        count, size_bytes = self._ledger.settle()
        if not count:
            return []
        self._processed_events += count
        self._processed_bytes += size_bytes
        if self._processed_events >= min(ACK_EVENTS, max(1, self._window.messages // 2)):
            return self.flush()
        if self._processed_bytes >= self._window.bytes // 2:
            return self.flush()
        self._timers.set_unless_set("ack", now + ACK_WITHIN_S)
        return []

    def _schedule(self, now: float) -> None:
        if self._ackable() > self._acked:
            self._timers.set_unless_set("ack", now + ACK_WITHIN_S)

    def _ackable(self) -> int:
        """The most that may be acknowledged here: processed, and known to this connection's gateway."""
        return 0 if self._ledger is None or self._is_held else min(self._ledger.processed, self._ack_limit)


def _untold_gap(before: Position | None, frame: Welcome) -> GapFrame | None:
    """The loss that a welcome shows without saying so: another stream, or a start beyond what this client has."""
    if before is None or frame.outcome == "gap":
        return None
    if before.stream != frame.stream:
        return GapFrame(after=before.seq, before=frame.after + 1, reason="stream_replaced")
    if frame.outcome == "fresh" and frame.after > before.seq:
        return GapFrame(after=before.seq, before=frame.after + 1, reason="expired")
    return None

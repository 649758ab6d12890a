"""Pure: one connected session, from welcome to close. Frames, events, answers and time in; frames and effects out.

Three rules carry everything.

*One position.* A session that is not live has ``position``: everything due up to it was sent. While live the position
is the feed's; it is written down only when the session stops being live.

*The recent window is the queue.* A live session gets each matching event as the feed brings it. When it cannot take
one (its window is full, or its socket is), nothing is queued for it: it notes the position before that event and is
lagging. From there it reads on, from the recent window or, when that has moved past it, from its durable consumer, at
the pace of its own acknowledgements. When it has read all there is, it is live again.

*Nothing moves the cursor but an ack.* ``acked`` is what the client said it has processed. ``through`` is where a
replay would begin: nothing due lies unprocessed below it.

::

    connect --> REPLAYING --(read everything)--> LIVE --(cannot take one)--> LAGGING --(read everything)--> LIVE
                     any of them --(close)--> ENDED (parked: cursor and durable wait)

Time: ``now_s`` is monotonic seconds, ``unix_s`` wall time. The shell calls ``tick`` when ``due_s`` has come; one
clock serves all sessions. Frames for the client gather in ``outbox``; the shell writes them with ``take``.
"""

from collections import deque

import msgspec

from gateway import close_codes, frames
from gateway.access import grant
from gateway.batch import Batch
from gateway.effects import Close, Effect, Hold, PumpAgain, ReadDurable, Release, Save, VerifyToken
from gateway.event_frame import event_frame, timestamp
from gateway.outstanding import Outstanding
from gateway.phase import Phase
from gateway.session_settings import HOLD_BACK_S, READ_RETRY_S, SessionSettings
from mesh.contiguity import Hole
from mesh.event import StoredEvent
from replay.catchup import Failed, Read
from replay.opening import Opening
from replay.recent import RecentWindow
from security.permissions import Permissions
from security.tokens import Claims

CHUNK = 256
"""Most events that one session sends in one turn of the loop while it catches up."""
MESSAGE_OVERHEAD_BYTES = 256
"""What nats-server counts beside the payload when it applies ``max_bytes``: subjects and headers, about."""


_LIVE = Phase.LIVE  # looked up for each session and event
_SAVE = Save()


class Session:
    """The protocol of one connection after its ``connect`` was accepted."""

    __slots__ = (
        *("name", "stream", "encoding", "interest", "phase", "position", "acked", "told", "outbox", "untold"),
        *("gap_reasons", "events_sent", "events_replayed", "is_blocked", "is_reading", "expires_at", "due_s"),
        *("_is_text", "_recent", "_opening", "_denied", "_settings", "_outstanding", "_through", "_heard_s", "_pinged"),
        *("_read_failures", "_hold_s", "_is_impatient", "_retry_s", "_expiring_s", "_expires_s", "__dict__"),
    )

    def __init__(
        self,
        *,
        name: str,
        stream: str,
        encoding: str,
        opening: Opening,
        claims: Claims,
        denied: list[str],
        settings: SessionSettings,
        recent: RecentWindow,
        now_s: float,
        unix_s: float,
    ) -> None:
        self.name = name
        self.stream = stream
        self.encoding = encoding
        self._is_text = encoding == frames.JSON
        self.interest = opening.interest
        self.phase = Phase.REPLAYING
        self.position = opening.position
        self.acked = opening.acked
        self.told = max(opening.acked, opening.position)
        self.outbox: list[bytes] = []
        self.events_sent = 0
        self.events_replayed = 0
        self.untold: Hole | None = None
        """The gaps told on this connection that no ack has shown to have been read."""
        self.gap_reasons: list[str] = []
        """Reasons of gaps told since the shell last counted them."""
        self.is_blocked = False
        self.is_reading = False
        self.expires_at = claims.expires_at
        self._recent = recent
        self._opening = opening
        self._denied = denied
        self._settings = settings
        self._outstanding = Outstanding(settings.window_messages, settings.window_bytes)
        self._through = opening.position
        self._heard_s = now_s
        self._pinged = False
        self._read_failures = 0
        self._hold_s: float | None = None
        """Until when more acks are waited for before the durable is read for little room."""
        self._is_impatient = False
        self._retry_s: float | None = None
        self._expiring_s: float | None = None
        self._expires_s = now_s
        self._set_expiry(claims.expires_at, now_s, unix_s)
        self.due_s = self._next_due()

    # --- opening ---

    def start(self) -> list[Effect]:
        """Welcome the client, tell what is known to be lost, and begin to replay."""
        opening, settings, recent = self._opening, self._settings, self._recent
        outcome, pending, oldest = opening.outcome, None, None
        if recent.reaches_back_to(self.position):
            pending, oldest = recent.pending(self.position, self.interest)
            start = self.interest.start_after(self.position, recent.head)
            if outcome == "resumed" and recent.holes(start, recent.head):
                outcome = "gap"
        welcome = frames.Welcome(
            session=self.name,
            stream=self.stream,
            outcome=outcome,
            from_=self.position,
            pending=pending,
            oldest=timestamp(oldest.time_ns) if oldest is not None else msgspec.UNSET,
            expires=self.expires_at,
            ping=settings.ping_every_s,
            window=frames.Window(settings.window_messages, settings.window_bytes),
            subjects=list(self.interest.since),
            denied=self._denied or msgspec.UNSET,
        )
        self._say(welcome)
        if opening.gap is not None:
            self._tell(opening.gap)
        return self.pump()

    # --- events ---

    def offer(self, event: StoredEvent) -> bool:
        """Take the feed's next matching event; True when it went into the outbox. The hot path."""
        if self.phase is not _LIVE:
            return False
        if not self._send(event, replay=False):
            self.stop_before(event.seq)
            return False
        return True

    def admit(self, batch: Batch, unix_s: float) -> bytes | None:
        """``offer_all`` without the outbox, for a broadcast: what is to be written now, or None where that decides.

        The hottest path there is: it takes as few steps as it can.
        """
        if self.phase is not _LIVE or self.is_blocked or self.outbox or unix_s >= self.expires_at or not batch.is_plain:
            return None
        portion = batch.portions.get(self.encoding) or batch.portion(self.encoding)
        if not self._outstanding.admit_all(portion.entries, portion.bytes):
            return None
        assert batch.first_seq > self.told, "invariant 3: sequences rise"
        self.told = batch.last_seq
        self.events_sent += portion.count
        return portion.messages

    def offer_all(self, batch: Batch) -> bool:
        """Take the feed's next matching events; True when at least one went into the outbox."""
        return sum(self.offer(event) for event in batch.events) > 0

    def stop_before(self, seq: int) -> None:
        """A live session could not take an event: a replay begins before it."""
        if self.phase is Phase.LIVE:
            self.position, self.phase = seq - 1, Phase.LAGGING

    def skip(self, hole: Hole) -> None:
        """The feed met a hole: a live session is told at once, any other meets it as it reads on."""
        if self.phase is Phase.LIVE and self.interest.since:
            self._tell(hole)
            self.told = max(self.told, hole.before - 1)

    def pump(self) -> list[Effect]:
        """Read on, if not live: what the recent window has, or a request for the durable."""
        recent = self._recent
        if self.phase in (Phase.LIVE, Phase.ENDED) or self.is_reading or self._retry_s is not None:
            return []
        if self.waits_for_feed or not self._has_room():
            return []  # the feed, the client's ack or the socket calls again
        self.position = self.interest.start_after(self.position, recent.head)
        if not recent.reaches_back_to(self.position):
            if self._outstanding.is_half_free or self._is_impatient:
                return [self._ask_durable()]
            self._hold_s = self._hold_s or self._heard_s + HOLD_BACK_S
            self.due_s = min(self.due_s, self._hold_s)
            return []
        most = min(CHUNK, self._outstanding.messages_left)
        found = recent.read(self.position, self.interest, most)
        if not self._send_all(found.events, found.holes, found.reached):
            return []
        if self.position == recent.head:
            self._go_live()
            return []
        return [PumpAgain()] if self._has_room() else []

    @property
    def waits_for_feed(self) -> bool:
        """Whether the client has seen more of the stream, on another gateway, than this one's feed has read."""
        if self.phase in (Phase.LIVE, Phase.ENDED):
            return False
        return max(self.position, max(self.interest.since.values(), default=0)) > self._recent.head

    def read(self, result: Read | Failed, now_s: float) -> list[Effect]:
        """The durable's answer."""
        self.is_reading = False
        if self.phase is Phase.ENDED:
            return []
        if isinstance(result, Failed):
            first, longest = READ_RETRY_S
            self._retry_s = now_s + min(longest, first * 2**self._read_failures)
            self._read_failures = min(self._read_failures + 1, 8)
            self.due_s = self._next_due()
            return []
        self._read_failures = 0
        assert result.reached >= self.position, "a read goes forward"
        # a pattern may have been let go of while the durable was read
        events = [event for event in result.events if self.interest.is_due(event.subject, event.seq)]
        if not self._send_all(events, result.holes, result.reached):
            return []
        return self.pump()

    def set_blocked(self, *, is_blocked: bool) -> None:
        """The socket takes no more, or takes some again."""
        self.is_blocked = is_blocked

    # --- frames ---

    def receive(self, frame: frames.Frame, permissions: Permissions, now_s: float) -> list[Effect]:  # noqa: C901 - one case per frame
        """React to a client's frame. A wrong one closes; nothing raises."""
        if self.phase is Phase.ENDED:
            return []
        self._hear(now_s)
        match frame:
            case frames.Ack(seq):
                return self._ack(seq)
            case frames.Ping():
                self._say(frames.Pong())
                return []
            case frames.Pong():
                return []
            case frames.Subscribe():
                return self._subscribe(frame, permissions)
            case frames.Unsubscribe():
                return self._unsubscribe(frame)
            case frames.Refresh(token, id_):
                return [VerifyToken(token, id_)]
            case frames.Request(id_) | frames.Publish(id_):
                self._refuse(id_, "not_supported", "this gateway does not support it yet")
                return []
            case frames.Unknown():
                self._say(frames.ErrorFrame("unknown_type", "unknown frame type", retry=False))
                return []
            case frames.Connect():
                return self.close(close_codes.BAD_FRAME)

    def refreshed(
        self, claims: Claims, permissions: Permissions, id_: str | int | None, now_s: float, unix_s: float
    ) -> list[Effect]:
        """A refresh was verified and is the same principal's: the connection lives on, with the permissions of now."""
        if self.phase is Phase.ENDED:
            return []
        self._set_expiry(claims.expires_at, now_s, unix_s)
        self.due_s = self._next_due()
        granted = grant(self.interest.since, permissions)
        data: dict[str, object] = {"expires": claims.expires_at}
        if not granted.denied:
            self._say(frames.ReplyFrame(id_, data))
            return []
        for pattern in granted.denied:
            del self.interest.since[pattern]
        reply = frames.encode(frames.ReplyFrame(id_, data | {"denied": granted.denied}), self.encoding)
        return [*(Release(pattern) for pattern in granted.denied), Save(reply)]

    def reply(self, frame: bytes) -> None:
        """Hand over a reply that waited for the record to be stored."""
        if self.phase is not Phase.ENDED:
            self.outbox.append(frame)

    # --- time and end ---

    def tick(self, now_s: float, unix_s: float) -> list[Effect]:
        """Do what is due: end with the token, warn before, ping a silent client, close a dead one, read again."""
        if self.phase is Phase.ENDED:
            return []
        effects: list[Effect] = []
        if unix_s >= self.expires_at or now_s >= self._expires_s:
            return self.close(close_codes.TOKEN_EXPIRED)
        if self._expiring_s is not None and now_s >= self._expiring_s:
            self._expiring_s = None
            self._say(frames.Expiring(max(0, int(self.expires_at - unix_s))))
        settings = self._settings
        if self._pinged and now_s >= self._heard_s + settings.ping_every_s + settings.ping_answer_s:
            return self.close(close_codes.DEAD)
        if not self._pinged and now_s >= self._heard_s + settings.ping_every_s:
            self._pinged = True
            self._heard_s = now_s - settings.ping_every_s  # a late tick must not shorten the time to answer
            self._say(frames.Ping())
        if self._hold_s is not None and now_s >= self._hold_s:
            self._hold_s, self._is_impatient = None, True
            effects += self.pump()
        if self._retry_s is not None and now_s >= self._retry_s:
            self._retry_s = None
            effects += self.pump()
        self.due_s = self._next_due()
        return effects

    def close(self, code: int, after_ms: int | None = None) -> list[Effect]:
        """Say goodbye and end; safe to repeat."""
        if self.phase is Phase.ENDED:
            return []
        self._through = self.through
        if code == close_codes.TOKEN_EXPIRED:
            self.outbox.clear()  # nothing is delivered after the end
        self._say(frames.Goodbye(code, close_codes.REASONS[code], close_codes.may_return(code), after_ms))
        self.phase = Phase.ENDED
        return [Close(code)]

    def end(self) -> None:
        """The connection is gone: note where the next one begins."""
        if self.phase is not Phase.ENDED:
            self._through = self.through
            self.phase = Phase.ENDED
            self.outbox.clear()

    def take(self, unix_s: float) -> list[bytes]:
        """The frames to write now; once the token has ended only a goodbye, whatever it is for."""
        has_ended = unix_s >= self.expires_at
        if has_ended and self.phase is not Phase.ENDED:
            return []  # a refresh may still save them
        taken, self.outbox = self.outbox, []
        return taken[-1:] if has_ended else taken

    @property
    def through(self) -> int:
        """Where a replay would begin: nothing due lies unprocessed up to here."""
        if self.phase is Phase.ENDED:
            return self._through
        reached = self._recent.head if self.phase is Phase.LIVE else self.position
        first = self._outstanding.first
        if first is not None:
            reached = min(reached, first - 1)
        return max(self.acked, reached)

    @property
    def outstanding(self) -> tuple[int, int]:
        """Events and bytes sent and not acknowledged."""
        return len(self._outstanding), self._outstanding.bytes

    # --- inside ---

    def _has_room(self) -> bool:
        return not self.is_blocked and self._outstanding.takes_more

    def _send(self, event: StoredEvent, *, replay: bool) -> bool:
        """Send an event if there is room for it. One that is larger than the whole window goes alone."""
        if self.is_blocked:
            return False
        if event.is_withheld:
            if not self._has_room():
                return False
            self._tell(Hole(event.seq - 1, event.seq + 1, "deleted"))
            self.told = max(self.told, event.seq)
            return True
        frame = None if replay or not self._is_text else event.text_frame
        if frame is None:
            frame = event_frame(event, self.encoding, replay=replay)
        if not self._outstanding.admit(event.seq, len(frame)):
            return False
        assert event.seq > self.told, "invariant 3: sequences rise"
        self.told = event.seq
        self.events_sent += 1
        self.events_replayed += replay
        self.outbox.append(frame)
        return True

    def _send_all(self, events: list[StoredEvent], holes: list[Hole], reached: int) -> bool:
        """Send what a read brought, each hole before the events after it. False: there was no room for all of it."""
        waiting = deque(holes)
        for event in events:
            while waiting and waiting[0].after < event.seq:
                self._tell(waiting.popleft())
            self.position = event.seq - 1  # nothing due lies before it; a hole told is not met again
            if not self._send(event, replay=True):
                return False
            self.position = event.seq
        while waiting:
            self._tell(waiting.popleft())
        self.position = max(self.position, reached)
        return True

    def _tell(self, hole: Hole) -> None:
        self.gap_reasons.append(hole.reason)
        self.untold = hole.joined_to(self.untold)
        self._say(frames.Gap(hole.after, hole.before, hole.reason))

    def _ask_durable(self) -> Effect:
        self.is_reading = True
        self._hold_s, self._is_impatient = None, False
        outstanding = self._outstanding
        batch = min(self._settings.batch_events, outstanding.messages_left)
        room = max(1, outstanding.bytes_most - outstanding.bytes) + MESSAGE_OVERHEAD_BYTES
        return ReadDurable(self.position, batch, room, *outstanding.until_half)

    def _go_live(self) -> None:
        self.phase = Phase.LIVE
        self.told = max(self.told, self.position)
        self._say(frames.Live(self.position))

    def _ack(self, seq: int) -> list[Effect]:
        gap_end = 0 if self.untold is None else self.untold.before - 1
        if seq > max(self.told, gap_end, self.acked):
            return self.close(close_codes.BAD_FRAME)  # it acknowledges what it was never told of
        has_read_gap = self.untold is not None and seq >= self.untold.before - 1
        if has_read_gap:
            self.untold = None
        if seq <= self.acked:
            return [_SAVE] if has_read_gap else []
        self.acked = seq
        self._outstanding.acknowledge(seq)
        return [_SAVE, *self.pump()] if self.phase is not _LIVE else [_SAVE]

    def _subscribe(self, frame: frames.Subscribe, permissions: Permissions) -> list[Effect]:
        if frame.from_ != "now":
            return self._refuse(frame.id, "not_supported", "only from now is supported yet")
        settings = self._settings
        if len(frame.subjects) > settings.subscriptions:
            return self._refuse(frame.id, "limit", f"more than {settings.subscriptions} subscriptions")
        granted = grant(
            frame.subjects,
            permissions,
            pattern_bytes=settings.pattern_bytes,
            pattern_tokens=settings.pattern_tokens,
        )
        if granted.invalid:
            return self._refuse(frame.id, "invalid_subject", "a pattern is not valid")
        new = [pattern for pattern in granted.allowed if pattern not in self.interest.since]
        if len(self.interest.since) + len(new) > self._settings.subscriptions:
            return self._refuse(frame.id, "limit", f"more than {self._settings.subscriptions} subscriptions")
        if not granted.allowed and granted.denied:
            return self._refuse(frame.id, "forbidden", "none of the patterns is permitted")
        newest = max(self._recent.head, self.position)  # the client may have seen more than this gateway's feed
        for pattern in new:
            self.interest.since[pattern] = newest
        data: dict[str, object] = {"seq": newest} | ({"denied": granted.denied} if granted.denied else {})
        reply = frames.encode(frames.ReplyFrame(frame.id, data), self.encoding)
        return [*(Hold(pattern) for pattern in new), Save(reply)]

    def _unsubscribe(self, frame: frames.Unsubscribe) -> list[Effect]:
        if len(frame.subjects) > self._settings.subscriptions:
            return self._refuse(frame.id, "limit", f"more than {self._settings.subscriptions} subscriptions")
        gone = [pattern for pattern in dict.fromkeys(frame.subjects) if pattern in self.interest.since]
        for pattern in gone:
            del self.interest.since[pattern]
        reply = frames.encode(frames.ReplyFrame(frame.id, {"subjects": list(self.interest.since)}), self.encoding)
        return [*(Release(pattern) for pattern in gone), Save(reply)]

    def _refuse(self, id_: str | int, code: str, message: str) -> list[Effect]:
        self._say(frames.ReplyFrame(id_, error=frames.Problem(code, message)))
        return []

    def _set_expiry(self, expires_at: int, now_s: float, unix_s: float) -> None:
        left = expires_at - unix_s
        self.expires_at = expires_at
        self._expires_s = now_s + left
        self._expiring_s = now_s + left - min(self._settings.expiring_s, left / 2)

    def _hear(self, now_s: float) -> None:
        self._heard_s = now_s
        if self._pinged:
            self._pinged = False
            self.due_s = self._next_due()  # sooner than it was, where an answer may take longer than a ping is apart

    def _next_due(self) -> float:
        settings = self._settings
        due = self._heard_s + settings.ping_every_s + (settings.ping_answer_s if self._pinged else 0.0)
        due = min(due, self._expires_s)
        if self._expiring_s is not None:
            due = min(due, self._expiring_s)
        for wish in (self._retry_s, self._hold_s):
            due = due if wish is None else min(due, wish)
        return due

    def _say(self, frame: frames.ServerFrame) -> None:
        self.outbox.append(frames.encode(frame, self.encoding))

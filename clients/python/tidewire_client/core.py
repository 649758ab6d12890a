"""Pure: one session of a client: frames, answers, time in; effects out.

The states: **connecting** (token, position, socket, welcome), **replaying**, **live**, **waiting** (for the next try,
or for a first pattern), **closed**. Two numbers keep old things from reaching new ones: every connection and every
asking for a token has its own, and an answer with another number than the current one is ignored. There is one
retry timer and it is armed in one place (``_lost``), so there are never two chains of reconnects.

Longer than its neighbours, since the rules lean on each other: what a gap, a lost connection or a new stream does to
position, timers and token is read in one place.

``now`` is monotonic seconds. ``due`` says when ``tick`` wants to be called. Randomness is drawn for waits alone.
"""

import math
from random import Random
from typing import Literal

import msgspec

from tidewire_client.backoff import Backoff
from tidewire_client.closing import Verdict, verdict_of_close, verdict_of_status
from tidewire_client.effects import (
    Deliver,
    Deny,
    Drop,
    Effect,
    FetchToken,
    Load,
    Open,
    Probe,
    Send,
    State,
    Stop,
    StopKind,
    Store,
    TellError,
    TellGap,
    TellLive,
    TellState,
)
from tidewire_client.frames import (
    Ack,
    Connect,
    Error,
    EventFrame,
    Expiring,
    GapFrame,
    Goodbye,
    Incoming,
    Live,
    Ping,
    Pong,
    Refresh,
    Reply,
    Resume,
    Subscribe,
    Unsubscribe,
    Welcome,
    WindowSize,
)
from tidewire_client.ledger import Ledger
from tidewire_client.patterns import matches
from tidewire_client.position import Position

ACK_WITHIN_S = 0.25
"""The longest that a processed event waits for its acknowledgement."""
ACK_EVENTS = 50
"""So many processed events are acknowledged at once; fewer when the window is small."""
CONNECT_WITHIN_S = 15.0
"""The longest for each step of connecting: token, socket, welcome."""
DEAD_AFTER_S = 10.0
"""So long after the gateway's ping was due a silent link is dead."""
PROBE_AFTER_S = 5.0
"""So long after the gateway's ping was due the client asks by itself whether the link lives."""
CALM_AFTER_S = 10.0
"""After so long in ``live`` the backoff begins anew: accept-then-close must not be hammered."""
REFRESH_BEFORE_S = 30.0
"""A token is renewed so long before it ends, when the gateway has not said ``expiring`` earlier."""
LATE_S = 2.0
"""A tick later than this was slept through: the link is asked again before it is called dead."""
OVERRUN = 2
"""A gateway that sends more than so many windows of unprocessed events breaks the protocol."""

_Timer = Literal["retry", "silence", "probe", "ack", "calm", "renew"]
_CLOSED_BY_CLIENT = 1000
_STOPS: dict[Verdict, StopKind] = {
    Verdict.FORBIDDEN: "forbidden",
    Verdict.TAKEN_OVER: "taken_over",
    Verdict.REVOKED: "revoked",
    Verdict.REFUSED: "refused",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same for the life of a client."""

    session: str
    window: WindowSize = WindowSize()
    backoff: Backoff = Backoff()
    renewable: bool = True
    """Whether asking for a token again can give another one."""
    client: str | None = None


class Core:
    """A client's session. Every method returns the effects to perform, in order; none raises for what a peer does."""

    def __init__(self, settings: Settings, random: Random) -> None:
        self.state: State = "waiting"
        self.welcome: Welcome | None = None  # of the current or the last connection
        self.connection = 0  # number of the current or the last connection
        self.epoch = 0  # number of the current ledger: an answer about an older stream changes nothing
        self._settings = settings
        self._random = random
        self._timers: dict[_Timer, float] = {}
        self._inboxes: dict[int, tuple[str, ...]] = {}
        self._announced: set[str] = set()  # patterns the gateway has been told on this connection
        self._frame_ids = 0
        self._asked: dict[str, tuple[str, ...]] = {}  # subscribe frames without a reply yet
        # the token
        self._token: str | None = None
        self._user: str | None = None
        self._fetches = 0
        self._fetching = False
        self._refusals = 0  # 4501 since the last welcome
        self._token_tries = 0
        # the position
        self._is_loaded = False
        self._stream: str | None = None
        self._ledger: Ledger | None = None
        self._stored: Position | None = None
        self._is_held = False  # a welcome announced a gap that has not come yet: store nothing
        self._gaps = 0
        # the connection
        self._is_open = False
        self._silence_s = 25.0
        self._was_live = False
        self._attempt = 0
        self._bugs = 0
        self._after_ms: float | None = None
        self._acked = 0
        self._ack_limit = 0
        self._processed_events = 0
        self._processed_bytes = 0

    @property
    def due(self) -> float:
        """When ``tick`` must be called; infinity when nothing is waited for."""
        return min(self._timers.values(), default=math.inf)

    @property
    def position(self) -> Position | None:
        """Up to where everything is processed; None before it is known."""
        if self._stream is None or self._ledger is None or self._is_held:
            return None
        return Position(self._stream, self._ledger.processed)

    @property
    def patterns(self) -> tuple[str, ...]:
        """What the iterators want, each pattern once, in the order of asking."""
        return tuple(dict.fromkeys(pattern for held in self._inboxes.values() for pattern in held))

    # --- what the program does ---

    def subscribe(self, inbox: int, patterns: tuple[str, ...], now: float) -> list[Effect]:
        """A new iterator. The first one connects; later ones are told to the gateway and begin with what follows."""
        assert inbox not in self._inboxes
        if self.state == "closed":
            return []
        self._inboxes[inbox] = patterns
        if self.state == "waiting" and "retry" not in self._timers:
            return self._begin(now)
        return self._announce()

    def unsubscribe(self, inbox: int, now: float) -> list[Effect]:
        """An iterator is given up: its events are not due any more, and its patterns end unless another holds them."""
        if self._inboxes.pop(inbox, None) is None or self.state == "closed":
            return []
        if self._ledger is not None:
            self._ledger.release(inbox)
        return self._announce() + self._settle(now)

    def processed(self, inbox: int, epoch: int, seq: int, now: float) -> list[Effect]:
        """An iterator is done with an event."""
        if self._ledger is None or epoch != self.epoch or self.state == "closed":
            return []
        self._ledger.process(seq, inbox)
        return self._settle(now)

    def gap_handled(self, number: int, now: float) -> list[Effect]:
        """``on_gap`` has returned: the position may pass the gap."""
        if self._ledger is None or self.state == "closed":
            return []
        self._ledger.close_gap(number)
        return self._settle(now) + self._flush()

    def flush(self) -> list[Effect]:
        """Store and acknowledge what is processed, now."""
        return self._flush() if self.state != "closed" else []

    def close(self) -> list[Effect]:
        """The program is done."""
        if self.state == "closed":
            return []
        return self._flush() + self._end()

    # --- answers of the shell ---

    def token_fetched(self, number: int, token: str, user: str, now: float) -> list[Effect]:
        """The token callable has answered. ``user``: whose token it is, for the scope of the position."""
        if number != self._fetches or not self._fetching or self.state == "closed":
            return []
        self._fetching, self._token_tries = False, 0
        if self._user not in (None, user):
            return self._stop("user_changed", None)
        self._token, self._user = token, user
        if self.state == "connecting":
            return self._load_or_open(now)
        if self._is_open:
            return [Send(Refresh(self._frame_id(), token))]
        return []

    def token_failed(self, number: int, now: float, *, final: bool) -> list[Effect]:
        """The token callable failed. ``final``: there is no token to be had, ever."""
        if number != self._fetches or not self._fetching or self.state == "closed":
            return []
        self._fetching = False
        if final:
            return self._stop("unauthorized", None)
        if self.state == "connecting":
            return self._lost(Verdict.BACKOFF, None, now)
        return self._renew_later(now)

    def loaded(self, connection: int, position: Position | None, now: float) -> list[Effect]:
        """The stored position, or None when there is none."""
        if not self._is_current(connection) or self._is_loaded:
            return []
        self._is_loaded = True
        if position is not None and self._ledger is None:
            self._stored = position
            self._restart(position.stream, position.seq)
        return self._load_or_open(now)

    def opened(self, connection: int, now: float) -> list[Effect]:
        """The WebSocket is open: the first frame goes out."""
        if not self._is_current(connection) or self._token is None:
            return []
        self._is_open = True
        self._timers["silence"] = now + CONNECT_WITHIN_S
        self._announced = set(self.patterns)
        here = self.position
        resume = None if here is None else Resume(here.stream, here.seq)
        settings = self._settings
        return [
            Send(
                Connect(
                    token=self._token,
                    session=settings.session,
                    subscribe=self.patterns,
                    resume=resume,
                    window=settings.window,
                    client=settings.client,
                )
            )
        ]

    def broken(
        self, connection: int, now: float, *, code: int | None = None, status: int | None = None
    ) -> list[Effect]:
        """The socket ended (``code``), was refused with an HTTP status, or could not be opened (neither)."""
        if not self._is_current(connection):
            return []
        self._is_open = False
        verdict = verdict_of_close(code) if status is None else verdict_of_status(status)
        return self._lost(verdict, code, now)

    def misread(self, connection: int, now: float) -> list[Effect]:
        """The gateway sent something that is not a frame."""
        return self._bug(now) if self._is_current(connection) else []

    def heard(self, connection: int, now: float) -> list[Effect]:
        """A pong came: the link lives."""
        if self._is_current(connection):
            self._hear(now)
        return []

    def received(self, connection: int, frames: list[Incoming], now: float, unix_s: float) -> list[Effect]:
        """The frames of one message. ``unix_s``: the time of day, to know how long a token has."""
        effects: list[Effect] = []
        for frame in frames:
            if not self._is_current(connection):
                break
            effects += self._frame(frame, now, unix_s)
        if self._is_current(connection):
            self._hear(now)
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        for timer, at in sorted(self._timers.items(), key=lambda item: item[1]):
            if at <= now and self._timers.get(timer) == at:
                del self._timers[timer]
                effects += self._timeout(timer, now, late=now - at > LATE_S)
        return effects

    # --- frames ---

    def _frame(self, frame: Incoming, now: float, unix_s: float) -> list[Effect]:  # noqa: C901 - one case per frame
        if self.state == "connecting" and not isinstance(frame, Welcome | Error | Goodbye | Ping):
            return self._bug(now)
        match frame:
            case EventFrame():
                return self._event(frame, now)
            case Live():
                return self._live(frame, now)
            case Welcome():
                return self._welcomed(frame, now, unix_s)
            case GapFrame():
                return self._gap(frame)
            case Reply():
                return self._reply(frame, now, unix_s)
            case Ping():
                return [Send(Pong())]
            case Expiring():
                return self._fetch()
            case Error():
                self._after_ms = frame.after
                return [TellError(frame)]
            case Goodbye():
                return self._goodbye(frame, now)

    def _welcomed(self, frame: Welcome, now: float, unix_s: float) -> list[Effect]:
        before = self.position
        self.welcome = frame
        self._refusals = 0
        self._silence_s = min(300.0, max(1.0, frame.ping))
        self._acked, self._ack_limit = 0, frame.after
        self._schedule_renewal(frame.expires, now, unix_s)
        effects = self._enter("replaying")
        self._is_held = frame.outcome == "gap"
        if before is None or before.stream != frame.stream:
            self._restart(frame.stream, frame.after)
        lost = _untold_gap(before, frame)
        if lost is not None:
            effects += self._gap(lost)
        if not self._is_held and before is None:
            effects += self._store()
        self._schedule_ack(now)
        effects += self._deny(frame.denied or ())
        return effects + self._announce()

    def _event(self, frame: EventFrame, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if frame.replay and self.state == "live":
            effects += self._enter("replaying")  # lagging: the window was full, the gateway replays
        self._ack_limit = max(self._ack_limit, frame.seq)
        ledger = self._ledger
        assert ledger is not None, "a welcome has made one"
        if frame.seq <= ledger.received:
            self._schedule_ack(now)  # a repeat: its acknowledgement may have been lost
            return effects
        if len(ledger) >= OVERRUN * self._settings.window.messages:
            return effects + self._bug(now)
        inboxes = tuple(n for n, held in self._inboxes.items() if any(matches(p, frame.subject) for p in held))
        ledger.receive(frame.seq, inboxes, len(bytes(frame.data)))
        if not inboxes:
            return effects + self._settle(now)
        effects.append(Deliver(inboxes, self.epoch, frame))
        return effects

    def _live(self, frame: Live, now: float) -> list[Effect]:
        assert self._ledger is not None
        self._ack_limit = max(self._ack_limit, frame.seq)
        self._ledger.reach(frame.seq)
        self._was_live = True
        self._timers.setdefault("calm", now + CALM_AFTER_S)
        self._schedule_ack(now)
        return [*self._enter("live"), TellLive(frame.seq), *self._settle(now)]

    def _gap(self, frame: GapFrame) -> list[Effect]:
        assert self._ledger is not None
        effects: list[Effect] = []
        if frame.reason == "stream_replaced" and not self._is_held:
            # While connected: the new stream's identity comes with the next welcome, until then nothing is stored.
            self._restart(None, 0)
            self._ack_limit, self._acked = 0, 0
            effects.append(Store(None))
            self._stored = None
        self._is_held = False
        self._gaps += 1
        self._ledger.open_gap(self._gaps)
        return [*effects, TellGap(self._gaps, frame)]

    def _reply(self, frame: Reply, now: float, unix_s: float) -> list[Effect]:
        subjects = self._asked.pop(str(frame.id), None)
        if frame.data is not None:
            self._schedule_renewal(frame.data.expires, now, unix_s)
        if subjects is None:  # to unsubscribe or refresh
            if frame.error is None:
                return []
            error = frame.error
            return [
                TellError(Error(code=error.code, message=error.message, retry=error.retry)),
                *self._renew_later(now),
            ]
        if frame.error is not None:
            return self._deny(subjects, frame.error.code)
        return self._deny((frame.data.denied if frame.data is not None else None) or ())

    def _goodbye(self, frame: Goodbye, now: float) -> list[Effect]:
        self._after_ms = frame.after
        verdict = verdict_of_close(frame.code)
        if not frame.reconnect and verdict in (Verdict.RESUME, Verdict.BACKOFF, Verdict.RENEW):
            verdict = Verdict.REFUSED
        effects = self._flush()
        return effects + self._lost(verdict, frame.code, now)

    # --- connecting and losing ---

    def _begin(self, now: float) -> list[Effect]:
        if not self._inboxes:
            return []  # nothing to ask for; the next iterator connects
        self.connection += 1
        self._after_ms = None
        self._was_live = False
        effects = self._enter("connecting")
        if self._token is None:
            self._timers["silence"] = now + CONNECT_WITHIN_S
            return effects + self._fetch()
        return effects + self._load_or_open(now)

    def _load_or_open(self, now: float) -> list[Effect]:
        self._timers["silence"] = now + CONNECT_WITHIN_S
        if not self._is_loaded:
            assert self._user is not None
            return [Load(self.connection, self._user)]
        return [Open(self.connection)]

    def _lost(self, verdict: Verdict, code: int | None, now: float) -> list[Effect]:
        """The one way out of a connection: stop, or wait and try again."""
        kind = _STOPS.get(verdict) or self._last_straw(verdict)
        if kind is not None:
            return self._stop(kind, code)
        effects: list[Effect] = [Drop(_CLOSED_BY_CLIENT)]
        backoff = self._settings.backoff
        if self._after_ms is not None:
            delay_s = backoff.told_delay_s(self._after_ms, self._random)
        elif self._was_live and self._attempt == 0 and verdict in (Verdict.RESUME, Verdict.RENEW):
            delay_s = backoff.quick_delay_s(self._random)
        else:
            delay_s = backoff.delay_s(self._attempt, self._random)
        self._attempt += 1
        self._forget_connection()
        self._timers["retry"] = now + delay_s
        return effects + self._enter("waiting")

    def _last_straw(self, verdict: Verdict) -> StopKind | None:
        """Count what may happen once; the kind of stop when it was once too often."""
        if verdict in (Verdict.RENEW, Verdict.UNAUTHORIZED):
            self._token = None
            self._refusals += verdict is Verdict.UNAUTHORIZED
            if not self._settings.renewable or self._refusals > 1:
                return "unauthorized"
        if verdict is Verdict.PROTOCOL:
            self._bugs += 1
            if self._bugs > 1:
                return "protocol"
        return None

    def _forget_connection(self) -> None:
        """Nothing of a connection survives it but the position and the events still in work."""
        ack_at = self._timers.get("ack")
        self._timers.clear()
        if ack_at is not None:
            self._timers["ack"] = ack_at  # the position is stored also while there is no connection
        if self._is_held:  # the gap that was announced never came: ask as before
            self._is_held = False
            if self._stored is None or self._stored.stream != self._stream:
                self._restart(None, 0)
                self._ledger = None
                if self._stored is not None:
                    self._restart(self._stored.stream, self._stored.seq)
        self._is_open = self._fetching = False
        self._announced.clear()
        self._asked.clear()

    def _bug(self, now: float) -> list[Effect]:
        return self._lost(Verdict.PROTOCOL, None, now)

    def _stop(self, kind: StopKind, code: int | None) -> list[Effect]:
        return [*self._store(), *self._end(), Stop(kind, code)]

    def _end(self) -> list[Effect]:
        self._timers.clear()
        self._fetching = self._is_open = False
        return [Drop(_CLOSED_BY_CLIENT), *self._enter("closed")]

    def _enter(self, state: State) -> list[Effect]:
        if state == self.state:
            return []
        self.state = state
        return [TellState(state)]

    def _is_current(self, connection: int) -> bool:
        return connection == self.connection and self.state in ("connecting", "replaying", "live")

    # --- time ---

    def _hear(self, now: float) -> None:
        if self.state == "connecting":
            self._timers["silence"] = now + CONNECT_WITHIN_S
            return
        self._timers["probe"] = now + self._silence_s + PROBE_AFTER_S
        self._timers["silence"] = now + self._silence_s + DEAD_AFTER_S

    def _timeout(self, timer: _Timer, now: float, *, late: bool) -> list[Effect]:
        match timer:
            case "retry":
                return self._begin(now)
            case "ack":
                return self._flush()
            case "renew":
                return self._fetch()
            case "calm":
                self._attempt = self._bugs = 0
                return []
            case "probe":
                return [Probe()]
            case "silence" if late and self.state != "connecting":
                # The machine slept: what has come meanwhile may not have been read yet. Ask before judging.
                self._timers["silence"] = now + DEAD_AFTER_S
                return [Probe()]
            case "silence":
                return self._flush() + self._lost(Verdict.RESUME, None, now)

    # --- the token ---

    def _fetch(self) -> list[Effect]:
        self._timers.pop("renew", None)
        if self._fetching or (not self._settings.renewable and self._token is not None):
            return []
        self._fetches += 1
        self._fetching = True
        return [FetchToken(self._fetches)]

    def _renew_later(self, now: float) -> list[Effect]:
        if self._is_open:
            self._timers["renew"] = now + self._settings.backoff.delay_s(self._token_tries, self._random)
            self._token_tries += 1
        return []

    def _schedule_renewal(self, expires: float | None, now: float, unix_s: float) -> None:
        """Renew in time. A clock that says the token has ended already is wrong: then ``expiring`` will tell."""
        left_s = 0.0 if expires is None else expires - unix_s - REFRESH_BEFORE_S
        if left_s > 0:
            self._timers["renew"] = now + left_s

    # --- patterns ---

    def _frame_id(self) -> str:
        self._frame_ids += 1
        return str(self._frame_ids)

    def _announce(self) -> list[Effect]:
        """Tell the gateway what changed since it was last told; before its welcome, nothing."""
        if self.state not in ("replaying", "live"):
            return []
        wanted = self.patterns
        added = tuple(p for p in wanted if p not in self._announced)
        ended = tuple(sorted(self._announced.difference(wanted)))
        self._announced = set(wanted)
        effects: list[Effect] = []
        if added:
            number = self._frame_id()
            self._asked[number] = added
            effects.append(Send(Subscribe(number, added)))
        if ended:
            effects.append(Send(Unsubscribe(self._frame_id(), ended)))
        return effects

    def _deny(self, subjects: tuple[str, ...], reason: str = "forbidden") -> list[Effect]:
        """End the iterators that hold a refused pattern. What they had not processed is not permitted any more."""
        hit = tuple(n for n, held in self._inboxes.items() if any(p in subjects for p in held))
        if not hit:
            return []
        for number in hit:
            del self._inboxes[number]
            if self._ledger is not None:
                self._ledger.release(number)
        self._announced.difference_update(subjects)
        return [Deny(hit, subjects, reason), *self._announce()]

    # --- position and acknowledgements ---

    def _restart(self, stream: str | None, after: int) -> None:
        self.epoch += 1
        self._stream = stream
        self._ledger = Ledger(after)
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
        window = self._settings.window if self.welcome is None else self.welcome.window
        if self._processed_events >= min(ACK_EVENTS, max(1, window.messages // 2)):
            return self._flush()
        if self._processed_bytes >= window.bytes // 2:
            return self._flush()
        self._timers.setdefault("ack", now + ACK_WITHIN_S)
        return []

    def _schedule_ack(self, now: float) -> None:
        if self._ackable() > self._acked:
            self._timers.setdefault("ack", now + ACK_WITHIN_S)

    def _ackable(self) -> int:
        """The most that may be acknowledged here: processed, and known to this connection's gateway."""
        return 0 if self._ledger is None or self._is_held else min(self._ledger.processed, self._ack_limit)

    def _flush(self) -> list[Effect]:
        self._timers.pop("ack", None)
        self._processed_events = self._processed_bytes = 0
        effects = self._store()
        seq = self._ackable()
        if self.state in ("replaying", "live") and seq > self._acked:
            self._acked = seq
            effects.append(Send(Ack(seq)))
        return effects

    def _store(self) -> list[Effect]:
        position = self.position
        if position is None or position == self._stored:
            return []
        self._stored = position
        return [Store(position)]


def _untold_gap(before: Position | None, frame: Welcome) -> GapFrame | None:
    """The loss that a welcome shows without saying so: another stream, or a start beyond what this client has."""
    if before is None or frame.outcome == "gap":
        return None
    if before.stream != frame.stream:
        return GapFrame(after=before.seq, before=frame.after + 1, reason="stream_replaced")
    if frame.outcome == "fresh" and frame.after > before.seq:
        return GapFrame(after=before.seq, before=frame.after + 1, reason="expired")
    return None

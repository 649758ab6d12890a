"""Pure: one session of a client: frames, answers, time in; effects out.

The states: **connecting** (token, position, socket, welcome), **replaying**, **live**, **waiting** (for the next try,
or for a first pattern), **closed**. Two numbers keep old things from reaching new ones: every connection and every
asking for a token has its own, and an answer with another number than the current one is ignored. There is one
retry timer and it is armed in one place (``_lost``), so there are never two chains of reconnects.

What each part knows is beside it: ``acks`` the events in work and the position, ``interest`` the patterns,
``token_refresh`` the token, ``reconnect`` the waits. Here they are put in order.

``now`` is monotonic seconds. ``due`` says when ``tick`` wants to be called. Randomness is drawn for waits alone.
"""

from itertools import count
from random import Random

import msgspec

from tidewire_client.acks import Acks
from tidewire_client.backoff import Backoff
from tidewire_client.closing import Verdict, verdict_of_close, verdict_of_status
from tidewire_client.effects import (
    Deny,
    Drop,
    Effect,
    Load,
    Open,
    Probe,
    Send,
    State,
    Stop,
    StopKind,
    TellError,
    TellLive,
    TellState,
)
from tidewire_client.frames import (
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
    Welcome,
    WindowSize,
)
from tidewire_client.interest import Interest
from tidewire_client.position import Position
from tidewire_client.reconnect import Reconnect
from tidewire_client.timers import Timer, Timers
from tidewire_client.token_refresh import TokenRefresh

CONNECT_WITHIN_S = 15.0
"""The longest for each step of connecting: token, socket, welcome."""
DEAD_AFTER_S = 10.0
"""So long after the gateway's ping was due a silent link is dead."""
PROBE_AFTER_S = 5.0
"""So long after the gateway's ping was due the client asks by itself whether the link lives."""
PROBE_WITHIN_S = 4.0
"""So long a link that may be dead, because the device slept, has to answer."""
LATE_S = 2.0
"""A tick later than this was slept through: the link is asked again before it is called dead."""

_CLOSED_BY_CLIENT = 1000


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
        self._settings = settings
        self._timers = Timers()
        self._frame_ids = count(1)
        self._interest = Interest(self._frame_ids)
        self._acks = Acks(settings.window, self._timers)
        self._token = TokenRefresh(
            renewable=settings.renewable, backoff=settings.backoff, random=random, timers=self._timers
        )
        self._reconnect = Reconnect(backoff=settings.backoff, random=random, timers=self._timers)
        self._is_loaded = False
        self._is_open = False
        self._silence_s = 25.0
        self._is_asked = False  # the link was asked late, and has said nothing since

    @property
    def due(self) -> float:
        """When ``tick`` must be called; infinity when nothing is waited for."""
        return self._timers.due

    @property
    def position(self) -> Position | None:
        """Up to where everything is processed; None before it is known."""
        return self._acks.position

    @property
    def epoch(self) -> int:
        """The number of the current stream's events in work, as ``Deliver`` has it."""
        return self._acks.epoch

    @property
    def patterns(self) -> tuple[str, ...]:
        """What the iterators want, each pattern once, in the order of asking."""
        return self._interest.patterns

    # --- what the program does ---

    def subscribe(self, inbox: int, patterns: tuple[str, ...], now: float) -> list[Effect]:
        """A new iterator. The first one connects; later ones are told to the gateway and begin with what follows."""
        if self.state == "closed":
            return []
        self._interest.add(inbox, patterns)
        if self.state == "waiting" and not self._timers.is_set("retry"):
            return self._begin(now)
        return self._announce()

    def unsubscribe(self, inbox: int, now: float) -> list[Effect]:
        """An iterator is given up: its events are not due any more, and its patterns end unless another holds them."""
        if not self._interest.remove(inbox) or self.state == "closed":
            return []
        return self._announce() + self._acks.give_up(inbox, now)

    def processed(self, inbox: int, epoch: int, seq: int, now: float) -> list[Effect]:
        """An iterator is done with an event."""
        return self._acks.process(inbox, epoch, seq, now) if self.state != "closed" else []

    def gap_handled(self, number: int, now: float) -> list[Effect]:
        """``on_gap`` has returned: the position may pass the gap."""
        return self._acks.close_gap(number, now) if self.state != "closed" else []

    def flush(self) -> list[Effect]:
        """Store and acknowledge what is processed, now."""
        return self._acks.flush() if self.state != "closed" else []

    def close(self) -> list[Effect]:
        """The program is done."""
        if self.state == "closed":
            return []
        return self._acks.flush() + self._end()

    def wake(self, now: float) -> list[Effect]:
        """The device woke up, or its network came back: ask whether the link lives, or end the wait (P6.9)."""
        match self.state:
            case "waiting" if self._timers.is_set("retry") and not self._reconnect.is_wished:
                self._timers.stop("retry")
                return self._begin(now)
            case "connecting" if self._timers.is_due("silence", now):  # a step that hung: begun anew at once
                return self._lost(Verdict.RESUME, None, now) + self.wake(now)
            case "connecting":
                self._timers.hasten("silence", now, DEAD_AFTER_S)
                self._reconnect.woken()
                return []
            case "replaying" | "live":
                self._timers.stop("probe")
                self._timers.hasten("silence", now, PROBE_WITHIN_S)
                return [Probe()]
            case _:
                return []

    # --- answers of the shell ---

    def token_fetched(self, number: int, token: str, user: str, now: float) -> list[Effect]:
        """The token callable has answered. ``user``: whose token it is, for the scope of the position."""
        if self.state == "closed" or not self._token.answered(number):
            return []
        if not self._token.take(token, user):
            return self._stop("user_changed", None)
        if self.state == "connecting":
            return self._load_or_open(now)
        if self._is_open:
            return [Send(Refresh(str(next(self._frame_ids)), token))]
        return []

    def token_failed(self, number: int, now: float, *, final: bool) -> list[Effect]:
        """The token callable failed. ``final``: there is no token to be had, ever."""
        if self.state == "closed" or not self._token.answered(number):
            return []
        if final:
            return self._stop("unauthorized", None)
        if self.state == "connecting":
            return self._lost(Verdict.BACKOFF, None, now)
        if self._is_open:
            self._token.ask_later(now)
        return []

    def loaded(self, connection: int, position: Position | None, now: float) -> list[Effect]:
        """The stored position, or None when there is none."""
        if not self._is_current(connection) or self._is_loaded:
            return []
        self._is_loaded = True
        self._acks.load(position)
        return self._load_or_open(now)

    def opened(self, connection: int, now: float) -> list[Effect]:
        """The WebSocket is open: the first frame goes out."""
        token = self._token.token
        if not self._is_current(connection) or token is None:
            return []
        self._is_open = True
        self._reconnect.opened()
        self._timers.set("silence", now + CONNECT_WITHIN_S)
        here = self._acks.resume
        return [
            Send(
                Connect(
                    token=token,
                    session=self._settings.session,
                    subscribe=self._interest.connect(),
                    resume=None if here is None else Resume(here.stream, here.seq),
                    window=self._settings.window,
                    client=self._settings.client,
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
        for timer, at in self._timers.take(now):
            effects += self._timeout(timer, now, late=now - at > LATE_S)
        return effects

    # --- frames ---

    def _frame(self, frame: Incoming, now: float, unix_s: float) -> list[Effect]:  # noqa: C901 - one case per frame
        if self.state == "connecting" and not isinstance(frame, Welcome | Error | Goodbye | Ping | Pong):
            return self._bug(now)
        match frame:
            case EventFrame():
                return self._event(frame, now)
            case Live():
                return self._live(frame, now)
            case Welcome():
                return self._welcomed(frame, now, unix_s)
            case GapFrame():
                return self._acks.gap(frame)
            case Reply():
                return self._reply(frame, now, unix_s)
            case Ping():
                return [Send(Pong())]
            case Pong():
                return []
            case Expiring():
                return self._token.ask()
            case Error():
                self._reconnect.wish(frame.after)
                return [TellError(frame)]
            case Goodbye():
                return self._goodbye(frame, now)

    def _welcomed(self, frame: Welcome, now: float, unix_s: float) -> list[Effect]:
        self.welcome = frame
        self._silence_s = min(300.0, max(1.0, frame.ping))
        self._token.accepted()
        self._token.schedule(frame.expires, now, unix_s)
        effects = self._enter("replaying") + self._acks.begin(frame, now)
        effects += self._deny(frame.denied or ())
        return effects + self._announce()

    def _event(self, frame: EventFrame, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if frame.replay and self.state == "live":
            effects += self._enter("replaying")  # lagging: the window was full, the gateway replays
        received = self._acks.receive(frame, self._interest.matching(frame.subject), now)
        return effects + (self._bug(now) if received is None else received)

    def _live(self, frame: Live, now: float) -> list[Effect]:
        self._reconnect.live(now)
        reached = self._acks.reach(frame.seq, now)
        return [*self._enter("live"), TellLive(frame.seq), *reached]

    def _reply(self, frame: Reply, now: float, unix_s: float) -> list[Effect]:
        subjects = self._interest.answered(str(frame.id))
        if frame.data is not None:
            self._token.schedule(frame.data.expires, now, unix_s)
        if subjects is None:  # to unsubscribe or refresh
            if frame.error is None:
                self._token.accepted()
                return []
            if self._is_open:
                self._token.ask_later(now)
            error = frame.error
            return [TellError(Error(code=error.code, message=error.message, retry=error.retry))]
        if frame.error is not None:
            return self._deny(subjects, frame.error.code)
        return self._deny((frame.data.denied if frame.data is not None else None) or ())

    def _goodbye(self, frame: Goodbye, now: float) -> list[Effect]:
        self._reconnect.wish(frame.after)
        verdict = verdict_of_close(frame.code)
        if not frame.reconnect and verdict in (Verdict.RESUME, Verdict.BACKOFF, Verdict.RENEW):
            verdict = Verdict.REFUSED
        return self._acks.flush() + self._lost(verdict, frame.code, now)

    # --- connecting and losing ---

    def _begin(self, now: float) -> list[Effect]:
        if not self.patterns:
            return []  # nothing to ask for; the next iterator connects
        self.connection += 1
        self._reconnect.begin()
        effects = self._enter("connecting")
        self._token.drop_ended(now)
        if self._token.token is None:
            self._timers.set("silence", now + CONNECT_WITHIN_S)
            return effects + self._token.ask()
        return effects + self._load_or_open(now)

    def _load_or_open(self, now: float) -> list[Effect]:
        self._timers.set("silence", now + CONNECT_WITHIN_S)
        if not self._is_loaded:
            assert self._token.user is not None
            return [Load(self.connection, self._token.user)]
        return [Open(self.connection)]

    def _lost(self, verdict: Verdict, code: int | None, now: float) -> list[Effect]:
        """The one way out of a connection: stop, or wait and try again."""
        if verdict in (Verdict.RENEW, Verdict.UNAUTHORIZED):
            if not self._token.drop(is_refused=verdict is Verdict.UNAUTHORIZED):
                return self._stop("unauthorized", code)
        elif (kind := self._reconnect.stop_kind(verdict)) is not None:
            return self._stop(kind, code)
        delay_s = self._reconnect.delay_s(verdict)
        self._forget_connection()
        self._timers.set("retry", now + delay_s)
        return [Drop(_CLOSED_BY_CLIENT), *self._enter("waiting")]

    def _forget_connection(self) -> None:
        """Nothing of a connection survives it but the position and the events still in work."""
        self._timers.stop_all(but="ack")  # the position is stored also while there is no connection
        self._is_open = False
        self._token.stop_asking()
        self._acks.end_connection()
        self._interest.end_connection()

    def _bug(self, now: float) -> list[Effect]:
        return self._lost(Verdict.PROTOCOL, None, now)

    def _stop(self, kind: StopKind, code: int | None) -> list[Effect]:
        return [*self._acks.store(), *self._end(), Stop(kind, code)]

    def _end(self) -> list[Effect]:
        self._timers.stop_all()
        self._is_open = False
        self._token.stop_asking()
        return [Drop(_CLOSED_BY_CLIENT), *self._enter("closed")]

    def _enter(self, state: State) -> list[Effect]:
        if state == self.state:
            return []
        self.state = state
        return [TellState(state)]

    def _is_current(self, connection: int) -> bool:
        return connection == self.connection and self.state in ("connecting", "replaying", "live")

    # --- patterns ---

    def _announce(self) -> list[Effect]:
        """Tell the gateway which patterns came and went; before its welcome, nothing."""
        return self._interest.announce() if self.state in ("replaying", "live") else []

    def _deny(self, subjects: tuple[str, ...], reason: str = "forbidden") -> list[Effect]:
        """End the iterators that hold a refused pattern. What they had not processed is not permitted any more."""
        hit = self._interest.deny(subjects)
        if not hit:
            return []
        for inbox in hit:
            self._acks.release(inbox)
        return [Deny(hit, subjects, reason), *self._announce()]

    # --- time ---

    def _hear(self, now: float) -> None:
        self._is_asked = False
        if self.state == "connecting":
            self._timers.set("silence", now + CONNECT_WITHIN_S)
            return
        self._timers.set("probe", now + self._silence_s + PROBE_AFTER_S)
        self._timers.set("silence", now + self._silence_s + DEAD_AFTER_S)

    def _timeout(self, timer: Timer, now: float, *, late: bool) -> list[Effect]:
        match timer:
            case "retry":
                return self._begin(now)
            case "ack":
                return self._acks.flush()
            case "refresh":
                return self._token.ask()
            case "calm":
                self._reconnect.calm()
                return []
            case "probe":
                return [Probe()]
            case "silence" if late and not self._is_asked and self.state != "connecting":
                # The machine slept: what has come meanwhile may not have been read yet. Ask before judging, once.
                self._is_asked = True
                self._timers.set("silence", now + PROBE_WITHIN_S)
                return [Probe()]
            case "silence":
                return self._acks.flush() + self._lost(Verdict.RESUME, None, now)

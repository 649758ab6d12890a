"""Pure: whether a session comes back after a lost connection, and after what wait (P3.1, P6.6)."""

from random import Random

from tidewire_client.backoff import Backoff
from tidewire_client.closing import Verdict
from tidewire_client.effects import StopKind
from tidewire_client.timers import Timers

CALM_AFTER_S = 10.0
"""After so long in ``live`` the backoff begins anew: accept-then-close must not be hammered."""

_STOPS: dict[Verdict, StopKind] = {
    Verdict.FORBIDDEN: "forbidden",
    Verdict.TAKEN_OVER: "taken_over",
    Verdict.REVOKED: "revoked",
    Verdict.REFUSED: "refused",
}


class Reconnect:
    """What the next wait depends on: how the connection was, what the gateway wished, how often it went wrong."""

    def __init__(self, *, backoff: Backoff, random: Random, timers: Timers) -> None:
        self._backoff = backoff
        self._random = random
        self._timers = timers
        self._attempt = 0  # losses since the last calm
        self._bugs = 0  # of either side, since the last calm
        self._was_live = False
        self._is_woken = False
        self._after_ms: float | None = None

    def begin(self) -> None:
        """A new connection: nothing is known of it yet."""
        self._after_ms = None
        self._was_live = self._is_woken = False

    def live(self, now: float) -> None:
        """The connection is live. It must stay so for a while before losses count from none again."""
        self._was_live = True
        self._timers.set_unless_set("calm", now + CALM_AFTER_S)

    def woken(self) -> None:
        """The device woke up while connecting: a try of the time before that fails is followed by another at once."""
        self._is_woken = True

    def opened(self) -> None:
        """The socket is open: the try is none of the time before."""
        self._is_woken = False

    def calm(self) -> None:
        """The connection has been live for ``CALM_AFTER_S``: what went wrong before does not count any more."""
        self._attempt = self._bugs = 0

    def wish(self, after_ms: float | None) -> None:
        """The gateway's wish how long to stay away, in ms; None: it has none."""
        self._after_ms = after_ms

    @property
    def is_wished(self) -> bool:
        """Whether the wait that goes on is the gateway's own wish: a device that wakes up does not cut it short."""
        return self._after_ms is not None

    def stop_kind(self, verdict: Verdict) -> StopKind | None:
        """Why the session must not come back; None when it may. A bug may happen once."""
        if verdict is Verdict.PROTOCOL:
            self._bugs += 1
            return "protocol" if self._bugs > 1 else None
        return _STOPS.get(verdict)

    def delay_s(self, verdict: Verdict) -> float:
        """Count a loss: how long to wait now. At once after a good connection, unless the gateway has a fault."""
        if self._after_ms is not None:
            delay_s = self._backoff.told_delay_s(self._after_ms, self._random)
        elif (self._is_woken and verdict is Verdict.RESUME) or (
            self._was_live and self._attempt == 0 and verdict in (Verdict.RESUME, Verdict.RENEW)
        ):
            delay_s = self._backoff.quick_delay_s(self._random)
        else:
            delay_s = self._backoff.delay_s(self._attempt, self._random)
        self._attempt += 1
        return delay_s

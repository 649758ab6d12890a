"""Pure: the token of a session, and when another one is asked for: at first, before its end, after it was refused.

Every asking has a number, and an answer with another number than the newest is ignored: a late token neither opens a
second connection nor is used.
"""

from random import Random

from tidewire_client.backoff import Backoff
from tidewire_client.effects import Effect, FetchToken
from tidewire_client.timers import Timers

REFRESH_BEFORE_S = 30.0
"""A token is refreshed so long before it ends, when the gateway has not said ``expiring`` earlier."""


class TokenRefresh:
    """The token in use, and the asking for the next one.

    Args:
        renewable: whether asking again can give another token.
        backoff: the waits after an asking that failed.
        random: for these waits.
        timers: where ``refresh`` is set.
    """

    def __init__(self, *, renewable: bool, backoff: Backoff, random: Random, timers: Timers) -> None:
        self.token: str | None = None
        self.user: str | None = None  # whose token it is: stays the same for the life of a client
        self._renewable = renewable
        self._backoff = backoff
        self._random = random
        self._timers = timers
        self._askings = 0
        self._is_asking = False
        self._failures = 0  # since a token was taken
        self._refusals = 0  # 4501 since the last welcome
        self._ends_at = float("inf")  # monotonic, as far as it is known

    def ask(self) -> list[Effect]:
        """Ask for a token, unless that is going on, or can give none but the one in use."""
        self._timers.stop("refresh")
        if self._is_asking or (not self._renewable and self.token is not None):
            return []
        self._askings += 1
        self._is_asking = True
        return [FetchToken(self._askings)]

    def ask_later(self, now: float) -> None:
        """The asking, or the token that it gave, was no good: ask again after a wait that grows."""
        self._timers.set("refresh", now + self._backoff.delay_s(self._failures, self._random))
        self._failures += 1

    def answered(self, number: int) -> bool:
        """An asking has its answer. False for a late one, which must change nothing."""
        if number != self._askings or not self._is_asking:
            return False
        self._is_asking = False
        return True

    def take(self, token: str, user: str) -> bool:
        """Use a token from now on. False, and nothing taken, when it is another user's."""
        if self.user not in (None, user):
            return False
        self.token, self.user = token, user
        self._ends_at = float("inf")
        return True

    def drop_ended(self, now: float) -> None:
        """Do not send a token that has ended meanwhile.

        The gateway would refuse it, and the wait after that is one of a long row of failures when the tunnel was long.
        """
        if self._renewable and now >= self._ends_at:
            self.token = None

    def drop(self, *, is_refused: bool) -> bool:
        """The token ended or was refused (P6.7). False when no other one can help: a fixed token, or refused twice."""
        self.token = None
        self._refusals += is_refused
        return self._renewable and self._refusals <= 1

    def accepted(self) -> None:
        """The gateway has taken the token, by a welcome or a reply to ``refresh``."""
        self._refusals = self._failures = 0

    def schedule(self, expires: float | None, now: float, unix_s: float) -> None:
        """Refresh in time. A clock that says the token has ended already is wrong: then ``expiring`` will tell."""
        left_s = 0.0 if expires is None else expires - unix_s
        if left_s > 0:
            self._ends_at = now + left_s
        if left_s > REFRESH_BEFORE_S:
            self._timers.set("refresh", now + left_s - REFRESH_BEFORE_S)

    def stop_asking(self) -> None:
        """The answer to an asking that goes on is not wanted any more."""
        self._is_asking = False

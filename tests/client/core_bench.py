"""A core, a clock, and what came out of the last input."""

from typing import TypeVar

import msgspec
from tidewire_client.core import Core, Settings
from tidewire_client.effects import Effect, FetchToken, Open, Send
from tidewire_client.frames import Connect, EventFrame, Incoming, Live, Welcome, WindowSize
from tidewire_client.position import Position

from tests.client.fixed_random import FixedRandom

A = "EVENTS:1"
B = "EVENTS:2"
UNIX_S = 1_000_000.0
E = TypeVar("E")


class Bench:
    """A core, a clock, and what came out of the last input."""

    def __init__(
        self,
        *patterns: str,
        position: Position | None = None,
        renewable: bool = True,
        window: WindowSize | None = None,
        draw: float = 0.5,
    ) -> None:
        settings = Settings(session="pixel-7", renewable=renewable, window=window or WindowSize())
        self.core = Core(settings, FixedRandom(draw))
        self.now = 100.0
        self.out: list[Effect] = []
        self._position = position
        for number, pattern in enumerate(patterns or ("orders.>",), 1):
            self.out += self.core.subscribe(number, (pattern,), self.now)

    def do(self, effects: list[Effect]) -> "Bench":
        """Remember what an input gave."""
        self.out = effects
        return self

    def only(self, kind: type[E]) -> E:
        """The one effect of this kind."""
        found = self.all(kind)
        assert len(found) == 1, self.out
        return found[0]

    def all(self, kind: type[E]) -> list[E]:
        """The effects of this kind."""
        return [effect for effect in self.out if isinstance(effect, kind)]

    def sent(self) -> list[object]:
        """The frames sent."""
        return [effect.frame for effect in self.all(Send)]

    def get_token(self, token: str = "t1", user: str = "u") -> "Bench":  # noqa: S107
        """Answer the asking for a token, and for the position when asked."""
        number = self.only(FetchToken).number
        self.do(self.core.token_fetched(number, token, user, self.now))
        if not self.all(Open):
            self.do(self.core.loaded(self.core.connection, self._position, self.now))
        return self

    def open(self) -> Connect:
        """Open the socket; the connect frame."""
        self.only(Open)
        self.do(self.core.opened(self.core.connection, self.now))
        connect = self.sent()[0]
        assert isinstance(connect, Connect)
        return connect

    def get(self, *frames: Incoming) -> "Bench":
        """Frames from the gateway, in one message."""
        return self.do(self.core.received(self.core.connection, list(frames), self.now, UNIX_S))

    def process(self, seq: int, inbox: int = 1) -> "Bench":
        """An iterator is done with an event."""
        return self.do(self.core.processed(inbox, self.core.epoch, seq, self.now))

    def cut(self, code: int | None = None) -> "Bench":
        """The connection ends."""
        return self.do(self.core.broken(self.core.connection, self.now, code=code))

    def later(self, seconds: float) -> "Bench":
        """Time passes."""
        self.now += seconds
        return self.do(self.core.tick(self.now))

    def wait(self) -> "Bench":
        """Until the next thing is due."""
        assert self.core.due < float("inf")
        self.now = max(self.now, self.core.due)
        return self.do(self.core.tick(self.now))

    def wait_for(self, kind: type[object]) -> "Bench":
        """What is due, until such an effect comes."""
        for _ in range(10):
            if self.wait().all(kind):
                return self
        raise AssertionError(f"no {kind}")

    def live(self, *events: EventFrame, after: int = 10, stream: str = A, outcome: str = "resumed") -> "Bench":
        """Through token, socket and welcome to live."""
        self.get_token().open()
        top = max([after, *(e.seq for e in events)])
        return self.get(welcome(after, stream, outcome), *events, Live(top))


def welcome(after: int = 10, stream: str = A, outcome: str = "resumed", **more: object) -> Welcome:
    """A welcome frame."""
    plain = {"type": "welcome", "session": "pixel-7", "stream": stream, "outcome": outcome, "from": after} | more
    return msgspec.convert(plain, Welcome)


def event(seq: int, subject: str = "orders.c42", *, replay: bool = False) -> EventFrame:
    """An event frame."""
    return EventFrame(seq=seq, subject=subject, time="2026-11-23T08:00:00Z", data=msgspec.Raw(b"1"), replay=replay)

"""A session driven by hand: a real recent window as its feed, a made-up opening, frames read as a client reads them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.effects import Effect
from gateway.event_frame import event_frame
from gateway.frames import JSON, Ack, Frame
from gateway.phase import Phase
from gateway.session import Session
from gateway.session_settings import SessionSettings
from mesh.contiguity import Hole
from mesh.event import StoredEvent
from replay.interest import Interest
from replay.opening import Opening
from replay.recent import RecentWindow
from security.permissions import Permissions
from security.tokens import Claims

UNIX_S = 1_795_420_000.0
LIFE_S = 3_600
EVERYTHING = Permissions(read=("a.>", "b.>", "c.>", "d"))


def claims(expires_at: float = UNIX_S + LIFE_S) -> Claims:
    return Claims(issuer="i", subject="u", token_id="j", issued_at=int(UNIX_S), expires_at=int(expires_at))


def event(seq: int, subject: str = "a.b", payload: bytes = b"1") -> StoredEvent:
    return StoredEvent(seq, subject, 1_795_420_000_000_000_000 + seq, payload)


def size_of(stored: StoredEvent) -> int:
    """Bytes that the event takes of a client's window when it is replayed."""
    return len(event_frame(stored, JSON, replay=True))


class DrivenSession:
    """One session, its feed and its clock."""

    def __init__(
        self,
        *,
        position: int = 0,
        acked: int | None = None,
        patterns: dict[str, int] | None = None,
        outcome: str = "resumed",
        gap: Hole | None = None,
        floor: int = 0,
        keep: int = 1_000,
        denied: Sequence[str] = (),
        expires_at: float = UNIX_S + LIFE_S,
        encoding: str = JSON,
        **settings: float,
    ) -> None:
        self.recent = RecentWindow(floor, bytes_most=10**9, events_most=keep)
        self.now_s = 500.0
        self.unix_s = UNIX_S
        self.permissions = EVERYTHING
        self.encoding = encoding
        self.session = Session(
            name="pixel",
            stream="E:1",
            encoding=encoding,
            opening=Opening(
                outcome,
                position if acked is None else acked,
                position,
                Interest({"a.>": 0} if patterns is None else patterns),
                gap,
            ),
            claims=claims(expires_at),
            denied=list(denied),
            settings=msgspec.convert(settings, SessionSettings),
            recent=self.recent,
            now_s=self.now_s,
            unix_s=self.unix_s,
        )

    # --- the feed ---

    def publish(self, *subjects: str, payload: bytes = b"1") -> None:
        """The feed brings the next events."""
        for subject in subjects:
            stored = event(self.recent.head + 1, subject, payload)
            self.recent.append(stored)
            if self.session.interest.is_due(subject, stored.seq):
                self.session.offer(stored)

    def lose(self, count: int = 1, reason: str = "deleted") -> Hole:
        """The feed meets a hole of so many sequences."""
        hole = Hole(self.recent.head, self.recent.head + count + 1, reason)
        self.recent.skip(hole)
        self.session.skip(hole)
        return hole

    def phase(self) -> Phase:
        return self.session.phase

    def waits_for_feed(self) -> bool:
        return self.session.waits_for_feed

    # --- the client ---

    def frames(self) -> list[dict[str, Any]]:
        """What the shell would write now, in order."""
        decode = msgspec.json.decode if self.encoding == JSON else msgspec.msgpack.decode
        return [decode(frame) for frame in self.session.take(self.unix_s)]

    def told(self) -> list[str]:
        """The frames to write now, one short word each: ``welcome 0``, ``event 5``, ``replay 4``, ``gap 1-3``."""
        return [brief(frame) for frame in self.frames()]

    def receive(self, frame: Frame) -> list[Effect]:
        return self.session.receive(frame, self.permissions, self.now_s)

    def ack(self, seq: int) -> list[Effect]:
        return self.receive(Ack(seq))

    # --- time ---

    def advance(self, seconds: float) -> list[Effect]:
        """Let time pass, and tick when the session is due."""
        self.now_s += seconds
        self.unix_s += seconds
        return self.session.tick(self.now_s, self.unix_s) if self.now_s >= self.session.due_s else []


def brief(frame: dict[str, Any]) -> str:
    match frame["type"]:
        case "event":
            return f"{'replay' if frame.get('replay') else 'event'} {frame['seq']}"
        case "gap":
            return f"gap {frame['after']}-{frame['before']}"
        case "welcome":
            return f"welcome {frame['from']}"
        case "live":
            return f"live {frame['seq']}"
        case "goodbye":
            return f"goodbye {frame['code']}"
        case kind:
            return str(kind)


def live_session(**more: Any) -> DrivenSession:
    """A session that was welcomed and is live, its first frames taken."""
    driven = DrivenSession(**more)
    driven.session.start()
    driven.frames()
    return driven

"""Any course of events, acks, cuts and failures: what a client gets, against a list of what the stream holds.

The model knows the stream as a list. It drives one session at a time (with its recent window, hub and durable, all of
them small) and looks at nothing but frames and effects: that each event that is due comes once, in order, unless a
gap names it, that no more is outstanding than agreed, and that no cursor passes what was not acknowledged.
"""

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway import frames
from gateway.effects import Close, Effect, Hold, PumpAgain, ReadDurable, Release, Save
from gateway.frames import JSON
from gateway.phase import Phase
from gateway.session import Session
from gateway.session_settings import SessionSettings
from mesh.contiguity import Hole
from mesh.event import StoredEvent
from replay.catchup import Failed, Read
from replay.interest import Interest
from replay.opening import Opening
from replay.recent import RecentWindow
from security.permissions import Permissions
from security.subjects import matches
from tests.examples import examples
from tests.gateway.driven_session import EVERYTHING, UNIX_S, claims, event

SUBJECTS = ["a.x", "a.y", "b.x", "c.x"]
PATTERNS = ["a.>", "a.x", "b.*", "*.x", "c.>"]


class SessionMachine(RuleBasedStateMachine):
    """A client, a gateway and a stream."""

    @initialize(
        before=st.lists(st.sampled_from([*SUBJECTS, "hole"]), max_size=8),
        window=st.integers(1, 4),
        window_bytes=st.sampled_from([100, 250, 400, 100_000]),
        keep=st.integers(1, 5),
    )
    def begin(self, before: list[str], window: int, window_bytes: int, keep: int) -> None:
        self.stream: list[StoredEvent | Hole] = []
        self.lost: set[int] = set()  # expired, and told by a gap
        self.seen: set[int] = set()
        self.named: set[int] = set()
        self.settings = SessionSettings(
            window_messages=window, window_bytes=window_bytes, batch_events=3, ping_every_s=1e9
        )
        self.keep = keep
        self.now_s = 0.0
        for what in before:
            if what == "hole":
                self.delete(2)
            else:
                self.store(what, 1)
        self.connect(0, Opening("resumed", 0, 0, Interest({"a.>": 0})))

    # --- the stream ---

    @property
    def end(self) -> int:
        if not self.stream:
            return 0
        last = self.stream[-1]
        return last.before - 1 if isinstance(last, Hole) else last.seq

    def events(self) -> list[StoredEvent]:
        return [item for item in self.stream if isinstance(item, StoredEvent)]

    def holes(self) -> list[Hole]:
        return [item for item in self.stream if isinstance(item, Hole)]

    @rule(subject=st.sampled_from(SUBJECTS), size=st.sampled_from([1, 1, 50, 300]))
    def store(self, subject: str, size: int) -> None:
        self.stream.append(event(self.end + 1, subject, b'"' + b"x" * size + b'"'))

    @rule(count=st.integers(1, 3))
    def delete(self, count: int) -> None:
        """Sequences that nobody will ever see."""
        if not (self.stream and isinstance(self.stream[-1], Hole)):
            self.stream.append(Hole(self.end, self.end + count + 1, "deleted"))

    @rule(count=st.integers(1, 4))
    def feed(self, count: int) -> None:
        """The gateway's feed reads on."""
        for item in self.stream[self.fed : self.fed + count]:
            self.fed += 1
            was_waiting = self.session.waits_for_feed
            if isinstance(item, Hole):
                self.recent.skip(item)
                self.session.skip(item)
            else:
                self.recent.append(item)
                if any(matches(pattern, item.subject) for pattern in self.held):
                    self.session.offer(item)
            if was_waiting:
                self.perform(self.session.pump())
        self.take()

    @rule(subject=st.sampled_from(SUBJECTS))
    def store_and_feed(self, subject: str) -> None:
        self.store(subject, 1)
        self.feed(len(self.stream))

    # --- the connection ---

    def connect(self, floor_item: int, opening: Opening) -> None:
        """Connect to a gateway whose recent window begins before that item of the stream."""
        last = self.stream[floor_item - 1] if floor_item else None
        floor = 0 if last is None else last.before - 1 if isinstance(last, Hole) else last.seq
        self.recent = RecentWindow(floor, bytes_most=10**9, events_most=self.keep)
        self.fed = floor_item
        self.held = set(opening.interest.since)
        self.unacked: list[tuple[int, int]] = []
        self.newest = opening.position
        self.acked = opening.acked
        self.gaps: list[tuple[int, int]] = []
        self.asked: ReadDurable | None = None
        self.asked_at: tuple[int, int] = (0, 0)
        self.pumps = 0
        self.is_live = False
        self.session = Session(
            name="s",
            stream="E:1",
            encoding=JSON,
            opening=opening,
            claims=claims(UNIX_S + 1e9),
            denied=[],
            settings=self.settings,
            recent=self.recent,
            now_s=self.now_s,
            unix_s=UNIX_S,
        )
        self.perform(self.session.start())

    @rule(data=st.data())
    def reconnect(self, data: st.DataObject) -> None:
        """The connection breaks; what is stored is all that the next gateway knows."""
        old = self.session
        old.end()
        opening = Opening("resumed", old.acked, old.through, Interest(old.interest.since))
        self.connect(data.draw(st.integers(0, len(self.stream))), opening)

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case ReadDurable():
                    assert self.asked is None, "one read at a time"
                    assert effect.after < self.recent.floor, "what the recent window holds is not read elsewhere"
                    assert effect.batch >= 1
                    self.asked, self.asked_at = effect, (self.recent.floor, self.recent.head)
                case PumpAgain():
                    self.pumps += 1
                case Hold(pattern):
                    assert pattern not in self.held
                    self.held.add(pattern)
                case Release(pattern):
                    self.held.remove(pattern)
                case Save(reply):
                    if reply is not None:
                        self.session.reply(reply)
                case Close(code):
                    raise AssertionError(code)
                case _:
                    raise AssertionError(effect)
        self.take()

    def take(self) -> None:
        """The client reads what was written."""
        for encoded in self.session.take(UNIX_S):
            frame: dict[str, Any] = msgspec.json.decode(encoded)
            match frame["type"]:
                case "event":
                    self.read_event(frame, len(encoded))
                case "gap":
                    assert self.newest <= frame["after"] or frame["reason"] == "expired"
                    assert (frame["after"], frame["before"]) not in self.gaps, "a gap is told once"
                    self.gaps.append((frame["after"], frame["before"]))
                    self.named.update(range(frame["after"] + 1, frame["before"]))
                case "live":
                    assert frame["seq"] >= self.newest
                    self.newest, self.is_live = frame["seq"], True
                case "welcome":
                    assert not self.is_live
                case kind:
                    assert kind == "reply"

    def read_event(self, frame: dict[str, Any], size: int) -> None:
        seq = frame["seq"]
        assert seq > self.newest, "sequences rise, and nothing comes twice"
        assert seq > self.acked
        stored = next(item for item in self.events() if item.seq == seq)
        assert frame["subject"] == stored.subject
        assert self.session.interest.is_due(stored.subject, seq)
        if "replay" in frame:
            self.is_live = False
        else:
            assert self.is_live, "live events come after live only"
        self.newest = seq
        self.seen.add(seq)
        self.unacked.append((seq, size))

    # --- the client ---

    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        seq = data.draw(st.integers(self.acked, self.newest) | st.just(self.newest))
        self.acknowledge(seq)

    def acknowledge(self, seq: int) -> None:
        self.unacked = [(sent, size) for sent, size in self.unacked if sent > seq]
        self.acked = max(self.acked, seq)
        self.perform(self.session.receive(frames.Ack(seq), EVERYTHING, self.now_s))

    @rule(pattern=st.sampled_from(PATTERNS))
    def subscribe(self, pattern: str) -> None:
        self.perform(self.session.receive(frames.Subscribe(1, [pattern]), EVERYTHING, self.now_s))

    @rule(pattern=st.sampled_from(PATTERNS))
    def unsubscribe(self, pattern: str) -> None:
        self.perform(self.session.receive(frames.Unsubscribe(1, [pattern]), EVERYTHING, self.now_s))

    @rule(allowed=st.lists(st.sampled_from(PATTERNS[:3]), unique=True))
    def refresh(self, allowed: list[str]) -> None:
        less = Permissions(read=("a.>", *allowed))
        self.perform(self.session.refreshed(claims(UNIX_S + 1e9), less, 1, self.now_s, UNIX_S))

    @rule(is_blocked=st.booleans())
    def block(self, *, is_blocked: bool) -> None:
        self.session.set_blocked(is_blocked=is_blocked)
        if not is_blocked:
            self.perform(self.session.pump())

    # --- the shell's later turns ---

    @precondition(lambda self: self.pumps)
    @rule()
    def pump_again(self) -> None:
        self.pumps -= 1
        self.perform(self.session.pump())

    @rule()
    def tick(self) -> None:
        self.now_s += 1.0
        self.perform(self.session.tick(self.now_s, UNIX_S))

    @precondition(lambda self: self.asked)
    @rule()
    def durable_fails(self) -> None:
        self.asked = None
        self.perform(self.session.read(Failed("no leader"), self.now_s))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def durable_answers(self, data: st.DataObject) -> None:
        """As a durable would: some of what is due, in order, or the proof that nothing is left below the floor."""
        assert self.asked is not None
        floor, head = self.asked_at
        after = self.asked.after
        expired = data.draw(st.sampled_from([0, 0, 0, after + 1, floor]))
        wanted = [item for item in self.events() if max(after, expired) < item.seq <= head]
        wanted = [item for item in wanted if self.session.interest.is_due(item.subject, item.seq)]
        count = data.draw(st.integers(1, self.asked.batch))
        if wanted and (wanted[0].seq <= floor or data.draw(st.booleans())):
            found = wanted[:count]
            reached = found[-1].seq
        else:
            found, reached = [], data.draw(st.integers(floor, wanted[0].seq - 1 if wanted else head))
        reached = max(reached, expired)
        self.answer(found, reached, expired)

    def answer(self, found: list[StoredEvent], reached: int, expired: int) -> None:
        assert self.asked is not None
        after, self.asked = self.asked.after, None
        holes = [hole for hole in self.holes() if max(after, expired) < hole.before - 1 and hole.after < reached]
        if expired > after:
            holes.insert(0, Hole(after, expired + 1, "expired"))
            self.lost.update(range(after + 1, expired + 1))
        self.perform(self.session.read(Read(found, reached, holes), self.now_s))

    # --- what must hold ---

    def missing(self) -> list[int]:
        """Events due by a pattern held now that the client neither saw nor lost with a gap that names them."""
        return [
            item.seq
            for item in self.events()
            if self.session.interest.is_due(item.subject, item.seq)
            and item.seq not in self.seen
            and not (item.seq in self.lost and item.seq in self.named)
        ]

    @invariant()
    def the_cursor_passes_nothing(self) -> None:
        through = self.session.through
        assert self.session.acked == self.acked <= through
        assert not self.unacked or through < self.unacked[0][0]
        assert all(seq > through for seq in self.missing())

    @invariant()
    def the_window_holds(self) -> None:
        assert self.session.outstanding[0] == len(self.unacked) <= self.settings.window_messages
        total = sum(size for _, size in self.unacked)
        assert len(self.unacked) <= 1 or total <= self.settings.window_bytes

    @invariant()
    def the_hub_knows_what_is_held(self) -> None:
        assert self.held == set(self.session.interest.since)

    @rule()
    def settle(self) -> None:
        """Faults end: the session becomes live, and then nothing is missing."""
        self.block(is_blocked=False)
        for _ in range(400):
            self.feed(len(self.stream))
            if self.asked is not None:
                floor, head = self.asked_at
                after = self.asked.after
                due = [item for item in self.events() if after < item.seq <= head]
                due = [item for item in due if self.session.interest.is_due(item.subject, item.seq)]
                found = due[: self.asked.batch]
                self.answer(found, found[-1].seq if found else floor, 0)
            self.pump_again() if self.pumps else self.tick()
            self.acknowledge(self.newest)
            if self.session.phase is Phase.LIVE and not (self.pumps or self.unacked):
                break
        assert self.session.phase is Phase.LIVE
        assert self.is_live
        assert self.missing() == []
        first = min(self.session.interest.since.values(), default=self.end)
        gone = {seq for hole in self.holes() for seq in range(hole.after + 1, hole.before)}
        assert not {seq for seq in gone if seq > first} - self.named, "each hole is told"
        assert self.session.through == self.end


SessionMachine.TestCase.settings = examples(100, stateful_step_count=40)
TestSession = SessionMachine.TestCase

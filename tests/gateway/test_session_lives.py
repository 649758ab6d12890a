"""One session through many lives: connections, gateways, records, streams and what a client has stored come and go.

``test_session_model.py`` looks at one connection. Here the parts that decide what a *return* means are put together
as the gateway does (record, opening, recent window, catch-up, session), with a client that follows section 6 of the
protocol. In the end each event that was owed was processed, or a gap named it that the client has read.
"""

import sys
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway import frames
from gateway.effects import Effect, PumpAgain, ReadDurable, Save
from gateway.frames import JSON
from gateway.phase import Phase
from gateway.session import Session
from gateway.session_settings import SessionSettings
from mesh.contiguity import Hole
from mesh.event import Delivery, StoredEvent
from replay import catchup
from replay.opening import claims_beyond, lose_expired, open_session
from replay.position import Position
from replay.recent import RecentWindow
from replay.record import Owner, Record, decode_record, encode_record
from tests.examples import examples
from tests.gateway.driven_session import EVERYTHING, UNIX_S, claims, event
from tests.security.nats_rules import is_match

SUBJECTS = ["a.x", "a.y", "b.x"]
PATTERNS = ["a.>", "a.x", "b.*"]
OWNER = Owner("i", "u", "s")


class Stream:
    """What JetStream holds, and what it ever held."""

    def __init__(self, number: int) -> None:
        self.identity = f"E:{number}"
        self.ever: dict[int, StoredEvent] = {}
        self.held: dict[int, StoredEvent] = {}
        self.last_seq = 0

    @property
    def first_seq(self) -> int:
        return min(self.held, default=self.last_seq + 1)

    @property
    def deleted(self) -> tuple[int, ...]:
        return tuple(seq for seq in range(self.first_seq, self.last_seq + 1) if seq not in self.held)

    def store(self, subject: str) -> None:
        """Store an event; one that is to be ``gone`` is taken out before anybody has seen it."""
        self.last_seq += 1
        self.ever[self.last_seq] = event(self.last_seq, SUBJECTS[0] if subject == "gone" else subject)
        if subject != "gone":
            self.held[self.last_seq] = self.ever[self.last_seq]

    def next_after(self, seq: int, patterns: list[str] | None = None) -> int | None:
        """The next event that is held above ``seq``, of these patterns or of any."""
        wanted = (at for at in sorted(self.held) if at > seq)
        return next((at for at in wanted if patterns is None or self.matches(at, patterns)), None)

    def matches(self, seq: int, patterns: list[str]) -> bool:
        return any(is_match(pattern, self.ever[seq].subject) for pattern in patterns)


class LivesMachine(RuleBasedStateMachine):
    """A session, its client and whatever they meet."""

    @initialize(
        before=st.lists(st.sampled_from([*SUBJECTS, "gone"]), max_size=5),
        keep=st.integers(1, 4),
        window_bytes=st.sampled_from([250, 100_000]),
    )
    def begin(self, before: list[str], keep: int, window_bytes: int) -> None:
        self.keep = keep
        self.settings = SessionSettings(window_messages=3, window_bytes=window_bytes, batch_events=2, ping_every_s=1e9)
        self.streams = 0
        self.bucket: bytes | None = None
        self.held: dict[str, int] = {}  # what the session holds by P4.8, and what of it is stored
        self.saved: dict[str, int] = {}
        self.stored: Position | None = None
        self.was_stored: list[Position | None] = [None]
        self.new_stream()
        for subject in before:
            self.stream.store(subject)
        self.open(None, ["a.>"], 0, 0)

    # --- the stream and its gateways ---

    def new_stream(self) -> None:
        self.streams += 1
        self.stream = Stream(self.streams)
        self.processed: set[int] = set()
        self.named: set[int] = set()
        self.said = 0  # the highest that the client has acknowledged, by whatever frame

    @rule(subjects=st.lists(st.sampled_from([*SUBJECTS, "gone"]), min_size=1, max_size=4), fed=st.integers(0, 4))
    def publish(self, subjects: list[str], fed: int) -> None:
        for subject in subjects:
            self.stream.store(subject)
        self.feed(fed)

    @precondition(lambda self: self.stream.held)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """The oldest expire, or one in the midst is taken out: a gateway may have it or not."""
        held = sorted(self.stream.held)
        first = data.draw(st.just(0) | st.integers(0, len(held) - 1))
        for seq in held[first : first + data.draw(st.integers(1, 3))]:
            del self.stream.held[seq]

    def feed(self, count: int) -> None:
        for _ in range(count):
            was_waiting = self.session.waits_for_feed
            self.feed_one()
            if was_waiting:
                self.perform(self.session.pump())

    def feed_one(self) -> None:
        head, stream = self.recent.head, self.stream
        if head == stream.last_seq:
            return
        seq = stream.next_after(head) or stream.last_seq + 1
        if seq > head + 1:
            hole = Hole(head, seq, "expired" if seq <= stream.first_seq else "deleted")
            self.recent.skip(hole)
            self.session.skip(hole)
        if seq in stream.held:
            self.recent.append(stream.held[seq])
            if stream.matches(seq, list(self.session.interest.since)):
                self.session.offer(stream.held[seq])

    # --- coming back ---

    def record(self) -> Record:
        session = self.session
        patterns = dict(session.interest.since)
        return Record(session.stream, session.acked, session.through, patterns, OWNER, "c", untold=session.untold)

    def save(self, **changes: Hole | None) -> None:
        self.bucket = encode_record(msgspec.structs.replace(self.record(), **changes))
        self.saved = dict(self.held)

    @rule(
        data=st.data(),
        is_clean=st.booleans(),
        wanted=st.none() | st.just(PATTERNS) | st.lists(st.sampled_from(PATTERNS), unique=True),
        meanwhile=st.sampled_from(["nothing"] * 6 + ["lost", "garbage", "replaced"]),
    )
    def come_back(self, data: st.DataObject, is_clean: bool, wanted: list[str] | None, meanwhile: str) -> None:  # noqa: FBT001
        """To a gateway with a window of its own. A crash leaves what was saved; the client may have lost state."""
        self.session.end()
        if is_clean:
            self.save()
        if meanwhile in ("lost", "garbage"):
            self.bucket, wanted = None if meanwhile == "lost" else b"{", wanted or [*self.held]
        if meanwhile == "replaced":
            self.new_stream()
            for subject in data.draw(st.lists(st.sampled_from(SUBJECTS), max_size=3)):
                self.stream.store(subject)
        self.forget_to(data.draw(st.just(self.stored) | st.sampled_from(self.was_stored)))
        floor = data.draw(st.integers(self.stream.first_seq - 1, self.stream.last_seq))
        self.open(self.stored, wanted, floor, data.draw(st.integers(0, 3)))

    def forget_to(self, stored: Position | None) -> None:
        """The client's state is an older copy: what it did since is to be done again; without one, nothing."""
        if stored is not None and stored != self.stored:
            seq = stored.seq if stored.stream == self.stream.identity else 0
            self.processed = {each for each in self.processed if each <= seq}
            self.named = {each for each in self.named if each <= seq}
        self.stored = stored

    def open(self, resume: Position | None, asked: list[str] | None, floor: int, fed: int) -> None:
        """As ``gateway.claiming`` does."""
        self.recent = recent = RecentWindow(floor, bytes_most=10**9, events_most=self.keep)
        self.inbox: list[bytes] = []
        stream, record = self.stream, decode_record(self.bucket) if self.bucket is not None else None
        self.session = self.none_yet()
        for _ in range(fed):
            self.feed_one()
        wanted = asked if asked is not None else list(record.patterns) if record is not None else []
        is_beyond = claims_beyond(record, resume, stream.identity, recent.head)
        last_seq = stream.last_seq if is_beyond else recent.head
        unreadable = self.bucket is not None and record is None
        opening = open_session(record, resume, wanted, stream.identity, last_seq, unreadable=unreadable)
        start = opening.interest.start_after(opening.position, recent.head)
        if opening.outcome != "fresh" and not recent.reaches_back_to(start):
            opening = lose_expired(opening, stream.first_seq, last_seq)
        self.owe(record, resume, wanted, opening.interest.since)
        if resume is not None and resume.stream == stream.identity:
            self.said = max(self.said, resume.seq)
        if resume is None and record is None:
            self.said = max(self.said, recent.head)  # it begins here
            assert opening.outcome == ("gap" if unreadable else "fresh")
        self.session = self.session_of(opening)
        self.bucket, self.saved = (
            encode_record(msgspec.structs.replace(self.record(), untold=opening.gap)),
            dict(self.held),
        )
        self.perform(self.session.start())

    def none_yet(self) -> Session:
        opening = open_session(None, None, [], self.stream.identity, self.recent.head)
        session = self.session_of(opening)
        session.end()
        return session

    def session_of(self, opening: Any) -> Session:
        self.newest = self.begun = opening.position
        self.brought = 0
        self.is_told = False
        self.standing = catchup.Standing()
        return Session(
            name="s",
            stream=self.stream.identity,
            encoding=JSON,
            opening=opening,
            claims=claims(UNIX_S + 1e9),
            denied=[],
            settings=self.settings,
            recent=self.recent,
            now_s=0.0,
            unix_s=UNIX_S,
        )

    def owe(self, record: Record | None, resume: Position | None, wanted: list[str], since: dict[str, int]) -> None:
        """P4.8 and P4.10: from where each pattern holds; a new one from the newest event that the gateway knows."""
        here, last_seq = self.stream.identity, self.stream.last_seq
        is_known = record is not None and record.stream == here
        if resume is not None:
            is_replaced = resume.stream != here or resume.seq > last_seq
        else:
            is_replaced = record is not None and not is_known
        held, new = (self.saved if record is not None else {}), None
        if is_replaced:
            held, new = {}, 0
        elif not is_known and resume is not None:
            held, new = {}, resume.seq
        self.held = {pattern: held.get(pattern, since[pattern] if new is None else new) for pattern in wanted}
        assert all(
            self.recent.head <= since[pattern] <= last_seq for pattern in wanted if pattern not in held and new is None
        )

    # --- the client ---

    @rule(count=st.sampled_from([1, 2, 3, 99]), acks=st.booleans(), saves=st.booleans(), fed=st.integers(0, 3))
    def live(self, count: int, acks: bool, saves: bool, fed: int) -> None:  # noqa: FBT001
        """The feed goes on, and the client reads what was written to it; what is left is lost with the connection."""
        self.feed(fed)
        self.read(count)
        if acks:
            self.ack()
        if saves:
            self.save()

    def read(self, count: int) -> None:
        self.inbox += self.session.take(UNIX_S)
        for encoded in self.inbox[:count]:
            self.read_frame(msgspec.json.decode(encoded))
        del self.inbox[:count]

    def read_frame(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "welcome":
                is_new = self.stored is None or self.stored.stream != frame["stream"]
                self.is_told = is_new and frame["outcome"] == "gap"
                assert frame["outcome"] == "gap" or self.stored is None or not is_new, "another stream is told by a gap"
                if is_new and not self.is_told:
                    self.keep_position(frame["from"])
            case "gap":
                assert frame["before"] > self.brought, "it comes before the first event above it"
                self.named.update(range(frame["after"] + 1, frame["before"]))
                if self.is_told:
                    self.is_told = False
                    self.keep_position(max(self.begun, self.newest))
            case "event":
                self.read_event(frame["seq"], frame["subject"])
            case "live":
                self.newest = self.brought = max(frame["seq"], self.newest)
                self.keep_position(max(frame["seq"], self.position()))
            case kind:
                assert kind == "reply"

    def read_event(self, seq: int, subject: str) -> None:
        assert seq > self.newest, "sequences rise, and nothing comes twice"
        assert self.stream.ever[seq].subject == subject
        self.newest = self.brought = seq
        self.processed.add(seq)
        self.keep_position(max(seq, self.position()))

    def position(self) -> int:
        return self.stored.seq if self.stored is not None and self.stored.stream == self.stream.identity else 0

    def keep_position(self, seq: int) -> None:
        """P6.1 to P6.3: nothing of a stream is stored before the gap that its welcome announced was dealt with."""
        if self.is_told:
            return
        self.was_stored.append(self.stored)
        self.stored = Position(self.stream.identity, seq)

    def ack(self) -> None:
        """P6.1: what is processed and stored, as far as this connection has told of it."""
        if not self.is_told:
            seq = min(self.position(), self.newest)
            self.said = max(self.said, seq)
            self.perform(self.session.receive(frames.Ack(seq), EVERYTHING, 0.0))

    @rule(pattern=st.sampled_from(PATTERNS), adds=st.booleans())
    def change(self, pattern: str, adds: bool) -> None:  # noqa: FBT001
        self.subscribe(pattern) if adds else self.unsubscribe(pattern)

    def subscribe(self, pattern: str) -> None:
        is_new = pattern not in self.held
        self.held.setdefault(pattern, max(self.recent.head, self.session.position))
        self.perform(self.session.receive(frames.Subscribe(1, [pattern]), EVERYTHING, 0.0))
        assert self.session.interest.since[pattern] == self.held[pattern]
        assert not is_new or self.bucket == encode_record(self.record())

    def unsubscribe(self, pattern: str) -> None:
        self.held.pop(pattern, None)
        self.perform(self.session.receive(frames.Unsubscribe(1, [pattern]), EVERYTHING, 0.0))

    # --- the shell ---

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case ReadDurable():
                    result = self.read_durable(effect)
                    self.perform(self.session.read(result, 0.0))
                case PumpAgain():
                    self.perform(self.session.pump())
                case Save(bytes() as reply):
                    self.save()
                    self.session.reply(reply)
                case _:
                    pass

    def read_durable(self, asked: ReadDurable) -> catchup.Read | catchup.Failed:
        """``replay.catchup`` on a stream with one leader and no faults."""
        patterns = list(self.session.interest.since)
        recent, answer = self.recent, None
        reading = catchup.read(asked.after, patterns, recent.floor, recent.head, self.standing, asked.batch, 0)
        while True:
            try:
                question = reading.send(answer)
            except StopIteration as done:
                result: catchup.Read | catchup.Failed = done.value
                return result
            answer = self.answer(question, patterns)

    def answer(self, question: catchup.Ask, patterns: list[str]) -> Any:
        stream, standing = self.stream, self.standing
        match question:
            case catchup.AskState() | catchup.AskAfterPull():
                deleted = stream.deleted
                state = catchup.State("n1", stream.first_seq, stream.last_seq, len(deleted), deleted)
                return state if isinstance(question, catchup.AskState) else catchup.AfterPull(is_ours=True, state=state)
            case catchup.AskNext(seq, pattern):
                return stream.next_after(seq - 1, [pattern])
            case catchup.Pull(batch, _, _, beside):
                due = [seq for seq in sorted(stream.held) if seq > standing.after and stream.matches(seq, patterns)]
                found = [
                    Delivery(stream.held[seq], b"s-x", standing.consumer_seq + number, 0)
                    for number, seq in enumerate(due[:batch], 1)
                ]
                nexts = tuple(stream.next_after(each.seq - 1, [each.pattern]) for each in beside)
                return catchup.Pulled(found, 0 if len(found) == batch else 404, found=nexts)
            case _:
                return True

    # --- what must hold ---

    def missing(self) -> list[int]:
        """Events that were owed and neither processed nor named by a gap that was read."""
        owed = (
            seq
            for seq, stored in self.stream.ever.items()
            if any(seq > since and is_match(pattern, stored.subject) for pattern, since in self.held.items())
        )
        return [seq for seq in owed if seq not in self.processed | self.named]

    @invariant()
    def the_cursor_is_what_the_client_said(self) -> None:
        assert self.session.acked <= self.session.through
        assert self.session.acked <= self.said

    def settle(self) -> None:
        """Faults end: the session becomes live, and then nothing is missing."""
        for _ in range(60):
            self.feed(10)
            self.read(10**6)
            self.ack()
            self.perform(self.session.tick(1.0, UNIX_S))
            if self.session.phase is Phase.LIVE and self.recent.head == self.stream.last_seq:
                break
        self.read(10**6)
        assert self.session.phase is Phase.LIVE
        assert self.missing() == []

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self.settle()


TestLives = LivesMachine.TestCase
TestLives.settings = examples(160, stateful_step_count=12)

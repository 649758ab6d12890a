"""What really happened, as nobody in the world knows it, and what must hold of it (docs/architecture.md).

It sees what is stored, what gateways write to sockets and to the cursor bucket, what they read from sockets, and what
applications do. It knows the code under test by none of its parts.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from replay.record import Record
from security.subjects import matches


class Violation(AssertionError):
    """Something that must hold does not."""


class Stored(msgspec.Struct):
    """A published event, under the number that its payload carries."""

    number: int
    subject: str
    seq: int
    born: int
    """Life of the stream in which it was stored: a stream that loses its tail, or is made anew, begins another."""
    died: int | None = None
    """Life at whose beginning it was lost."""
    is_leak: bool = False
    """Holds in clear what must be sealed: to be shown to nobody."""

    def lives_in(self, life: int) -> bool:
        return self.born <= life and (self.died is None or life < self.died)


class Ledger:
    """What one session must get, has got, and was told to be lost."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held: set[str] = set()
        """Patterns that the session surely holds: events stored from now on are due."""
        self.pending: dict[int, Stored] = {}
        """By number: due, and neither processed nor told to be lost."""
        self.never: set[str] = set()
        """Patterns that no token will permit again."""
        self.unwanted: set[str] = set()
        """Patterns that the application has left."""
        self.told: set[int] = set()
        """Events that a gateway has told to be lost, on any connection."""
        self.heard: Counter[str] = Counter()
        """By stream identity: the newest position that a gateway has told or stored, or a device has sent."""
        self.begins_afresh = False
        """A device has asked without a position, and was not answered yet: where nothing is stored, nothing is due."""
        self.is_stored = False
        """Whether the cursor bucket had a record when last looked at."""

    def hear(self, identity: str, seq: int) -> None:
        """A position that the session may come back with."""
        self.heard[identity] = max(self.heard[identity], seq)


class Oracle:
    """The ledgers of all sessions, and the stream as it was in each of its lives."""

    def __init__(self, is_gone: Callable[[int], bool]) -> None:
        self._is_gone = is_gone
        """Whether the stream of now has lost a sequence: deleted, purged or expired."""
        self.ledgers: dict[str, Ledger] = {}
        self.stored: dict[int, Stored] = {}
        self.life = 0
        self._by_seq: list[dict[int, Stored]] = [{}]
        self._life_of: dict[str, int] = {}
        self._known_to = [0]
        """By life: up to where the life before was known, to living gateways or by the witness in the bucket."""
        self.made_anew: list[int] = []
        """Lives that began with another stream of the same name."""
        self.seen: Counter[str] = Counter()
        """Rare states, counted."""

    # --- the stream ---

    def store(self, number: int, subject: str, seq: int, *, is_leak: bool) -> None:
        event = Stored(number, subject, seq, self.life, is_leak=is_leak)
        self.stored[number] = event
        self._by_seq[self.life][seq] = event
        for ledger in self.ledgers.values():
            if any(matches(pattern, subject) for pattern in ledger.held):
                ledger.pending[number] = event

    def begin_life(self, last_seq: int, known_to: int) -> None:
        """The stream goes on after ``last_seq`` as if what was behind had never been; 0: it was made anew.

        What is known neither to a living gateway nor in the bucket (above ``known_to``) is lost without a trace.
        """
        old = self._by_seq[self.life]
        self.life += 1
        if not last_seq:
            self.made_anew.append(self.life)
        self._known_to.append(known_to)
        if last_seq > 0 and known_to <= last_seq:  # nobody knows anything of what was lost: the stream goes on
            self._life_of = {key: life + (life == self.life - 1) for key, life in self._life_of.items()}
        self._by_seq.append({seq: event for seq, event in old.items() if seq <= last_seq})
        for seq, event in old.items():
            if seq > last_seq:
                event.died = self.life
                if seq > known_to:
                    self._forget(event)

    def _forget(self, event: Stored) -> None:
        for ledger in self.ledgers.values():
            ledger.pending.pop(event.number, None)

    def heard_to(self) -> int:
        """The newest position in the stream of now that any session may come back with."""
        now = [identity for identity, life in self._life_of.items() if life == self.life]
        return max((ledger.heard[identity] for ledger in self.ledgers.values() for identity in now), default=0)

    def life_of(self, identity: str) -> int:
        """The life that an identity stands for: that in which a gateway first said it."""
        return self._life_of.setdefault(identity, self.life)

    def in_life(self, life: int, seq: int) -> Stored | None:
        return self._by_seq[life].get(seq)

    # --- sessions ---

    def ledger(self, name: str) -> Ledger:
        return self.ledgers.setdefault(name, Ledger(name))

    def hold(self, ledger: Ledger, patterns: set[str]) -> None:
        ledger.held = patterns - ledger.never - ledger.unwanted

    def let_go(self, ledger: Ledger, patterns: set[str]) -> None:
        """Patterns end, or are about to: what only they made due is due no more."""
        ledger.held -= patterns
        for number, event in list(ledger.pending.items()):
            if not any(matches(pattern, event.subject) for pattern in ledger.held):
                del ledger.pending[number]

    def process(self, ledger: Ledger, number: int) -> None:
        ledger.pending.pop(number, None)

    def covered(self, ledger: Ledger, life: int, gap: dict[str, Any]) -> list[Stored]:
        """What a session misses and a gap names; a gap must name something that is lost."""
        after, before, reason = gap["after"], gap["before"], gap["reason"]
        if reason == "stream_replaced":
            if self.life == 0:
                raise Violation(f"{ledger.name} is told that the stream was replaced, and it was not")
        elif life == self.life and not any(self._may_be_lost(seq) for seq in range(after + 1, before)):
            raise Violation(f"{ledger.name} is told a gap {after}..{before} ({reason}) that is none")
        lives = (life, self.life)  # whoever is told has reloaded what was there by then
        named = [
            event for event in ledger.pending.values() if after < event.seq < before and any(map(event.lives_in, lives))
        ]
        if reason == "stream_replaced":  # all of the old stream, and of the new one what was lost meanwhile
            named += [event for event in ledger.pending.values() if not event.lives_in(life)]
        return named

    def _may_be_lost(self, seq: int) -> bool:
        event = self.in_life(self.life, seq)
        return event is None or event.is_leak or self._is_gone(seq)

    def tell(self, ledger: Ledger, life: int, gap: dict[str, Any]) -> None:
        """The application has dealt with a gap: what it covers is not missed any more."""
        self.seen["gap dealt with"] += 1
        for event in self.covered(ledger, life, gap):
            ledger.pending.pop(event.number, None)

    def record(self, ledger: Ledger, record: Record | None) -> None:
        """What the cursor bucket holds of a session: nothing due was passed over, but what it will tell to be lost."""
        is_new, ledger.is_stored = not ledger.is_stored, record is not None
        if record is None:
            return
        ledger.hear(record.stream, record.through)
        if self.life_of(record.stream) != self.life:
            return
        if is_new and ledger.begins_afresh:  # its welcome is under way: what the session before was due has ended
            ledger.pending = {
                number: event
                for number, event in ledger.pending.items()
                if event.seq > record.through and event.lives_in(self.life)
            }
        untold = record.untold
        passed = [
            event
            for event in self.missing(ledger, self.life, record.through, ledger.told)
            if untold is None or not untold.after < event.seq < untold.before
        ]
        if passed:
            first = min(passed, key=lambda event: event.seq)
            raise Violation(f"the record of {ledger.name} passes {first.seq}, which is not processed")

    def lacks(self, ledger: Ledger) -> list[Stored]:
        """What a session still must get, or be told to be lost.

        Where a stream fell back and the event was deleted by which that could be known, nobody knows: what was lost
        with it is missed in silence, and so is what was stored again up to there and deleted too
        (docs/decisions/0009).
        """
        return [event for event in ledger.pending.values() if not self._is_unknowable(event)]

    def _is_unknowable(self, event: Stored) -> bool:
        if event.died is not None:
            return event.died not in self.made_anew and self._is_gone(self._known_to[event.died])
        return event.seq <= self._known_to[event.born] and self._is_gone(event.seq)

    def missing(self, ledger: Ledger, life: int, through: int, but: set[int]) -> list[Stored]:
        """What a session was due up to a position and did not get."""
        return [
            event
            for event in ledger.pending.values()
            if event.seq <= through and event.lives_in(life) and event.number not in but
        ]


class ConnectionChecks:
    """One connection, seen from the gateway's end of the wire."""

    def __init__(self, oracle: Oracle, ledger: Ledger, name: str) -> None:
        self.oracle = oracle
        self.ledger = ledger
        self.name = name
        self.token_ends_s = 0.0
        self.permitted: tuple[str, ...] = ()
        self.window: tuple[int, int] = (0, 0)
        self.identity = ""
        self.life = 0
        self.told = 0
        self.is_live = False
        self.resumed_from: int | None = None
        self.outstanding: dict[int, int] = {}
        """Sequence to bytes of the frame."""
        self.sent: set[int] = set()
        """Numbers of events sent, or told to be lost."""
        self.goodbye = False
        self.asked: dict[str, set[str]] = {}
        """Patterns of a ``subscribe`` that is not answered yet, by its id."""

    def fail(self, what: str) -> None:
        raise Violation(f"{self.name}: {what}")

    # --- from the device ---

    def received(self, frame: dict[str, Any]) -> None:
        """A frame arrives at the gateway."""
        kind: str = frame["type"]
        match kind:
            case "connect":
                resume = frame.get("resume")
                if resume is not None:
                    self.resumed_from = resume["seq"]
                    self.ledger.hear(resume["stream"], resume["seq"])
                else:
                    self.ledger.begins_afresh = True
            case "subscribe":
                self.asked[frame["id"]] = set(frame["subjects"])
            case "ack":
                self.outstanding = {seq: size for seq, size in self.outstanding.items() if seq > frame["seq"]}
                self.ledger.hear(self.identity, frame["seq"])
            case _:
                pass

    # --- from the gateway ---

    def write(self, frame: dict[str, Any], size: int, unix_s: float) -> None:
        """A frame is written by the gateway."""
        kind = frame["type"]
        if not self.identity and kind not in ("welcome", "error", "goodbye"):
            self.fail(f"{kind} before welcome")
        if self.goodbye:
            self.fail(f"{kind} after goodbye")
        match kind:
            case "welcome":
                self._welcome(frame)
            case "event":
                self._event(frame, size, unix_s)
            case "gap":
                self._gap(frame)
            case "live":
                self._live(frame["seq"])
            case "reply":
                self._reply(frame)
            case "goodbye":
                self.goodbye = True
            case _:
                pass

    def _live(self, seq: int) -> None:
        self._complete(seq)
        if seq < self.told:
            self.fail("live goes back")
        self.told, self.is_live = seq, True
        self.ledger.hear(self.identity, seq)

    def _reply(self, frame: dict[str, Any]) -> None:
        denied = set((frame.get("data") or {}).get("denied") or ())
        self.oracle.let_go(self.ledger, denied)
        asked = self.asked.pop(frame["id"], set())
        if asked and "error" not in frame:
            self.oracle.hold(self.ledger, self.ledger.held | (asked - denied))

    def _welcome(self, frame: dict[str, Any]) -> None:
        ledger, oracle = self.ledger, self.oracle
        if self.identity:
            self.fail("a second welcome")
        self.identity, self.life = frame["stream"], oracle.life_of(frame["stream"])
        self.window = frame["window"]["messages"], frame["window"]["bytes"]
        self.told = frame["from"]
        ledger.hear(self.identity, self.told)
        ledger.begins_afresh = False
        oracle.seen[f"outcome {frame['outcome']}"] += 1
        if frame["outcome"] == "fresh":
            if self.resumed_from is not None:
                self.fail("a device that said its position is fresh")
            ledger.pending.clear()
        oracle.let_go(ledger, ledger.held - set(frame["subjects"]))
        oracle.hold(ledger, set(frame["subjects"]))

    def _event(self, frame: dict[str, Any], size: int, unix_s: float) -> None:
        seq, subject = frame["seq"], frame["subject"]
        if seq <= self.told:
            self.fail(f"event {seq} after {self.told}")
        event = self._stored(seq, subject, frame)
        if unix_s >= self.token_ends_s:
            self.fail(f"event {seq} after the end of its token")
        if not any(matches(pattern, subject) for pattern in self.permitted):
            self.fail(f"event {seq} on {subject}, which the token does not permit")
        is_replay = frame.get("replay", False)
        if not is_replay and not self.is_live:
            self.fail(f"event {seq} is live before live")
        if is_replay and self.is_live:
            self.is_live = False
            self.oracle.seen["lagging"] += 1
        self._complete(seq - 1)
        self.told = seq
        self.ledger.hear(self.identity, seq)
        self.sent.add(event.number)
        self.outstanding[seq] = size
        messages, most = self.window
        if len(self.outstanding) > messages or (len(self.outstanding) > 1 and sum(self.outstanding.values()) > most):
            self.fail(f"{len(self.outstanding)} events outstanding, {sum(self.outstanding.values())} bytes")

    def _stored(self, seq: int, subject: str, frame: dict[str, Any]) -> Stored:
        """The event that a frame shows: it was stored so, it may be shown, and it is of the stream that it should."""
        data: Any = frame.get("data")
        event = self.oracle.stored.get(data["n"]) if isinstance(data, dict) else None
        if event is None or event.seq != seq or event.subject != subject:
            raise Violation(f"{self.name}: event {seq} was never stored")
        if any(self.life < life <= event.born for life in self.oracle.made_anew):
            self.fail(f"event {seq} of a new stream under the name of the old")
        if "secret" in data:
            self.fail(f"event {seq} shows what must be sealed")
        return event

    def _gap(self, frame: dict[str, Any]) -> None:
        self.oracle.seen[f"gap {frame['reason']}"] += 1
        self.ledger.hear(self.identity, frame["before"] - 1)
        numbers = {event.number for event in self.oracle.covered(self.ledger, self.life, frame)}
        self.sent |= numbers
        self.ledger.told |= numbers

    def _complete(self, through: int) -> None:
        """Everything due up to here was sent on this connection, processed, or told to be lost.

        A gateway that has not heard yet that the stream fell back will tell so: then all of it is replayed.
        """
        if self.life != self.oracle.life:
            return
        skipped = self.oracle.missing(self.ledger, self.life, through, self.sent)
        if skipped:
            first = min(skipped, key=lambda event: event.seq)
            self.fail(f"{len(skipped)} events skipped before {through + 1}, the first is {first.seq} ({first.subject})")

"""A stream, its leader, a consumer on a replica that lags, and a feed: what ``replay.catchup`` reads, at its worst.

Nothing of the code under test is used but its questions. Faults stop after a while: then all must be read.
"""

from collections.abc import Sequence
from random import Random

import msgspec

from mesh.contiguity import Hole
from mesh.event import Delivery, StoredEvent
from replay import catchup

MANY = 1_000
"""Runs of a property test."""
SUBJECTS = ("orders.c1.o1", "orders.c1.o2", "orders.c2.o1", "news.a")
PATTERNS = (("orders.c1.>",), ("orders.c1.o1", "news.*"), (*(f"news.{n}" for n in range(12)), "orders.c1.>"))
READS_MOST = 2_000


class Simulation:
    """One session's catch-up from a random position, with whatever happens meanwhile."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.patterns = list(random.choice(PATTERNS))
        self.published: dict[int, str] = {}
        self.gone: set[int] = set()
        self.first_seq, self.last_seq = 1, 0
        self.leader, self.leader_last = 1, 0
        self.replica_last = 0
        self.stands: list[tuple[int, int]] = []  # the consumer's position and deliveries, now and before; empty: gone
        self.is_anew = False
        self.filter = self.patterns
        self.is_ours = True
        """Whether nobody else set the filter last."""
        self.others_left = random.choice([0, 1, 1, 4])
        """How often other gateways may still lay hands on the consumer."""
        self.floor = self.head = 0
        self.faults_left = random.choice([0, 5, 40, 150])
        self._publish(random.randint(2, 60))
        self._expire(random.choice([0, 0, 20]))
        self.start = random.randint(0, self.last_seq - 1)
        self.replica_last = random.randint(0, self.last_seq)
        self._feed_reads(self.last_seq)
        self.results: list[tuple[int, catchup.Read]] = []

    def read_to_the_end(self) -> None:
        """Read until the recent window takes over, as a session does; a failed read is made again."""
        after, standing = self.start, catchup.Standing()
        for _ in range(READS_MOST):
            if after >= self.floor:
                return
            batch, max_bytes = self.random.randint(1, 6), self.random.choice([0, 15, 40])
            reading = catchup.read(after, self.patterns, self.floor, self.head, standing, batch, max_bytes)
            head, result = self.head, self._drive(reading)
            if isinstance(result, catchup.Read):
                assert after < result.reached <= head, "a read moves on, and not beyond the feed"
                assert len(result.events) <= batch
                self.results.append((after, result))
                after = result.reached
        raise AssertionError(f"not at the floor after {READS_MOST} reads")

    def check(self) -> None:
        """Each due event that was ever published came once and in order, or a hole covers it; no hole is made up."""
        seqs = [event.seq for _, result in self.results for event in result.events]
        assert seqs == sorted(set(seqs)), "once, and in order"
        for after, result in self.results:
            assert all(after < event.seq <= result.reached for event in result.events)
            told = {event.seq for event in result.events}
            due = {seq for seq in range(after + 1, result.reached + 1) if self._matches(self.published[seq])}
            missing = {seq for seq in due - told if not any(_covers(hole, seq) for hole in result.holes)}
            assert not missing, f"lost without a word: {sorted(missing)}"
            assert told <= due
            for hole in result.holes:
                assert any(_covers(hole, seq) for seq in self.gone), "a hole that is none"

    def _drive(self, reading: catchup.Reading) -> catchup.Read | catchup.Failed:
        answer: catchup.Answer = None
        while True:
            self._weather()
            try:
                ask = reading.send(answer)
            except StopIteration as done:
                result: catchup.Read | catchup.Failed = done.value
                return result
            self._weather()
            answer = self._answer(ask)

    def _answer(self, ask: catchup.Ask) -> catchup.Answer:
        match ask:
            case catchup.AskState(deleted):
                return self._state(deleted=deleted)
            case catchup.AskNext():
                return self._next(ask)
            case catchup.AskAfterPull():
                if self.random.random() < 0.5:
                    is_ours = self.is_ours
                    self._weather()  # between the two answers, in either order
                    return catchup.AfterPull(is_ours, self._state())
                state = self._state()
                self._weather()
                return catchup.AfterPull(self.is_ours, state)
            case catchup.Place(after):
                self.stands, self.is_anew = [(after, 0)], False
                self.filter, self.is_ours = self.patterns, True
                return None
            case catchup.Pull(batch, max_bytes, _, beside):
                pulled, found = None, list[int | None]()
                for each in beside:  # the pull comes before, between or after them
                    if pulled is None and self.random.random() < 0.5:
                        pulled = self._pull(batch, max_bytes)
                        self._weather()
                    found.append(self._next(each))
                    self._weather()
                pulled = self._pull(batch, max_bytes) if pulled is None else pulled
                return msgspec.structs.replace(pulled, found=tuple(found))

    def _next(self, ask: catchup.AskNext) -> int | None:
        stored = range(max(ask.seq, 1), self.leader_last + 1)
        return next((s for s in stored if s not in self.gone and _matches(ask.pattern, self.published[s])), None)

    def _state(self, *, deleted: bool = False) -> catchup.State:
        inside = tuple(sorted(seq for seq in self.gone if seq >= self.first_seq))
        listed = inside if deleted else ()
        return catchup.State(f"n{self.leader}", self.first_seq, self.leader_last, len(inside), listed)

    def _pull(self, batch: int, max_bytes: int) -> catchup.Pulled:
        if not self.stands:
            return catchup.Pulled((), 503, "no responders")
        consumer_seq = self.stands[-1][1]
        deliveries: list[Delivery] = []
        used = 0
        for seq in self._due():
            event = StoredEvent(seq, self.published[seq], 0, b"")
            used += event.size_bytes
            if max_bytes and used > max_bytes:
                return catchup.Pulled(self._damaged(deliveries), 409, "Message Size Exceeds MaxBytes")
            consumer_seq += 1
            self.stands.append((seq, consumer_seq))
            deliveries.append(Delivery(event, b"s-x", consumer_seq, 0))
            if len(deliveries) == batch:
                return catchup.Pulled(self._damaged(deliveries))
        return catchup.Pulled(self._damaged(deliveries), 404, "No Messages")

    def _damaged(self, deliveries: list[Delivery]) -> Sequence[Delivery]:
        """Now and then a delivery is lost on the way, or comes twice.

        Never after the consumer has lost some of its state: it gives numbers again then, perhaps to other events, and
        with some of them lost they could by chance go on where those of before ended.
        """
        if self.is_anew:
            return deliveries
        if deliveries and self._is_fault(0.1):
            lost = self.random.randrange(len(deliveries))
            return deliveries[:lost] + deliveries[lost + 1 :]
        if deliveries and self._is_fault(0.05):
            return [*deliveries, deliveries[-1]]
        return deliveries

    def _weather(self) -> None:
        random = self.random
        if self.faults_left <= 0:
            self.leader_last = self.replica_last = self.last_seq
            return
        self._change_stream()
        if self._is_fault(0.1):  # the new leader may not have applied everything yet
            self.leader += 1
            self.leader_last = random.randint(0, self.last_seq)
        if self._is_fault(0.05):
            self.stands = []
        if self.stands and self._is_fault(0.05):  # its newest state was lost: it delivers again
            del self.stands[random.randint(1, len(self.stands)) :]
            self.is_anew = True
        if self.stands and self.others_left and self._is_fault(0.1):
            self.others_left -= 1
            self._lay_hands_on()
        if self.stands and self._is_fault(0.03):  # all of it was
            self.stands, self.is_anew = [(0, 0)], True
        if random.random() < 0.3:
            self.replica_last = random.randint(self.replica_last, self.last_seq)
        if random.random() < 0.5:
            self.leader_last = random.randint(self.leader_last, self.last_seq)
        if random.random() < 0.3:
            self._feed_reads(random.randint(self.head, self.last_seq))

    def _lay_hands_on(self) -> None:
        """Another gateway parks the session, or reads on for it though its client has left.

        It sets the filter, places the consumer and pulls: whoever is slow may have done the first of it before us.
        """
        random, (_, delivered) = self.random, self.stands[-1]
        begins, ends = random.choice([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (1, 3), (2, 3)])
        if begins == 0:
            self.filter, self.is_ours = random.choice([self.patterns, self.patterns[-1:]]), False
        if begins <= 1 < ends:
            self.stands = [(random.randint(0, self.last_seq), 0)]
        # its pull brings as many as were read here: then its numbers fit ours
        count = max(0, delivered + random.choice([0, 0, 0, 1, -1])) if ends == 3 else 0
        self.is_anew = True
        for seq in self._due()[:count]:
            self.stands.append((seq, self.stands[-1][1] + 1))

    def _due(self) -> list[int]:
        """What the consumer delivers next, as its replica has it."""
        stored = range(self.stands[-1][0] + 1, self.replica_last + 1)
        return [
            seq for seq in stored if seq not in self.gone and any(_matches(p, self.published[seq]) for p in self.filter)
        ]

    def _change_stream(self) -> None:
        if self._is_fault(0.15):
            self._publish(self.random.randint(1, 4))
        if self._is_fault(0.1):
            self._delete(self.random.randint(1, 3))
        if self._is_fault(0.05):
            self._expire(self.random.randint(1, self.last_seq))

    def _is_fault(self, probability: float) -> bool:
        if self.faults_left > 0 and self.random.random() < probability:
            self.faults_left -= 1
            return True
        return False

    def _publish(self, count: int) -> None:
        for _ in range(count):
            self.last_seq += 1
            self.published[self.last_seq] = self.random.choice(SUBJECTS)
        self.leader_last = self.last_seq if self.random.random() < 0.5 else self.leader_last

    def _delete(self, count: int) -> None:
        self.gone.update(self.random.randint(1, self.last_seq) for _ in range(count))
        while self.first_seq in self.gone:
            self.first_seq += 1

    def _expire(self, through: int) -> None:
        self.gone.update(range(1, min(through, self.last_seq) + 1))
        while self.first_seq in self.gone:
            self.first_seq += 1

    def _feed_reads(self, head: int) -> None:
        self.head = head
        self.floor = max(self.floor, head - self.random.randint(0, 8))

    def _matches(self, subject: str) -> bool:
        return any(_matches(pattern, subject) for pattern in self.patterns)


def _matches(pattern: str, subject: str) -> bool:
    """Enough of NATS's rule for the patterns above."""
    stem = pattern.rstrip(">*")
    return subject.startswith(stem) if stem != pattern else subject == pattern


def _covers(hole: Hole, seq: int) -> bool:
    return hole.after < seq < hole.before

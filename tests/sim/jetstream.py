"""One replicated stream of the model: a leader or none, a log that a majority holds, replicas that apply it in time."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from mesh.event import header_of
from tests.sim.consumers import Consumer
from tests.sim.jetstream_passage import Passage
from tests.sim.jetstream_replica import Change, Message, Purge, Put, Remove, View

if TYPE_CHECKING:
    from tests.sim.nats import Nats

WRONG_LAST = 10071
IN_PROCESS = 10158
WRONG_LAST_IN_PROCESS = 10164

Answer = Callable[[bytes], None]


class Replica:
    """What one server has applied, and what is on its way to that."""

    def __init__(self, stream: "Stream", server: str) -> None:
        self.server = server
        self.view = stream.empty_view()
        self.passage = Passage(stream.nats.following)
        self._stream = stream

    def follow(self, change: Change) -> None:
        """Apply a change in time."""
        self.passage.send(partial(self.apply, change))

    def apply(self, change: Change) -> None:
        """Apply a change now; consumers on this server see it."""
        self.view.apply(change)
        for consumer in list(self._stream.consumers.values()):
            if consumer.server == self.server and consumer.is_here:
                consumer.noticed(change)


class Stream:
    """A stream. What is in ``truth`` was acknowledged, or may be, and survives any leader."""

    def __init__(self, nats: "Nats", config: dict[str, Any]) -> None:
        self.nats = nats
        self.config = config
        self.name: str = config["name"]
        self.created_ns = nats.now_ns()
        self.log: list[tuple[int, Change]] = []
        """Time in nanoseconds and change."""
        self.truth = self.empty_view()
        self.events: dict[int, tuple[str, bytes]] = {}
        """All that was ever stored, also what is gone."""
        self.stored_s: dict[int, float] = {}
        """When, in the loop's time."""
        self.gone: set[int] = set()
        """Sequences that were deleted or have expired."""
        self.consumers: dict[str, Consumer] = {}
        self.replicas = {server: Replica(self, server) for server in nats.servers}
        self.leader: str | None = nats.random.choice(nats.alive()) if nats.has_majority else None
        self.leader_since_ns = nats.now_ns()
        self._proposals = Passage(nats.committing)
        self._in_process: set[str] = set()
        self._ids: dict[str, int] = {}
        self._id_times: deque[tuple[int, str]] = deque()
        self._expiring = False

    def empty_view(self) -> View:
        """A view of the stream before its first message."""
        return View(one_a_subject=self.config.get("max_msgs_per_subject") == 1)

    @property
    def is_ready(self) -> bool:
        """Whether there is a leader that has applied everything, so that it may store more."""
        return self.leader is not None and not self.replicas[self.leader].passage

    @property
    def leading(self) -> View | None:
        """What the leader has applied, perhaps not all yet; None while there is no leader."""
        return self.replicas[self.leader].view if self.leader is not None else None

    def propose(self, subject: str, payload: bytes, headers: bytes, answer: Answer) -> None:
        """A publish arrives at the leader. It is answered when a majority has it; refused at once when it must be."""
        wanted = header_of(headers, "Nats-Expected-Last-Subject-Sequence")
        msg_id = header_of(headers, "Nats-Msg-Id") or ""
        if len(payload) + len(headers) > self.config.get("max_msg_size", -1) > 0:
            answer(self._refusal(10054, "message size exceeds maximum allowed"))
        elif (stored := self._stored_under(msg_id)) is not None:
            answer(b'{"stream":"%s","seq":%d,"duplicate": true}' % (self.name.encode(), stored))
        elif msg_id and f"id {msg_id}" in self._in_process:
            answer(self._refusal(IN_PROCESS, "duplicate message id is in process", code=409))
        elif wanted is not None and f"subject {subject}" in self._in_process:
            answer(self._refusal(WRONG_LAST_IN_PROCESS, "wrong last sequence"))
        else:
            marks = {f"id {msg_id}"} if msg_id else set()
            if wanted is not None:
                marks.add(f"subject {subject}")
            self._in_process |= marks
            self._proposals.send(partial(self._commit, subject, payload, headers, wanted, msg_id, marks, answer))

    def store(self, subject: str, payload: bytes, headers: bytes) -> int:
        """Store a message now; returns its sequence."""
        message = Message(self.truth.last_seq + 1, subject, payload, headers, self.nats.now_ns())
        self.events[message.seq], self.stored_s[message.seq] = (subject, payload), self.nats.loop.time()
        self.change(Put(message))
        self._remember_id(message)
        self._expire_later()
        return message.seq

    def stored_under(self, msg_id: str) -> int | None:
        """The sequence of a message id that was seen within the duplicate window."""
        return self._stored_under(msg_id)

    def change(self, change: Change) -> None:
        """A majority has a change: the leader applies it now, the others in time."""
        self.log.append((self.nats.now_ns(), change))
        self.gone.update(self.truth.apply(change))
        for replica in self.replicas.values():
            if replica.server == self.leader:
                replica.passage.flush()
                replica.apply(change)
            else:
                replica.follow(change)

    def log_of(self, seq: int) -> Message | None:
        """A message that was stored, also when it is gone."""
        puts = (change.message for _, change in self.log if isinstance(change, Put))
        return next((message for message in puts if message.seq == seq), None)

    def remove(self, seq: int) -> bool:
        """Delete one message; False when it is not there."""
        if seq not in self.truth.messages:
            return False
        self.change(Remove(seq))
        return True

    def purge(self, through: int) -> int:
        """Delete everything up to a sequence; returns how many were deleted."""
        before = len(self.truth.messages)
        if through >= self.truth.first_seq:
            self.change(Purge(min(through, self.truth.last_seq)))
        return before - len(self.truth.messages)

    def lose_leader(self) -> None:
        """The leader is gone: what it was about to store is stored in part, and nobody is told."""
        self.leader = None
        self._proposals.lose(self.nats.random)
        self._in_process.clear()

    def elect(self, server: str, behind_s: float) -> None:
        """A new leader, which needs ``behind_s`` seconds to apply what it has; until then it stores nothing."""
        if server != self.leader:
            self.leader, self.leader_since_ns = server, self.nats.now_ns()
        passage = self.replicas[server].passage
        passage.hold(behind_s)
        self._proposals.release()
        self._proposals.hold(passage.held_s)

    def add_consumer(self, name: str, config: dict[str, Any]) -> Consumer:
        """Make a consumer on a server by chance."""
        consumer = self.consumers[name] = Consumer(self, name, config, self.nats.place())
        return consumer

    def drop_consumer(self, name: str) -> bool:
        """Delete a consumer; False when there is none."""
        consumer = self.consumers.pop(name, None)
        if consumer is not None:
            consumer.end()
        return consumer is not None

    def end(self) -> None:
        """The stream is deleted."""
        for name in list(self.consumers):
            self.drop_consumer(name)
        self._proposals.clear()
        self._in_process.clear()

    def restore(self, through_ns: int, last_seq: int | None = None) -> dict[int, tuple[str, bytes]]:
        """Go back to what the log held at a time, and not beyond a sequence; returns what is lost."""
        log, self.log = self.log, []
        self._proposals.clear()
        self._in_process.clear()
        self.truth, self.gone, lost = self.empty_view(), set(), dict(self.events)
        self.events, self._ids = {}, {}
        self._id_times.clear()
        for time_ns, change in log:
            is_beyond = last_seq is not None and isinstance(change, Put) and change.message.seq > last_seq
            if time_ns > through_ns or is_beyond:
                break
            self.log.append((time_ns, change))
            self.gone.update(self.truth.apply(change))
            if isinstance(change, Put):
                message = change.message
                self.events[message.seq] = lost.pop(message.seq)
                self._remember_id(message)
        for replica in self.replicas.values():
            replica.passage.clear()
            replica.view = self.empty_view()
            for _, change in self.log:
                replica.view.apply(change)
        for consumer in self.consumers.values():
            consumer.fall_back(self.truth.last_seq)
        return lost

    def state(self, view: View, *, deleted: bool) -> dict[str, Any]:
        """The state as STREAM.INFO tells it."""
        state: dict[str, Any] = {
            "messages": len(view.messages),
            "bytes": view.size_bytes,
            "first_seq": view.first_seq,
            "last_seq": view.last_seq,
            "consumer_count": len(self.consumers),
        }
        holes = view.deleted()
        if holes and (deleted or view.last_seq):
            state["num_deleted"] = len(holes)
            if deleted:
                state["deleted"] = holes
        return state

    def _commit(
        self,
        subject: str,
        payload: bytes,
        headers: bytes,
        wanted: str | None,
        msg_id: str,
        marks: set[str],
        answer: Answer,
    ) -> None:
        self._in_process -= marks
        if wanted is not None:
            newest = self.truth.last_match(subject)
            seq = newest.seq if newest is not None else 0
            if seq != int(wanted):
                answer(self._refusal(WRONG_LAST, f"wrong last sequence: {seq}"))
                return
        if (stored := self._stored_under(msg_id)) is not None:
            answer(b'{"stream":"%s","seq":%d,"duplicate": true}' % (self.name.encode(), stored))
            return
        answer(b'{"stream":"%s","seq":%d}' % (self.name.encode(), self.store(subject, payload, headers)))

    def _remember_id(self, message: Message) -> None:
        if msg_id := header_of(message.headers, "Nats-Msg-Id"):
            self._ids[msg_id] = message.seq
            self._id_times.append((message.time_ns, msg_id))

    def _refusal(self, err_code: int, description: str, code: int = 400) -> bytes:
        error = {"code": code, "err_code": err_code, "description": description}
        return msgspec.json.encode({"error": error, "stream": self.name, "seq": 0})

    def _stored_under(self, msg_id: str) -> int | None:
        since_ns = self.nats.now_ns() - self.config["duplicate_window"]
        while self._id_times and self._id_times[0][0] < since_ns:
            self._ids.pop(self._id_times.popleft()[1], None)
        return self._ids.get(msg_id)

    def _expire_later(self) -> None:
        oldest, max_age_ns = self.truth.oldest(), self.config.get("max_age", 0)
        if max_age_ns and oldest is not None and not self._expiring:
            self._expiring = True
            due_s = (oldest.time_ns + max_age_ns - self.nats.now_ns()) / 1e9
            self.nats.loop.call_later(max(due_s, 0.0) + 0.001, self._expire)

    def _expire(self) -> None:
        self._expiring = False
        if self.nats.streams.get(self.name) is not self:
            return
        through, oldest_ns = 0, self.nats.now_ns() - self.config["max_age"]
        for message in self.truth.messages.values():
            if message.time_ns > oldest_ns:
                break
            through = message.seq
        if through:
            self.change(Purge(through))
        self._expire_later()

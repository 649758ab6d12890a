"""Consumers of the model: pull, acknowledge nothing, live on one server and see what that server has applied.

Numbers and texts are nats-server's (2.15); ``conformance.py`` compares them with a real one.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from tests.sim.jetstream_replica import Change, Message, Purge, Put, View, matches_one

if TYPE_CHECKING:
    from tests.sim.jetstream import Stream

FLUSHED_EACH_S = 0.1
"""A file consumer's state reaches the disk that often."""


class Pull:
    """A pull request that waits."""

    def __init__(self, reply: str, body: dict[str, Any], now_s: float) -> None:
        self.reply = reply
        self.left = int(body.get("batch") or 1)
        self.bytes_left = int(body.get("max_bytes") or 0)
        self.is_sized = self.bytes_left > 0
        self.expires_s = body.get("expires", 0) / 1e9
        self.no_wait = bool(body.get("no_wait")) and not self.expires_s
        self.heartbeat_s = body.get("idle_heartbeat", 0) / 1e9
        self.heard_s = now_s
        self.timers: list[asyncio.TimerHandle] = []
        self.beat: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """Stop its timers."""
        for timer in (*self.timers, *([self.beat] if self.beat is not None else [])):
            timer.cancel()

    def left_over(self, status: str) -> bytes:
        """A status that tells what was not delivered."""
        size = max(self.bytes_left, 0)
        return f"NATS/1.0 {status}\r\nNats-Pending-Messages: {self.left}\r\nNats-Pending-Bytes: {size}\r\n\r\n".encode()


class Consumer:
    """One consumer."""

    def __init__(self, stream: "Stream", name: str, config: dict[str, Any], server: str) -> None:
        self.name = name
        self.config = config
        self.server = server
        self._stream = stream
        self._nats = stream.nats
        self._loop = asyncio.get_running_loop()
        self._pulls: deque[Pull] = deque()
        self._filters: tuple[str, ...] = ()
        self.next_seq = self.delivered = self.floor = 0
        self._pending: int | None = None
        self._idle: asyncio.TimerHandle | None = None
        self.created_ns = self._nats.now_ns()
        self._known_from_s = self._loop.time() + self._nats.latency()
        self._flushed_s = self._loop.time()
        self.begin()
        self._flushed = self.state

    @property
    def is_here(self) -> bool:
        """Whether its server lives."""
        return self.server in self._nats.living

    def is_known_to(self, server: str) -> bool:
        """Whether a pull that reaches ``server`` finds it: others hear a moment later that it listens."""
        return self.is_here and (server == self.server or self._loop.time() >= self._known_from_s)

    @property
    def state(self) -> tuple[int, int, int]:
        """Next stream sequence to look at, deliveries so far, sequence of the newest."""
        return self.next_seq, self.delivered, self.floor

    @property
    def waiting(self) -> int:
        """Pulls that wait."""
        return len(self._pulls)

    def begin(self) -> None:
        """Stand where its configuration says."""
        view = self._view
        start = self.config.get("opt_start_seq", 0) if self.config["deliver_policy"] == "by_start_sequence" else 0
        self._stand(max(start, view.first_seq, 1))
        self._await_idleness()

    def reset(self, seq: int) -> int:
        """Deliver next what is at or above ``seq``; 0: above the newest delivered."""
        self._stand(seq or self.floor + 1)
        self._flushed = self.state
        self._loop.call_soon(self.serve)
        return self.next_seq

    def update(self, config: dict[str, Any]) -> None:
        """Take another filter; the position stays."""
        self.config = config
        self._filters = tuple(config.get("filter_subjects", ()))
        self._pending = None
        self._loop.call_soon(self.serve)

    def num_pending(self) -> int:
        """Matching messages that were not delivered, as far as its server knows."""
        if self._pending is None:
            self._pending = sum(1 for _ in self._view.matching(self._filters, self.next_seq))
        return self._pending

    def noticed(self, change: Change) -> None:
        """Its server has applied a change."""
        if isinstance(change, Put):
            if matches_one(self._filters, change.message.subject):
                if self._pending is not None:
                    self._pending += 1
                self.serve()
            return
        self._pending = None
        first_seq = self._view.first_seq
        if isinstance(change, Purge) and self.next_seq < first_seq:
            self.next_seq = first_seq
            self.floor = first_seq - 1

    def pull(self, reply: str, body: dict[str, Any]) -> None:
        """A pull request arrives."""
        now_s = self._loop.time()
        pull = Pull(reply, body, now_s)
        if pull.heartbeat_s and pull.heartbeat_s * 2 > pull.expires_s:
            self._tell(pull, b"NATS/1.0 400 Bad Request - heartbeat value too large\r\n\r\n")
            return
        self._await_idleness()
        if pull.no_wait and not self.num_pending():
            self._tell(pull, b"NATS/1.0 404 No Messages\r\n\r\n")
            return
        if pull.expires_s:
            pull.timers.append(self._loop.call_at(now_s + pull.expires_s, self._expire, pull))
        if pull.heartbeat_s:
            pull.beat = self._loop.call_at(now_s + pull.heartbeat_s, self._beat, pull)
        self._pulls.append(pull)
        self.serve()

    def serve(self) -> None:
        """Deliver to the pulls that wait, one message to each in turn."""
        if not self._pulls or not self.is_here:
            return
        self._flush()
        while self._pulls:
            message = next(self._view.matching(self._filters, self.next_seq), None)
            if message is None:
                self.next_seq = max(self.next_seq, self._view.last_seq + 1)
                self._end_those_without_patience()
                return
            pull = self._pulls.popleft()
            if self._deliver(message, pull) and pull.left > 0:
                self._pulls.append(pull)
            else:
                pull.end()

    def lose_pulls(self) -> None:
        """Its server died: nobody hears of the pulls that waited."""
        for pull in self._pulls:
            pull.end()
        self._pulls.clear()

    def end(self) -> None:
        """It was deleted or collected."""
        if self._idle is not None:
            self._idle.cancel()
        pulls = list(self._pulls)
        self.lose_pulls()
        for pull in pulls:
            self._tell(pull, b"NATS/1.0 409 Consumer Deleted\r\n\r\n")

    def come_back(self) -> None:
        """Its server has restarted. From the file the newest moment may be missing; in memory it begins anew.

        A server on its own has forgotten one in memory: in a cluster the others have not.
        """
        if self.config.get("mem_storage"):
            if len(self._nats.servers) == 1:
                self._stream.drop_consumer(self.name)
            else:
                self.begin()
            return
        if self._nats.random.random() < 0.5:
            self.next_seq, self.delivered, self.floor = self._flushed
        self._pending = None
        self.fall_back(self._view.last_seq)
        self._await_idleness()

    def fall_back(self, last_seq: int) -> None:
        """The stream ends at ``last_seq`` now: nothing above it was delivered; the numbers go on."""
        self.next_seq = min(self.next_seq, last_seq + 1)
        self.floor = min(self.floor, last_seq)
        self._flushed = self.state

    @property
    def _view(self) -> View:
        return self._stream.replicas[self.server].view

    def _stand(self, seq: int) -> None:
        self.next_seq = seq
        self.delivered = 0
        self.floor = seq - 1
        self._filters = tuple(self.config.get("filter_subjects", ()))
        # what comes counts from now on, even below where it stands
        self._pending = 0 if seq > self._view.last_seq else None

    def _flush(self) -> None:
        if self._loop.time() - self._flushed_s >= FLUSHED_EACH_S:
            self._flushed_s, self._flushed = self._loop.time(), self.state

    def _deliver(self, message: Message, pull: Pull) -> bool:
        """False when the pull ends without the message."""
        self.num_pending()
        assert self._pending is not None, "just counted"
        if not self._nats.is_heard(pull.reply):
            return False
        number, stream = self.delivered + 1, self._stream.name
        ack = f"$JS.ACK.{stream}.{self.name}.1.{message.seq}.{number}.{message.time_ns}.{self._pending - 1}".encode()
        size = len(message.subject) + len(ack) + len(message.headers) + len(message.payload)
        if pull.is_sized and size > pull.bytes_left:
            self._tell(pull, pull.left_over("409 Message Size Exceeds MaxBytes"))
            return False
        pull.bytes_left -= size
        pull.left -= 1
        pull.heard_s = self._loop.time()
        self._pending -= 1
        self.next_seq, self.delivered, self.floor = message.seq + 1, number, message.seq
        self._nats.route(pull.reply, message.subject.encode(), ack, message.payload, message.headers)
        return True

    def _end_those_without_patience(self) -> None:
        for pull in [pull for pull in self._pulls if pull.no_wait]:
            self._pulls.remove(pull)
            pull.end()
            self._tell(pull, b"NATS/1.0 404 No Messages\r\n\r\n")

    def _expire(self, pull: Pull) -> None:
        if pull in self._pulls:
            self._pulls.remove(pull)
            pull.end()
            self._tell(pull, pull.left_over("408 Request Timeout"))
            self._await_idleness()

    def _beat(self, pull: Pull) -> None:
        now_s = self._loop.time()
        due_s = pull.heard_s + pull.heartbeat_s
        if due_s <= now_s + 1e-6:
            last = f"Nats-Last-Consumer: {self.delivered}\r\nNats-Last-Stream: {self.next_seq - 1}\r\n\r\n"
            self._tell(pull, f"NATS/1.0 100 Idle Heartbeat\r\n{last}".encode())
            pull.heard_s, due_s = now_s, now_s + pull.heartbeat_s
        pull.beat = self._loop.call_at(due_s, self._beat, pull)

    def _tell(self, pull: Pull, status: bytes) -> None:
        self._nats.route(pull.reply, pull.reply.encode(), b"", b"", status)

    def _await_idleness(self) -> None:
        """Start its time without a pull anew. The server looks late, up to as long again."""
        threshold_s = self.config.get("inactive_threshold", 0) / 1e9
        if self._idle is not None:
            self._idle.cancel()
        if threshold_s:
            late_s = self._nats.random.random() * threshold_s
            self._idle = self._loop.call_later(threshold_s + late_s, self._collect)

    def _collect(self) -> None:
        if not self.is_here:
            return
        if self._pulls:
            self._await_idleness()
        else:
            self._stream.drop_consumer(self.name)

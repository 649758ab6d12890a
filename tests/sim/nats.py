"""NATS for the simulation: servers, links between them and us, and JetStream, with the faults that a world may need.

Everything takes its time in the running event loop's clock and its chances from one ``Random``: a seed is a run.
"""

import asyncio
from functools import partial
from random import Random
from typing import Any

import msgspec

from mesh.link import LinkSettings
from mesh.topology import Topology
from tests.sim.clock import UNIX_S
from tests.sim.jetstream import Stream
from tests.sim.jetstream_api import JetStreamApi
from tests.sim.jetstream_link import NO_RESPONDERS, SimLink, Wire, header_block
from tests.sim.jetstream_passage import Passage
from tests.sim.jetstream_replica import matches

EPOCH_NS = UNIX_S * 1_000_000_000
"""Wall time of the loop's zero."""

Range = tuple[float, float]
"""Least and most, seconds."""


class NatsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How large and how quick the cluster is."""

    servers: tuple[str, ...] = ("n1", "n2", "n3")
    topology: Topology = Topology()
    latency_s: Range = (0.0001, 0.002)
    """One way between a link and a server."""
    commit_s: Range = (0.0001, 0.003)
    """Until a majority has a message."""
    follow_s: Range = (0.0001, 0.01)
    """Until another replica has applied it."""
    api_s: Range = (0.00005, 0.001)
    """For one question to the API."""
    election_s: Range = (0.02, 0.5)
    """Without a leader after a step-down."""
    failover_s: Range = (1.0, 6.0)
    """Without a leader after a crash."""
    unnoticed_s: Range = (0.5, 4.0)
    """For which consumers are still given to a server that has crashed."""
    behind_s: Range = (0.0, 1.5)
    """Until a new leader has applied what it has, every other time."""


class Nats:
    """The cluster."""

    matches = staticmethod(matches)

    def __init__(self, random: Random, settings: NatsSettings | None = None) -> None:
        self.random = random
        self.settings = settings or NatsSettings()
        self.loop = asyncio.get_running_loop()
        self.servers = self.settings.servers
        self.living: dict[str, None] = dict.fromkeys(self.servers)
        self.wires: dict[str, Wire] = {}
        """Open connections by their link's inbox."""
        self.links: list[SimLink] = []
        self.streams: dict[str, Stream] = {}
        self._api = JetStreamApi(self)
        self._slow_s, self._slow_until_s = 0.0, 0.0
        self._questions = Passage(self._api_delay)
        self._placing_until_s = dict.fromkeys(self.servers, 0.0)
        self._meta_from_s = 0.0
        """Without a leader of the cluster until then."""
        self._meta_leader = random.choice(self.servers)
        for config in self.settings.topology.configs():
            self.add_stream(config)
        self._events_name = self.settings.topology.events.name

    # ---- for gateways

    def link(self, name: str, *, inbox_prefix: str = "_INBOX_gw") -> SimLink:
        """A link that is not started yet. It begins with a server by chance and tries all in turn."""
        first = self.random.randrange(len(self.servers))
        servers = self.servers[first:] + self.servers[:first]
        link = SimLink(self, LinkSettings(servers=servers, name=name, inbox_prefix=inbox_prefix))
        self.links.append(link)
        return link

    # ---- for the oracle

    @property
    def stream(self) -> Stream:
        """The event stream as a majority has it."""
        return self.streams[self._events_name]

    @property
    def events(self) -> dict[int, tuple[str, bytes]]:
        """Subject and payload of everything ever stored in this incarnation, also what is gone; by sequence."""
        return self.stream.events

    @property
    def gone(self) -> set[int]:
        """Sequences that were deleted or have expired."""
        return self.stream.gone

    def stored_s(self, seq: int) -> float:
        """When an event was stored, in the loop's time."""
        return self.stream.stored_s[seq]

    def stored_ns(self, seq: int) -> int:
        """When an event was stored, as its stream tells it; when the stream was made, if it has no such event."""
        message = self.stream.log_of(seq)
        return message.time_ns if message is not None else self.created_ns

    @property
    def first_seq(self) -> int:
        """Of the oldest event that is left."""
        return self.stream.truth.first_seq

    @property
    def last_seq(self) -> int:
        """Of the newest event that was stored."""
        return self.stream.truth.last_seq

    @property
    def created_ns(self) -> int:
        """Birth of the event stream, nanoseconds since 1970."""
        return self.stream.created_ns

    @property
    def identity(self) -> str:
        """Identity of the event stream (P2.7)."""
        return f"{self._events_name}:{self.created_ns}"

    def publish(
        self, subject: str, payload: bytes, msg_id: str | None = None, headers: dict[str, str] | None = None
    ) -> int | None:
        """A service publishes an event: its sequence once it is stored (by an earlier try, perhaps), None if not."""
        if not self.stream.is_ready or not self.has_majority:
            return None
        if msg_id is not None:
            headers = {**(headers or {}), "Nats-Msg-Id": msg_id}
            if (stored := self.stream.stored_under(msg_id)) is not None:
                return stored
        return self.stream.store(subject, payload, header_block(headers))

    # ---- faults

    def kill(self, server: str) -> None:
        """Kill a server: its links are cut, what it leads has no leader for a while, its consumers are silent."""
        if server not in self.living:
            return
        del self.living[server]
        self._placing_until_s[server] = self.loop.time() + self._draw(self.settings.unnoticed_s)
        for wire in list(self.wires.values()):
            if wire.server == server:
                wire.cut()
        for stream in self.streams.values():
            stream.replicas[server].passage.hold(float("inf"))
            for consumer in stream.consumers.values():
                if consumer.server == server:
                    consumer.lose_pulls()
            if stream.leader == server or not self.has_majority:
                self._lose_leader(stream, self.settings.failover_s)
        if self._meta_leader == server:
            self._meta_from_s = self.loop.time() + self.random.uniform(*self.settings.failover_s)
            self._meta_leader = self.random.choice(self.alive()) if self.living else server

    def restart(self, server: str) -> None:
        """Start a killed server again on its store; it catches up."""
        if server in self.living:
            return
        self.living[server] = None
        for stream in self.streams.values():
            replica = stream.replicas[server]
            replica.passage.release()
            replica.passage.hold(self._draw(self.settings.behind_s))
            for consumer in list(stream.consumers.values()):
                if consumer.server == server:
                    consumer.come_back()
            if stream.leader is None:
                self._elect_later(stream, self.settings.failover_s)

    def step_down(self, stream: str = "") -> None:
        """Make the leader of a stream (the event stream) step down; another follows after a moment."""
        found = self.streams[stream or self._events_name]
        if found.leader is not None:
            self._lose_leader(found, self.settings.election_s)

    def lag(self, server: str, for_s: float) -> None:
        """Let a server apply nothing for so long, unless it leads."""
        for stream in self.streams.values():
            if stream.leader != server and server in self.living:
                stream.replicas[server].passage.hold(for_s)

    def purge(self, through: int) -> None:
        """Delete all events up to a sequence, whoever leads."""
        self.stream.purge(through)

    def delete(self, seq: int) -> None:
        """Delete one event, whoever leads."""
        self.stream.remove(seq)

    def recreate(self) -> None:
        """Delete the event stream and make it anew: another birth, nothing in it, no consumers."""
        config = self.stream.config
        self.stream.end()
        self.add_stream(config)

    def fall_back(self, to_seq: int, *, with_buckets: bool) -> dict[int, tuple[str, bytes]]:
        """All servers restart without the newest events; returns those.

        Buckets too go back to the moment after ``to_seq`` was stored, with ``with_buckets``. Consumers stay where they
        were, or at the stream's new end; those in memory begin anew.
        """
        end_ns = self.stored_ns(to_seq)
        for wire in list(self.wires.values()):
            wire.cut()
        lost = self.stream.restore(self.now_ns(), to_seq)
        for stream in self.streams.values():
            if stream is not self.stream and with_buckets:
                stream.restore(end_ns)
            for consumer in list(stream.consumers.values()):
                consumer.lose_pulls()
                if consumer.is_here and consumer.config.get("mem_storage"):
                    consumer.come_back()
            if stream.leader is not None:
                self._lose_leader(stream, self.settings.election_s)
        return lost

    def overflow(self) -> None:
        """The API's queue bursts: no question that waits is ever answered."""
        self._questions.clear()

    def slow_api(self, delay_s: float, for_s: float) -> None:
        """Let each question to the API take ``delay_s`` seconds longer for a while."""
        self._slow_s, self._slow_until_s = delay_s, self.loop.time() + for_s

    def heal(self) -> None:
        """End all faults: every server lives and has applied everything, every stream has a leader."""
        self._slow_until_s = self._meta_from_s = 0.0
        for server in self.servers:
            self.restart(server)
        for stream in self.streams.values():
            for replica in stream.replicas.values():
                replica.passage.release()
                replica.passage.flush()
            stream.elect(stream.leader or self.random.choice(self.alive()), 0.0)
        for link in self.links:
            link.unstall()

    # ---- for the parts of the model

    def now_ns(self) -> int:
        """Wall time."""
        return EPOCH_NS + int(self.loop.time() * 1e9)

    def latency(self) -> float:
        """One way over the network, seconds."""
        return self._draw(self.settings.latency_s)

    def following(self) -> float:
        """Until a replica applies a change, seconds."""
        return self._draw(self.settings.follow_s)

    def committing(self) -> float:
        """Until a majority has a message, seconds."""
        return self._draw(self.settings.commit_s)

    def alive(self) -> list[str]:
        """Servers that live."""
        return list(self.living)

    def place(self) -> str:
        """A server for a new consumer: one that lives, as far as the others have noticed."""
        now_s, until_s = self.loop.time(), self._placing_until_s
        return self.random.choice([s for s in self.servers if s in self.living or now_s < until_s[s]])

    @property
    def has_majority(self) -> bool:
        """Whether anything can be stored."""
        return len(self.living) * 2 > len(self.servers)

    @property
    def has_meta_leader(self) -> bool:
        """Whether consumers can be made and deleted."""
        return self.has_majority and self.loop.time() >= self._meta_from_s

    def add_stream(self, config: dict[str, Any]) -> Stream:
        """Make a stream."""
        stream = self.streams[config["name"]] = Stream(self, config)
        return stream

    def is_heard(self, subject: str) -> bool:
        """Whether anybody listens to a subject."""
        return any(wire.hears(subject) is not None for wire in self._listening(subject))

    def route(self, to: str, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> bool:
        """Send a message to all who listen to ``to``; False when nobody does."""
        heard = False
        for wire in self._listening(to):
            pattern = wire.hears(to)
            if pattern is not None:
                wire.deliver(pattern, subject, reply, data, headers)
                heard = True
        return heard

    def receive(self, wire: Wire, subject: str, payload: bytes, reply: str, headers: bytes) -> None:
        """A message from a link has reached its server."""
        if subject.startswith("$JS.API."):
            self._ask(wire, subject[8:], payload, reply)
            return
        heard = self.route(subject, subject.encode(), reply.encode(), payload, headers)
        for stream in self.streams.values():
            if any(matches(pattern, subject) for pattern in stream.config["subjects"]):
                heard = self._store(stream, subject, payload, headers, reply) or heard
        if reply and not heard:
            self._nobody(subject, reply)

    def _listening(self, subject: str) -> list[Wire]:
        end = subject.find(".", subject.find(".") + 1)
        wire = self.wires.get(subject[:end])
        return [wire] if wire is not None else list(self.wires.values())

    def _store(self, stream: Stream, subject: str, payload: bytes, headers: bytes, reply: str) -> bool:
        """False when no leader listens to the stream's subjects; now and then that is not known yet: silence."""
        if stream.leader is None or not self.has_majority:
            return self.random.random() < 0.1

        def answer(text: bytes) -> None:
            if reply:
                self.route(reply, reply.encode(), b"", text, b"")

        stream.propose(subject, payload, headers, answer)
        return True

    def _ask(self, wire: Wire, question: str, payload: bytes, reply: str) -> None:
        if question.startswith("CONSUMER.MSG.NEXT."):
            self._pull(wire, question, payload, reply)
        elif question.startswith("DIRECT.GET."):
            for answer in self._api.direct_get(question[11:], payload):
                self.route(reply, reply.encode(), b"", *answer)
        elif self._api.verb_of(question):
            self._questions.send(partial(self._answer, question, payload, reply))
        elif reply:
            self._nobody(f"$JS.API.{question}", reply)

    def _answer(self, question: str, payload: bytes, reply: str) -> None:
        answer = self._api.answer(question, payload)
        if answer is not None and reply:
            self.route(reply, reply.encode(), b"", answer, b"")

    def _pull(self, wire: Wire, question: str, payload: bytes, reply: str) -> None:
        name, _, consumer_name = question[18:].partition(".")
        stream = self.streams.get(name)
        consumer = stream.consumers.get(consumer_name) if stream is not None else None
        if consumer is None or not consumer.is_known_to(wire.server):
            self._nobody(f"$JS.API.{question}", reply)
        else:
            consumer.pull(reply, msgspec.json.decode(payload) if payload else {})

    def _nobody(self, subject: str, reply: str) -> None:
        self.route(reply, reply.encode(), b"", b"", NO_RESPONDERS % subject.encode())

    def _api_delay(self) -> float:
        slow_s = self._slow_s if self.loop.time() < self._slow_until_s else 0.0
        return slow_s + self._draw(self.settings.api_s)

    def _draw(self, between: Range) -> float:
        return between[0] + (between[1] - between[0]) * self.random.random()

    def _lose_leader(self, stream: Stream, without_s: Range) -> None:
        stream.lose_leader()
        self._elect_later(stream, without_s)

    def _elect_later(self, stream: Stream, without_s: Range) -> None:
        self.loop.call_later(self._draw(without_s), self._elect, stream)

    def _elect(self, stream: Stream) -> None:
        if stream.leader is None and self.has_majority and self.streams.get(stream.name) is stream:
            behind_s = self._draw(self.settings.behind_s) if self.random.random() < 0.5 else 0.0
            stream.elect(self.random.choice(self.alive()), behind_s)

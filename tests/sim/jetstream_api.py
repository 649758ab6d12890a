"""The JetStream API of the model: who answers a question, and in which form."""

import base64
import datetime
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from tests.sim.consumers import Consumer
from tests.sim.jetstream import Stream
from tests.sim.jetstream_replica import Message, overlap

if TYPE_CHECKING:
    from tests.sim.nats import Nats

Answer = dict[str, Any] | None
"""The answer, or None: nobody answers."""

TYPES = {
    "STREAM.INFO": "stream_info",
    "STREAM.CREATE": "stream_create",
    "STREAM.DELETE": "stream_delete",
    "STREAM.PURGE": "stream_purge",
    "STREAM.MSG.GET": "stream_msg_get",
    "STREAM.MSG.DELETE": "stream_msg_delete",
    "CONSUMER.CREATE": "consumer_create",
    "CONSUMER.INFO": "consumer_info",
    "CONSUMER.RESET": "consumer_reset",
    "CONSUMER.DELETE": "consumer_delete",
}
FIXED = ("deliver_policy", "ack_policy", "opt_start_seq", "mem_storage")
"""Fields of a consumer that cannot be changed."""


class JetStreamApi:
    """Answers ``$JS.API``, in the order in which questions come in."""

    def __init__(self, nats: "Nats") -> None:
        self._nats = nats
        self._handlers: dict[str, Callable[[Stream, str, dict[str, Any]], Answer]] = {
            "STREAM.INFO": self._stream_info,
            "STREAM.DELETE": self._stream_delete,
            "STREAM.PURGE": self._stream_purge,
            "STREAM.MSG.GET": self._msg_get,
            "STREAM.MSG.DELETE": self._msg_delete,
            "CONSUMER.CREATE": self._consumer_create,
            "CONSUMER.INFO": self._consumer_info,
            "CONSUMER.RESET": self._consumer_reset,
            "CONSUMER.DELETE": self._consumer_delete,
        }

    @staticmethod
    def verb_of(question: str) -> str:
        """The verb of a subject below ``$JS.API.``; empty when nobody listens to it."""
        tokens = question.split(".")
        verb = ".".join(tokens[: 3 if tokens[1:2] == ["MSG"] else 2])
        return verb if verb in TYPES else ""

    def answer(self, question: str, payload: bytes) -> bytes | None:
        """Answer one question; None when nobody does."""
        verb = self.verb_of(question)
        stream_name, _, consumer = question[len(verb) + 1 :].partition(".")
        body = msgspec.json.decode(payload) if payload else {}
        if verb == "STREAM.CREATE":
            found = self._stream_create(stream_name, body)
        else:
            stream = self._nats.streams.get(stream_name)
            found = self._handlers[verb](stream, consumer, body) if stream else _error(404, 10059, "stream not found")
        if found is None:
            return None
        return msgspec.json.encode({"type": f"io.nats.jetstream.api.v1.{TYPES[verb]}_response", **found})

    def direct_get(self, question: str, body: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Payload and headers of each answer: a key's newest message, or that of many keys, as a living server has it.

        Nothing when nobody answers.
        """
        name, _, subject = question.partition(".")
        stream, alive = self._nats.streams.get(name), self._nats.alive()
        if stream is None or not alive:
            return
        view = stream.replicas[self._nats.random.choice(alive)].view
        if subject:
            message = view.last_match(subject)
            if message is None:
                yield b"", b"NATS/1.0 404 Message Not Found\r\n\r\n"
            else:
                yield message.payload, _told_of(name, message)
            return
        wanted = (view.last_match(each) for each in dict.fromkeys(msgspec.json.decode(body)["multi_last"]))
        found = sorted((message for message in wanted if message is not None), key=lambda message: message.seq)
        if not found:
            yield b"", b"NATS/1.0 404 No Results\r\n\r\n"
            return
        before = 0
        for place, message in enumerate(found, 1):
            more = f"Nats-Num-Pending: {len(found) - place}\r\nNats-Last-Sequence: {before}\r\n\r\n"
            yield message.payload, _told_of(name, message)[:-2] + more.encode()
            before = message.seq
        ended = f"Nats-Num-Pending: 0\r\nNats-Last-Sequence: {before}\r\nNats-UpTo-Sequence: {view.last_seq}\r\n"
        yield b"", b"NATS/1.0 204 EOB\r\n" + ended.encode() + b"\r\n"

    def _stream_create(self, name: str, config: dict[str, Any]) -> Answer:
        if not self._nats.has_majority:
            return None
        if name in self._nats.streams:
            return _error(400, 10058, "stream name already in use with a different configuration")
        return {**self._told(self._nats.add_stream(config), {}), "did_create": True}

    def _stream_info(self, stream: Stream, consumer: str, body: dict[str, Any]) -> Answer:
        del consumer
        if stream.leader is None and self._nats.random.random() < 0.5:
            return None  # in the middle of an election: nobody, or somebody who names no leader
        return self._told(stream, body)

    def _told(self, stream: Stream, body: dict[str, Any]) -> dict[str, Any]:
        view = stream.leading or stream.replicas[self._nats.random.choice(self._nats.alive())].view
        state = stream.state(view, deleted=bool(body.get("deleted_details")))
        total = 0
        if wanted := body.get("subjects_filter"):
            subjects = sorted(m.subject for m in view.matching((wanted,), 1))
            total = len(subjects)
            if page := subjects[body.get("offset", 0) :]:
                state["subjects"] = dict.fromkeys(page, 1)
        cluster = {"leader": stream.leader} if stream.leader is not None else {}
        if cluster and len(self._nats.servers) > 1:
            cluster["leader_since"] = rfc3339(stream.leader_since_ns)
        created = rfc3339(stream.created_ns)
        return {"total": total, "config": stream.config, "created": created, "state": state, "cluster": cluster}

    def _stream_delete(self, stream: Stream, consumer: str, body: dict[str, Any]) -> Answer:
        del consumer, body
        stream.end()
        del self._nats.streams[stream.name]
        return {"success": True}

    def _stream_purge(self, stream: Stream, consumer: str, body: dict[str, Any]) -> Answer:
        del consumer
        if not stream.is_ready:
            return None
        through = body["seq"] - 1 if "seq" in body else stream.truth.last_seq
        return {"success": True, "purged": stream.purge(through)}

    def _msg_delete(self, stream: Stream, consumer: str, body: dict[str, Any]) -> Answer:
        del consumer
        if not stream.is_ready:
            return None
        if body["seq"] > stream.truth.last_seq:
            return _error(500, 10057, "stream store EOF")
        if stream.remove(body["seq"]):
            return {"success": True}
        return _error(400, 10043, f"sequence {body['seq']} not found")

    def _msg_get(self, stream: Stream, consumer: str, body: dict[str, Any]) -> Answer:
        del consumer
        view = stream.leading
        if view is None:
            return None
        if "next_by_subj" in body:
            message = view.next_match(body.get("seq", 0), body["next_by_subj"])
        elif "last_by_subj" in body:
            message = view.last_match(body["last_by_subj"])
        else:
            message = view.messages.get(body["seq"])
        return {"message": _shown(message)} if message is not None else _error(404, 10037, "no message found")

    def _unled(self) -> Answer:
        """Without a leader of the cluster nobody answers; without a majority somebody may say so."""
        if self._nats.has_majority or self._nats.random.random() < 0.5:
            return None
        return _error(503, 10008, "JetStream system temporarily unavailable")

    def _consumer_create(self, stream: Stream, name: str, body: dict[str, Any]) -> Answer:
        config, filters = body["config"], tuple(body["config"].get("filter_subjects", ()))
        if not self._nats.has_meta_leader:
            return self._unled()
        if overlap(filters):
            return _error(400, 10138, "consumer subject filters cannot overlap")
        consumer = stream.consumers.get(name)
        if consumer is None:
            made = stream.add_consumer(name, config)
            return _consumer(stream, made) if made.is_here else None
        if body.get("action") == "create" and config != consumer.config:
            return _error(400, 10148, "consumer already exists")
        for field in FIXED:
            if config.get(field) != consumer.config.get(field):
                what = "start sequence" if field == "opt_start_seq" else field.replace("_", " ")
                return _error(500, 10012, f"{what} can not be updated")
        if not consumer.is_here:
            return None
        consumer.update(config)
        return _consumer(stream, consumer)

    def _consumer_info(self, stream: Stream, name: str, body: dict[str, Any]) -> Answer:
        del body
        consumer = stream.consumers.get(name)
        if consumer is None:
            return _error(404, 10014, "consumer not found") if self._nats.has_meta_leader else self._unled()
        return _consumer(stream, consumer) if consumer.is_here else None

    def _consumer_reset(self, stream: Stream, name: str, body: dict[str, Any]) -> Answer:
        consumer = stream.consumers.get(name)
        if consumer is None or not consumer.is_here:
            return None
        reset_seq = consumer.reset(body.get("seq", 0))
        return {**_consumer(stream, consumer), "reset_seq": reset_seq}

    def _consumer_delete(self, stream: Stream, name: str, body: dict[str, Any]) -> Answer:
        """One whose server is down is deleted as well, but nobody says so."""
        del body
        if not self._nats.has_meta_leader:
            return self._unled()
        consumer = stream.consumers.get(name)
        if not stream.drop_consumer(name):
            return _error(404, 10014, "consumer not found")
        return {"success": True} if consumer is not None and consumer.is_here else None


def rfc3339(time_ns: int) -> str:
    """A time as nats-server writes it: nanoseconds, without zeros at the end."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    whole = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def _told_of(stream: str, message: Message) -> bytes:
    """The headers of a message that is got directly."""
    lines = (
        f"Nats-Stream: {stream}\r\nNats-Subject: {message.subject}\r\nNats-Sequence: {message.seq}\r\n"
        f"Nats-Time-Stamp: {rfc3339(message.time_ns)}\r\n\r\n"
    )
    return (message.headers[:-2] or b"NATS/1.0\r\n") + lines.encode()


def _error(code: int, err_code: int, description: str) -> dict[str, Any]:
    return {"error": {"code": code, "err_code": err_code, "description": description}}


def _shown(message: Message) -> dict[str, Any]:
    shown = {"subject": message.subject, "seq": message.seq, "time": rfc3339(message.time_ns)}
    if message.headers:
        shown["hdrs"] = base64.b64encode(message.headers).decode()
    if message.payload:
        shown["data"] = base64.b64encode(message.payload).decode()
    return shown


def _consumer(stream: Stream, consumer: Consumer) -> dict[str, Any]:
    return {
        "stream_name": stream.name,
        "name": consumer.name,
        "created": rfc3339(consumer.created_ns),
        "config": consumer.config,
        "delivered": {"consumer_seq": consumer.delivered, "stream_seq": consumer.floor},
        "ack_floor": {"consumer_seq": consumer.delivered, "stream_seq": consumer.floor},
        "num_ack_pending": 0,
        "num_waiting": consumer.waiting,
        "num_pending": consumer.num_pending(),
        "cluster": {"leader": consumer.server},
    }

"""Random and mutated frames in bursts on raw TLS sockets, and what the gateway may say to them."""

from random import Random
from typing import Any

import msgspec

from gateway import frames
from gateway.close_codes import REASONS
from gateway.frames import JSON
from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS
from tests.system.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, frame

KINDS = frozenset(("welcome", "event", "live", "gap", "reply", "ping", "pong", "expiring", "error", "goodbye"))
ERRORS = frozenset(
    (
        "bad_frame",
        "unknown_type",
        "not_supported",
        "forbidden",
        "limit",
        "rate_limited",
        "invalid_subject",
        "unavailable",
    )
)
"""P2.43."""
NAMES = ("type", "seq", "id", "subjects", "subject", "from", "token", "session", "resume", "x", "X-later", "")
VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64 - 1, 1.5, "", "1", "x" * 300, "\0", "\U0001f600"),
    *([], {}, [[]], {"a": {"b": [1]}}, ["orders.hostile.>"], ["a..b"], ["orders.other.*"], ["*"], ["x." * 200]),
    *(
        "connect",
        "ack",
        "ping",
        "pong",
        "refresh",
        "subscribe",
        "unsubscribe",
        "request",
        "publish",
        "welcome",
        "event",
    ),
)
BEYOND = 2**30
"""A sequence that no session was told."""
BREACHES = {1002: "", 1007: ""}
"""RFC 6455's own codes, which the gateway sends for broken framing and text that is not UTF-8."""


class Hostile:
    """A stranger's mind: the same for the same seed."""

    def __init__(self, seed: str, encoding: str) -> None:
        self.random = Random(seed)
        self.encoding = encoding
        self.sent = 0
        """Frames, those of batches counted one by one."""
        target = TARGETS["frames-json" if encoding == JSON else "frames-msgpack"]
        self._seeds, self._words = target.seeds, target.words
        self._good = [seed for seed in target.seeds if self._harmless(seed)]
        self._values = [value for value in map(self._value, self._seeds) if isinstance(value, dict)]
        self._others = [TARGETS[name].seeds for name in ("token", "event", "client-json", "client-msgpack")]

    def harmless(self, count: int) -> bytes:
        """The bytes of so many messages that leave a welcomed session open, pings and pieces among them."""
        sent = b""
        for _ in range(count):
            message = self._any() if self.random.random() < 0.5 else self.random.choice(self._good)
            if not self._harmless(message):
                message = self.random.choice(self._good)
            self._count(message)
            sent += self._framed(message)
        return sent

    def fatal(self) -> tuple[bytes, int]:
        """The bytes of one message that must end a welcomed session, and the code with which."""
        while True:
            message, kind = self._any(), self._kind
            if self.random.random() < 0.05:
                kind = BINARY if kind == TEXT else TEXT
            code = self._code(message, kind)
            if code:
                self._count(message)
                return frame(message, kind), code

    def anything(self, count: int) -> bytes:
        """The bytes of so many messages of any sort."""
        sent = b""
        for _ in range(count):
            message = self._any()
            self._count(message)
            sent += frame(message, self.random.choice((self._kind, self._kind, self._kind, TEXT, BINARY)))
        return sent

    @property
    def _kind(self) -> int:
        return TEXT if self.encoding == JSON else BINARY

    def _any(self) -> bytes:
        random = self.random
        luck = random.random()
        if luck < 0.1:
            return random.randbytes(random.randint(0, 60))
        if luck < 0.15:
            return random.choice(random.choice(self._others))
        if luck < 0.65:
            return self._encode(self._built())
        return mutated(random.choice(self._seeds), random, self._seeds, self._words)

    def _value(self, message: bytes) -> Any:
        try:
            return msgspec.json.decode(message) if self.encoding == JSON else msgspec.msgpack.decode(message)
        except (ValueError, RecursionError):
            return None

    def _encode(self, value: object) -> bytes:
        try:
            return msgspec.json.encode(value) if self.encoding == JSON else msgspec.msgpack.encode(value)
        except (OverflowError, UnicodeEncodeError):  # an integer beyond 64 bits
            return b""

    def _built(self) -> object:
        """A frame with a member changed, added or gone, or a batch of such frames."""
        random = self.random
        if random.random() < 0.05:
            return [self._built() for _ in range(random.randint(0, 8))]
        value = dict(random.choice(self._values))
        for _ in range(random.choice((0, 1, 1, 2))):
            name = random.choice([*value, *NAMES])
            if random.random() < 0.3:
                value.pop(name, None)
            else:
                value[name] = random.choice(VALUES)
        return value

    def _decoded(self, message: bytes) -> list[frames.Frame] | frames.BadFrame:
        if self.encoding == JSON:
            try:
                message.decode()
            except UnicodeDecodeError:
                return frames.BadFrame("no text")
        return frames.decode(message, self.encoding)

    def _harmless(self, message: bytes) -> bool:
        decoded = self._decoded(message)
        return not isinstance(decoded, frames.BadFrame) and all(map(_is_harmless, decoded))

    def _code(self, message: bytes, kind: int) -> int:
        """The code that this message ends a welcomed session with; 0: none, or more than one is right."""
        if kind == TEXT:
            try:
                message.decode()
            except UnicodeDecodeError:
                return 1007
        if kind != self._kind:
            return 4400
        decoded = self._decoded(message)
        if isinstance(decoded, frames.BadFrame):
            return 4400
        first = next((each for each in decoded if not _is_harmless(each)), None)
        if first is None or (isinstance(first, frames.Ack) and first.seq < BEYOND):
            return 0
        return 4501 if isinstance(first, frames.Refresh) else 4400

    def _count(self, message: bytes) -> None:
        decoded = self._decoded(message)
        self.sent += 1 if isinstance(decoded, frames.BadFrame) else len(decoded)

    def _framed(self, message: bytes) -> bytes:
        luck = self.random.random()
        if luck < 0.9 or not message:
            return frame(message, self._kind)
        cut = self.random.randint(0, len(message))
        between = frame(b"p", PING) if luck > 0.95 else b""
        return frame(message[:cut], self._kind, fin=False) + between + frame(message[cut:], 0)


def _is_harmless(each: frames.Frame) -> bool:
    if isinstance(each, frames.Ack):
        return each.seq <= 0
    return not isinstance(each, frames.Connect | frames.Refresh)


def judged(answers: list[tuple[int, bytes]], encoding: str) -> int:
    """The code of the close behind the answers, 0 when there is none; fails for whatever is not in the protocol."""
    for place, (opcode, payload) in enumerate(answers):
        if opcode == CLOSE:
            assert place == len(answers) - 1, "nothing comes behind a close"
            code = int.from_bytes(payload[:2])
            assert code in REASONS or code in BREACHES, code
            assert payload[2:].decode() == (REASONS | BREACHES)[code]
            return code
        if opcode == PONG:
            assert payload == b"p"
            continue
        assert opcode == (TEXT if encoding == JSON else BINARY)
        decoded = msgspec.json.decode(payload) if encoding == JSON else msgspec.msgpack.decode(payload)
        for each in decoded if isinstance(decoded, list) else [decoded]:
            assert each["type"] in KINDS, each
            if each["type"] == "error":
                assert each["code"] in ERRORS
            if each["type"] == "reply" and "error" in each:
                assert each["error"]["code"] in ERRORS
            if each["type"] == "goodbye":
                assert each["reason"] == REASONS[each["code"]]
    return 0

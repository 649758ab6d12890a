"""The frames of the protocol as they should be, for tests/vectors/frames.json."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

Wire = dict[str, Any]
Vector = dict[str, Any]

IDENTITY = "EVENTS:1795420000000000000"
TIME = "2026-11-23T08:00:01.5Z"
SAFE = 2**53 - 1
CONNECT: Wire = {"type": "connect", "token": "a.b.c", "session": "pixel-7", "subscribe": ["orders.c42.>"]}
WELCOME: Wire = {
    "type": "welcome",
    "session": "pixel-7",
    "stream": IDENTITY,
    "outcome": "fresh",
    "from": 1042,
    "pending": 0,
    "expires": 1795423600,
    "ping": 25.0,
    "window": {"messages": 1000, "bytes": 1_048_576},
    "subjects": ["orders.c42.>"],
}
EVENT: Wire = {"type": "event", "seq": 1077, "subject": "orders.c42.o7", "time": TIME}
ORDER: Wire = {"order": "o7", "status": "shipped", "total": 12.5, "items": [{"sku": "x", "n": 3}], "note": None}
GAP: Wire = {"type": "gap", "after": 90, "before": 1042, "reason": "expired"}
ERROR: Wire = {"type": "error", "code": "bad_frame", "message": "not a frame", "retry": False}
GOODBYE: Wire = {"type": "goodbye", "code": 4001, "reason": "draining", "reconnect": True}
NO_REPLY_DATA: Wire = {"seq": None, "denied": None, "expires": None}
ABSENT: dict[str, Wire] = {
    "welcome": {"pending": None, "oldest": None, "expires": None, "denied": None},
    "event": {"data": None, "data_b64": None, "replay": False, "id": None, "headers": None},
    "gap": {"subjects": None},
    "reply": {"id": None, "data": None, "error": None},
    "error": {"message": "", "retry": False, "after": None},
    "goodbye": {"reason": "", "reconnect": True, "after": None},
}
"""What members mean that are not there."""


def text(value: object) -> str:
    """A value as JSON, with no space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def packed(value: object) -> str:
    """A value as MessagePack, in hex."""
    return msgspec.msgpack.encode(value).hex()


def from_client(name: str, clause: str, frame: Wire, *, sdk: bool = True, **also: list[str]) -> Vector:
    """A frame that a client sends."""
    return {"name": name, "clause": clause, "direction": "client", "sdk": sdk, "frame": frame} | encoded(frame, also)


def from_gateway(name: str, clause: str, frame: Wire, read: Wire | None = None, **also: list[str]) -> Vector:
    """A frame that the gateway sends. ``read``: what it means, where it is more than the members it may lack."""
    meaning = ABSENT.get(frame["type"], {}) | frame | (read or {})
    return {"name": name, "clause": clause, "direction": "gateway", "frame": frame, "read": meaning} | encoded(
        frame, also
    )


def encoded(message: object, also: dict[str, list[str]]) -> Vector:
    """A message in both encodings."""
    return {"json": text(message), "msgpack": packed(message)} | ({"also": also} if also else {})


def payload(name: str, raw: bytes, base64: str) -> Vector:
    """An event whose payload is not JSON."""
    made = from_gateway(f"event: {name}", "P2.35", EVENT | {"data_b64": base64})
    return made | {"bytes": raw.hex(), "msgpack": packed(EVENT | {"data": raw})}


def client_frames() -> Iterator[Vector]:
    """Section 2.1."""
    resume = {"resume": {"stream": IDENTITY, "seq": 1042}}
    window = {"window": {"messages": 1000, "bytes": 1_048_576}}
    yield from_client("connect: the least", "P2.10", {"type": "connect", "token": "a.b.c", "session": "s"}, sdk=False)
    yield from_client(
        "connect: of a new device",
        "P2.12",
        CONNECT,
        json=[' {"subscribe" : ["orders.c42.>"],\n"session":"pixel-7","token":"a.b.c", "type":"\\u0063onnect"}\t'],
        msgpack=[
            "de0004" + "d90474797065" + "da0007636f6e6e656374" + "db00000005746f6b656e" + "d905612e622e63"
            "a773657373696f6e" + "a7706978656c2d37" + "a9737562736372696265" + "dd00000001" + packed("orders.c42.>")
        ],
    )
    yield from_client("connect: coming back", "P2.13", CONNECT | resume | window)
    yield from_client("connect: from the beginning", "P2.13", CONNECT | {"resume": {"stream": IDENTITY, "seq": 0}})
    yield from_client("connect: a program's name", "P2.15", CONNECT | window | {"client": "météo/1.0"})
    yield from_client("connect: no patterns", "P2.12", CONNECT | {"subscribe": []}, sdk=False)
    yield from_client("connect: half a window", "P2.14", CONNECT | {"window": {"bytes": 65_536}}, sdk=False)
    yield from_client("connect: another replay", "P2.15", CONNECT | {"replay": "latest"}, sdk=False)
    yield from_client("connect: any client", "P2.15", CONNECT | {"client": {"os": ["x", 1, None, 1.5]}}, sdk=False)
    for seq in (0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, SAFE):
        wide = f"82a474797065a361636ba3736571cf{seq:016x}"
        yield from_client(f"ack: {seq}", "P2.16", {"type": "ack", "seq": seq}, msgpack=[wide])
    subjects = ["orders.c42.>", "chat.*.new"]
    yield from_client("subscribe", "P2.18", {"type": "subscribe", "id": "1", "subjects": subjects})
    for name, start in (("now", "now"), ("a position", {"seq": 7}), ("a time", {"time": TIME})):
        wire = {"type": "subscribe", "id": 7, "subjects": subjects, "from": start}
        yield from_client(f"subscribe: from {name}", "P2.18", wire, sdk=False)
    yield from_client("subscribe: an id below zero", "P2.9", {"type": "subscribe", "id": -1, "subjects": []}, sdk=False)
    yield from_client("unsubscribe", "P2.21", {"type": "unsubscribe", "id": "2", "subjects": subjects[:1]})
    request = {"type": "request", "id": "3", "subject": "quote", "data": {"n": 1}, "timeout": 5000}
    yield from_client("request", "P2.22", request, sdk=False)
    publish = {"type": "publish", "id": "4", "subject": "orders", "data": [1], "key": "k"}
    yield from_client("publish", "P2.22", publish, sdk=False)
    yield from_client("refresh", "P2.23", {"type": "refresh", "id": "5", "token": "d.e.f"})
    yield from_client("refresh: without an id", "P2.23", {"type": "refresh", "token": "d.e.f"}, sdk=False)
    yield from_client("pong", "P2.24", {"type": "pong"})
    yield from_client("ping", "P2.25", {"type": "ping"}, sdk=False)


def gateway_frames() -> Iterator[Vector]:
    """Section 2.2."""
    yield from_gateway("welcome: fresh", "P2.31", WELCOME)
    resumed = {"outcome": "resumed", "pending": 35, "ping": 7.5}
    yield from_gateway("welcome: resumed", "P2.31", WELCOME | resumed | {"oldest": TIME})
    refused = {"outcome": "gap", "pending": None, "denied": ["orders.c43.>", "ärger.>"]}
    yield from_gateway("welcome: gap, some refused", "P2.32", WELCOME | refused)
    yield from_gateway("welcome: another session's patterns", "P2.32", WELCOME | {"subjects": [], "from": SAFE})
    least = {name: WELCOME[name] for name in ("type", "session", "stream", "outcome", "from")}
    assumed = {"ping": 25.0, "window": WELCOME["window"], "subjects": []}
    yield from_gateway("welcome: the least", "P2.30", least, assumed)
    half = WELCOME | {"window": {"bytes": 9}}
    yield from_gateway("welcome: half a window", "P2.14", half, {"window": {"messages": 1000, "bytes": 9}})
    yield from events()
    yield from_gateway("live", "P2.36", {"type": "live", "seq": 1077}, json=['{"seq":1077,"type":"live"}'])
    yield from_gateway("live: in an empty stream", "P2.36", {"type": "live", "seq": 0})
    yield from_gateway("gap: expired", "P2.37", GAP)
    yield from_gateway("gap: deleted", "P2.37", GAP | {"reason": "deleted"})
    replaced = {"type": "gap", "after": 0, "before": 1, "reason": "stream_replaced"}
    yield from_gateway("gap: another stream", "P4.10", replaced)
    yield from_gateway("gap: a reason to come", "P2.37", GAP | {"reason": "later"})
    yield from_gateway("gap: of some patterns only", "P2.37", GAP | {"subjects": ["orders.c42.>"]})
    yield from replies()
    yield from_gateway(
        "ping", "P2.38", {"type": "ping"}, json=['{"type" : "ping" }\r\n'], msgpack=["81a474797065d90470696e67"]
    )
    yield from_gateway("pong", "P2.25", {"type": "pong"})
    yield from_gateway("expiring", "P2.39", {"type": "expiring", "in": 60})
    yield from_gateway("error", "P2.41", ERROR)
    yield from_gateway("error: with a wait", "P2.41", ERROR | {"code": "unavailable", "retry": True, "after": 2500})
    yield from_gateway("error: a code to come", "P2.43", ERROR | {"code": "later"})
    yield from_gateway("error: a code and no more", "P2.41", {"type": "error", "code": "limit"})
    yield from_gateway("goodbye: a code and no more", "P2.42", {"type": "goodbye", "code": 4001})
    yield from_gateway("goodbye", "P2.42", GOODBYE | {"after": 1250})
    yield from_gateway(
        "goodbye: for good", "P2.42", GOODBYE | {"code": 4509, "reason": "taken over", "reconnect": False}
    )


def events() -> Iterator[Vector]:
    """P2.33 to P2.35."""
    yield from_gateway("event: live", "P2.33", EVENT | {"data": ORDER})
    full = {"id": "01JD7Z3M-9f2c", "headers": {"X-Trace": "t-1", "x-ünï": "ç"}, "data": ORDER}
    yield from_gateway("event: replayed, with all", "P2.33", {"type": "event", "replay": True} | EVENT | full)
    yield from_gateway("event: no data", "P2.34", EVENT)
    yield from_gateway("event: the first", "P2.6", EVENT | {"seq": 1, "data": {}})
    yield from_gateway("event: the highest position", "P2.6", EVENT | {"seq": SAFE, "data": {}})
    yield from_gateway("event: a subject that was no text", "P2.33", EVENT | {"subject": "orders.\ufffd", "data": 1})
    values: tuple[object, ...] = (None, False, True, 0, -1, SAFE, -SAFE, 0.5, 1e300)
    for value in (*values, "", "日本 🚆 \u0000 \ufeff", [], {}, [[[]]]):
        yield from_gateway(f"event: data {text(value)}", "P2.34", EVENT | {"data": value})
    members = {"__proto__": {"polluted": True}, "constructor": 1, "type": "ack", "": "", "seq": "x"}
    yield from_gateway("event: data with members that mean something elsewhere", "P2.34", EVENT | {"data": members})
    yield payload("empty", b"", "")
    yield payload("one byte", b"\xff", "/w==")
    yield payload("two bytes", b"\xfb\xef", "++8=")
    yield payload("three bytes", b"\x00\x10\x83", "ABCD")
    yield payload("a picture", b"\x89PNG\r\n\x1a\n", "iVBORw0KGgo=")
    yield payload("text that is not JSON", b"{'a': NaN}", "eydhJzogTmFOfQ==")


def replies() -> Iterator[Vector]:
    """P2.40."""

    def reply(name: str, clause: str, frame: Wire, **also: list[str]) -> Vector:
        data, error = frame.get("data"), frame.get("error")
        read = {
            "data": None if data is None else NO_REPLY_DATA | {k: v for k, v in data.items() if k in NO_REPLY_DATA},
            "error": None if error is None else {"code": "unknown", "message": "", "retry": False} | error,
        }
        return from_gateway(f"reply: {name}", clause, frame, read, **also)

    a = {"type": "reply", "id": "1"}
    yield reply("done", "P2.40", a, json=['{"type":"reply","id":"1","data":null,"error":null}'])
    yield reply("subscribed", "P2.18", a | {"data": {"seq": 1042}})
    yield reply("subscribed, some refused", "P2.20", a | {"data": {"seq": 1042, "denied": ["orders.c43.>"]}})
    yield reply("unsubscribed", "P2.21", a | {"data": {"subjects": ["orders.c42.>"]}})
    yield reply("refreshed", "P2.23", a | {"data": {"expires": 1795427200, "denied": ["chat.*.new"]}})
    yield reply("refreshed, without an id", "P2.23", {"type": "reply", "data": {"expires": 1795427200}})
    yield reply("an id that is a number", "P2.9", a | {"id": 7, "data": {"seq": 0}})
    yield reply(
        "refused",
        "P2.20",
        a | {"error": {"code": "forbidden", "message": "not permitted"}},
        json=['{"type":"reply","id":"1","error":{"code":"forbidden","message":"not permitted","retry":false}}'],
    )
    yield reply("refused without a word", "P2.40", a | {"error": {}})
    yield reply("try again", "P2.43", a | {"error": {"code": "unavailable", "message": "later", "retry": True}})


def batch(name: str, direction: str, frames: list[Wire], **also: list[str]) -> Vector:
    """Frames in one message."""
    return {"name": name, "clause": "P1.4", "direction": direction, "frames": frames, **encoded(frames, also)}


def batches() -> Iterator[Vector]:
    """P1.4."""
    pong, ping, live = {"type": "pong"}, {"type": "ping"}, {"type": "live", "seq": 1079}
    yield batch("one frame", "client", [pong], json=[' [ {"type":"pong"} ] '], msgpack=["dc000181a474797065a4706f6e67"])
    yield batch("two", "client", [{"type": "ack", "seq": 7}, {"type": "unsubscribe", "id": "2", "subjects": ["a"]}])
    yield batch("sixteen", "client", [{"type": "ack", "seq": seq} for seq in range(16)])
    yield batch("one frame", "gateway", [ping], msgpack=["dd0000000181a474797065a470696e67"])
    sent = [EVENT | {"seq": seq, "data": {"n": seq}} for seq in range(1077, 1080)]
    yield batch("a replay and its end", "gateway", [*sent, live])
    yield batch("seventeen", "gateway", [EVENT | {"seq": seq, "data": seq} for seq in range(1, 18)])
    yield batch("a gap between", "gateway", [WELCOME | {"outcome": "gap"}, GAP, live])


def ignored() -> Iterator[Vector]:
    """P2.1 and P2.3: what is unknown is let pass."""

    def vector(name: str, direction: str, message: object, frames: list[Wire]) -> Vector:
        made = {"name": name, "clause": "P2.1", "direction": direction, "frames": frames}
        return made | {"json": text(message), "msgpack": packed(message)}

    later = {"later": {"a": [1, None]}, "x-trace": "1", "Seq": "x", "__proto__": {"seq": 1}, "constructor": None}
    pings = {"client": {"type": "pong"}, "gateway": {"type": "ping"}}
    for direction, ping in pings.items():
        for kind in ("sing", "", "Ack", "PING", "constructor", "__proto__", "toString", "hasOwnProperty", "event "):
            unknown = {"type": kind, "seq": "anything", "subjects": 5}
            yield vector(f"a frame of type {kind!r}", direction, unknown, [])
        yield vector("an unknown type in a batch", direction, [{"type": "sing"}, ping, {"type": "dance"}], [ping])
        yield vector("nothing but unknown types", direction, [{"type": "sing"}, {"type": "dance"}], [])
        yield vector("unknown members", direction, later | ping | {"seq": None}, [ping])
    ack, connect = {"type": "ack", "seq": 7}, CONNECT | {"resume": {"stream": IDENTITY, "seq": 1}}
    yield vector("unknown members of ack", "client", later | ack, [ack])
    yield vector("unknown members of connect", "client", connect | {"resume": later | connect["resume"]}, [connect])
    live, event = {"type": "live", "seq": 7}, EVENT | {"data": 1}
    yield vector("unknown members of live", "gateway", later | live, [live])
    yield vector("unknown members of an event", "gateway", later | event, [event])
    window = WELCOME | {"window": later | WELCOME["window"]}
    yield vector("unknown members of welcome and its window", "gateway", later | window, [WELCOME])

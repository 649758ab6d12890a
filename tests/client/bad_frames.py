"""Messages that must be refused, for tests/vectors/frames.json."""

import math
from collections.abc import Iterator

from tests.client.good_frames import (
    CONNECT,
    ERROR,
    EVENT,
    GAP,
    GOODBYE,
    IDENTITY,
    SAFE,
    TIME,
    WELCOME,
    Vector,
    Wire,
    packed,
    text,
)

NOT_BASE64 = ["A", "AA", "AAA", "A===", "====", "AA=A", "AAA=AAA=", "AA AA", "AAAA\n", "-_-_", "ÄÄÄÄ", "AA="]
"""Texts that are no value of ``data_b64``."""


def deep(levels: int) -> object:
    """Arrays in one another."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def bad_client_frames() -> Iterator[tuple[str, str, object]]:
    """(clause, why, message) of frames that a gateway must refuse."""
    yield from (
        ("P2.2", f"ack: seq is {text(seq)}", {"type": "ack", "seq": seq}) for seq in ("1", True, 1.5, None, [1])
    )
    yield "P2.2", "ack without seq", {"type": "ack"}
    yield "P2.2", "connect without session", {"type": "connect", "token": "t"}
    for name, value in (
        *(("token", None), ("token", 5), ("session", 5), ("subscribe", "a"), ("subscribe", [1]), ("replay", 1)),
        *(("resume", 7), ("resume", {"seq": 7}), ("resume", {"stream": IDENTITY})),
        *(("resume", {"stream": IDENTITY, "seq": "7"}), ("window", 5), ("window", {"messages": "many"})),
    ):
        yield "P2.2", f"connect: {name} is {text(value)}", CONNECT | {name: value}
    no_ids: tuple[object, ...] = (None, True, 1.5, [])
    no_subjects: tuple[object, ...] = ("a", [None], {})
    for kind in ("subscribe", "unsubscribe"):
        good: dict[str, object] = {"type": kind, "id": 1, "subjects": ["a"]}
        yield from (("P2.9", f"{kind}: id is {text(bad)}", good | {"id": bad}) for bad in no_ids)
        yield from (("P2.2", f"{kind}: subjects is {text(bad)}", good | {"subjects": bad}) for bad in no_subjects)
        yield "P2.2", f"{kind} without subjects", {"type": kind, "id": 1}
    yield "P2.2", "request without a subject", {"type": "request", "id": 1}
    yield "P2.2", "publish without an id", {"type": "publish", "subject": "s"}
    yield "P2.2", "refresh: token is null", {"type": "refresh", "token": None}
    yield "P2.2", "33 levels", {"type": "pong", "x": deep(32)}
    yield "P1.4", "257 frames", [{"type": "pong"}] * 257
    yield "P1.4", "one bad frame among good ones", [{"type": "pong"}, {"type": "ack"}, {"type": "pong"}]


def bad_gateway_frames() -> Iterator[tuple[str, str, object]]:
    """(clause, why, message) of frames that a client must refuse."""
    wrong: dict[str, tuple[Wire, dict[str, list[object]]]] = {
        "welcome": (
            WELCOME | {"oldest": TIME, "denied": []},
            {
                "session": [5, None],
                "stream": [None, 1, ["EVENTS:1"]],
                "outcome": ["maybe", "", None, 1],
                "from": ["5", True, 1.5, None, {}],
                "pending": ["3", False, 0.5],
                "oldest": [5],
                "expires": ["soon", True, []],
                "ping": [None, "25", True],
                "window": [None, [], 5, {"messages": "1"}, {"bytes": None}],
                "subjects": [None, "a", [1], {"a": 1}],
                "denied": ["a", [None]],
            },
        ),
        "event": (
            EVENT | {"data": 1, "replay": True, "id": "m", "headers": {}},
            {
                "seq": ["1", True, 1.5, None, [1], {}],
                "subject": [None, 5, ["a"]],
                "time": [None, 1795420801],
                "replay": [None, 1, "true"],
                "id": [5, ["m"]],
                "headers": ["a", [], 5],
                "data_b64": [5, [], True],
            },
        ),
        "live": ({"type": "live", "seq": 1}, {"seq": ["1", True, 1.5, None]}),
        "gap": (
            GAP,
            {"after": ["1", None], "before": [False, 0.5], "reason": [None, 5], "subjects": ["a", [1], {}]},
        ),
        "reply": (
            {"type": "reply", "id": "1", "data": {}},
            {
                "id": [True, 1.5, ["1"], {}],
                "data": ["x", [], 5, {"seq": "1"}, {"denied": "a"}, {"expires": "soon"}],
                "error": ["x", [], {"code": 5}, {"code": None}, {"message": None}, {"retry": "yes"}, {"retry": None}],
            },
        ),
        "expiring": ({"type": "expiring", "in": 60}, {"in": ["60", None, True]}),
        "error": (ERROR, {"code": [None, 5], "message": [None, 5], "retry": [None, 1], "after": ["5", True]}),
        "goodbye": (
            GOODBYE,
            {"code": [None, "4001", 0.5], "reason": [None, 5], "reconnect": [None, 1], "after": ["5"]},
        ),
    }
    for kind, (good, members) in wrong.items():
        for name, values in members.items():
            for value in values:
                yield "P2.1", f"{kind}: {name} is {text(value)}", good | {name: value}
    for kind, names in (
        *(("welcome", ("session", "stream", "outcome", "from")), ("event", ("seq", "subject", "time"))),
        *(("live", ("seq",)), ("gap", ("after", "before", "reason")), ("expiring", ("in",))),
        *(("error", ("code",)), ("goodbye", ("code",))),
    ):
        for gone in names:
            yield "P2.1", f"{kind} without {gone}", {n: value for n, value in wrong[kind][0].items() if n != gone}
    yield "P1.4", "one bad frame among good ones", [{"type": "ping"}, {"type": "live"}, {"type": "ping"}]


def bad_messages(direction: str) -> Iterator[Vector]:
    """What is no frame in either direction: (clause, why, and what to send)."""
    ping = {"client": {"type": "pong"}, "gateway": {"type": "ping"}}[direction]
    one, json_one = packed(ping), text(ping)
    no_maps: tuple[object, ...] = (
        *({}, {"Type": "ping"}, {"type": 5}, {"type": None}, {"type": ["ping"]}, {"type": {}}),
        *("ping", 5, None),
    )
    no_batches: tuple[object, ...] = (
        *([], [[]], [[ping]], [ping, []], [5], [None], ["ping"], [{}], [ping, {"type": 5}]),
    )
    yield from (both("P2.1", f"no map with a type: {text(value)}", value) for value in no_maps)
    yield from (both("P1.4", f"no batch: {text(value)}", value) for value in no_batches)
    for why, message in (
        *(("nothing", ""), ("space", " "), ("no JSON", "nonsense"), ("cut off", json_one[:-1])),
        *(("two frames", json_one + json_one), ("more after the end", json_one + "}"), ("a comma", f"[{json_one},]")),
        *(("a byte order mark", "\ufeff" + json_one), ("single quotes", json_one.replace('"', "'"))),
        *(("NaN", json_one[:-1] + ',"x":NaN}'), ("a comment", json_one + "//"), ("deep", "[" * 1000)),
    ):
        yield {"clause": "P1.3", "why": f"JSON: {why}", "json": message}
    for why, message in (
        *(("nothing", ""), ("cut off", one[:-2]), ("more after the end", one + "c0"), ("two frames", one + one)),
        *(
            ("a length that lies", "dd7fffffff" + one),
            ("a map that lies", "dfffffffff"),
            ("a text that lies", "dbffffffff"),
        ),
        *(("the byte that is never used", "81a474797065c1"), ("a key that is a number", "82" + one[2:] + "01c0")),
        *(("a text that is not UTF-8", "81a474797065a2c328"),),
        *(("overlong UTF-8", "81a474797065a2c0af"), ("a surrogate", "81a474797065a3eda080")),
        *(
            ("a type that is binary", "81a474797065c40470696e67"),
            ("a frame that is binary", "c40161"),
            ("an extension", "d40100"),
            ("deep", "91" * 1000),
        ),
    ):
        yield {"clause": "P1.3", "why": f"MessagePack: {why}", "msgpack": message}


def both(clause: str, why: str, message: object) -> Vector:
    """A bad message in both encodings."""
    return {"clause": clause, "why": why, "json": text(message), "msgpack": packed(message)}


def bad() -> Iterator[Vector]:
    """All messages that must be refused."""
    for direction, frames in (("client", bad_client_frames), ("gateway", bad_gateway_frames)):
        yield from ({"direction": direction} | both(*found) for found in frames())
        yield from ({"direction": direction} | found for found in bad_messages(direction))
    twice = ('"token":"a","token":"b"', '"token":"a","t\\u006fken":"b"', '"token":"a","client":{"k":1,"k":1}')
    for kind in ("connect", "refresh"):
        for members in twice:
            message = f'{{"type":"{kind}","session":"s",{members}}}'
            yield {"direction": "client", "clause": "P2.5", "why": f"{kind}: a key twice: {members}", "json": message}
        body = packed("type") + packed(kind) + packed("session") + packed("s") + packed("token") + packed("a")
        message = "84" + body + "d905746f6b656e" + "a162"
        yield {
            "direction": "client",
            "clause": "P2.5",
            "why": f"{kind}: token twice, spelled differently",
            "msgpack": message,
        }
    for name in ("window", "subjects", "session"):
        made = {"clause": "P2.1", "why": f"welcome: {name} is binary", "msgpack": packed(WELCOME | {name: b"a"})}
        yield {"direction": "gateway"} | made
    yield from ({"direction": "gateway", "by": ["javascript"]} | found for found in bad_for_javascript())


def bad_for_javascript() -> Iterator[Vector]:
    """What JavaScript must refuse, and other languages may read."""
    for seq in (SAFE + 1, 2**63, -1):  # rounded to what a number holds, it would be another position
        for wire in (EVENT | {"seq": seq, "data": 1}, {"type": "live", "seq": seq}, WELCOME | {"from": seq}):
            yield both("P2.6", f"{wire['type']}: a position of {seq}", wire)
    for name in ("ping", "expires"):
        yield {"clause": "P2.30", "why": f"{name} is endless", "msgpack": packed(WELCOME | {name: math.inf})}
        yield {"clause": "P2.30", "why": f"{name} is NaN", "msgpack": packed(WELCOME | {name: math.nan})}
    event = "85" + packed(EVENT)[2:] + packed("data")
    for why, data in (
        ("a key that is a number", "8101c0"),
        ("an extension", "d40100"),
        ("a text that is not UTF-8", "a1ff"),
    ):
        yield {"clause": "P1.3", "why": f"data holds {why}", "msgpack": event + data}
    yield {"clause": "P1.3", "why": "a key that is not UTF-8", "msgpack": "82a474797065a470696e67a1ffc0"}

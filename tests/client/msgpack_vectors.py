"""Writes tests/vectors/msgpack.json: values and their MessagePack, for codecs that are not msgspec's.

Run ``python -m tests.client.msgpack_vectors`` to write it again. The bytes are msgspec's, which writes every value in
its smallest form; other spellings and wrong bytes are made by hand from the specification.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

PATH = Path(__file__).parent.parent / "vectors" / "msgpack.json"
ABOUT = {
    "about": "MessagePack: values and their bytes.",
    "value": "a JSON value; or {bytes: hex}, {integer: decimal digits} beyond 2^53, {float: text}; {times: n, of: "
    "value} means a text, bytes or an array of that many",
    "msgpack": "hex in parts, with spaces between them; HEX*N stands for N times HEX",
    "values": "written so and read so",
    "read": "other spellings: read so, written otherwise, or not at all by JavaScript",
    "bad": "what a reader of the protocol must refuse (keys are texts, no extensions, 128 levels); msgspec tells what "
    "else it lets pass: lenient",
}
SAFE = 2**53 - 1

Vector = dict[str, Any]


def plain(value: Any) -> Any:
    """A value as the file has it."""
    match value:
        case bytes():
            return {"bytes": value.hex()}
        case int() if abs(value) > SAFE:
            return {"integer": str(value)}
        case float() if not math.isfinite(value):
            return {"float": str(value)}
        case _:
            return value


def vector(value: object) -> Vector:
    """A value as msgspec writes it."""
    return {"value": plain(value), "msgpack": msgspec.msgpack.encode(value).hex()}


def repeated(times: int, of: str | bytes | None) -> Vector:
    """A long text, long bytes, or a long array of null, without its length in the file."""
    value = [of] * times if of is None else of * times
    unit = "c0" if of is None else (of if isinstance(of, bytes) else of.encode()).hex()
    start = msgspec.msgpack.encode(value).hex().removesuffix(unit * times)
    return {"value": {"times": times, "of": plain(of)}, "msgpack": f"{start} {unit}*{times}"}


def values() -> Iterator[Vector]:
    """What both sides write alike, around each edge of the format."""
    yield from map(vector, (None, False, True))
    edges = [0, 2**7, 2**8, 2**16, 2**32, SAFE]
    yield from (vector(edge + step) for edge in edges for step in (-1, 0, 1) if 0 <= edge + step <= SAFE)
    below = [-1, -(2**5), -(2**7), -(2**15), -(2**31), -SAFE]
    yield from (vector(edge + step) for edge in below for step in (1, 0, -1) if -SAFE <= edge + step < 0)
    floats = (0.5, -0.1, 1.5, 3.141592653589793, 1e300, -1e-300, 5e-324, 1.7976931348623157e308)
    yield from map(vector, (*floats, math.inf, -math.inf, math.nan))
    texts = ("", "a", "é", "日本", "🚆", "\u0000", "\ufeffmark", "\uffff", "\U0010ffff", "a" * 23 + "é" + "b" * 40)
    yield from map(vector, texts)
    yield from (repeated(times, "a") for times in (23, 24, 25, 31, 32, 255, 256, 65_535, 65_536))
    yield from (repeated(times, "é") for times in (12, 15, 16, 127, 128, 32_767, 32_768))
    yield from (vector(raw) for raw in (b"", b"\x00", b"\xff\x00", bytes(range(256))))
    yield from (repeated(times, b"\xa5") for times in (255, 256, 65_535, 65_536))
    yield from (repeated(times, None) for times in (0, 1, 15, 16, 65_535, 65_536))
    yield from map(vector, ({}, {"a": 1}, {"": None}, {"a": {"b": [1, {"c": []}]}}))
    yield from (vector({f"k{number}": number for number in range(size)}) for size in (15, 16, 17))
    yield vector({"__proto__": {"polluted": True}, "constructor": 1, "toString": None, "length": 3})
    yield vector([[], [[]], [1, "a", None, True, {"a": [0.5]}]])


def others() -> Iterator[Vector]:
    """What is read, and written in another way, or not by JavaScript."""
    yield from (vector(value) for edge in (2**53, 2**63, 2**64) for value in (edge - 1, edge) if SAFE < value < 2**64)
    yield from (vector(-value) for value in (2**53, 2**63 - 1, 2**63))
    yield vector({"2": "b", "1": "a", "b": 0, "a": 0})  # a JavaScript object has names that are numbers first
    for value, spellings in (
        (1, "cc01 cd0001 ce00000001 cf0000000000000001 d001 d10001 d200000001 d30000000000000001"),
        (-1, "d0ff d1ffff d2ffffffff d3ffffffffffffffff"),
        ("a", "d90161 da000161 db0000000161"),
        (b"a", "c5000161 c60000000161"),
        ([None], "dc0001c0 dd00000001c0"),
        ({"a": 1}, "de0001a16101 df00000001a16101 81d9016101 81da00016101 81db000000016101"),
        (1.5, "ca3fc00000"),
        (-math.inf, "caff800000"),
        (2**53, "cf0020000000000000"),
        (2.0**53, "cb4340000000000000 ca5a000000"),
        (1.0, "ca3f800000 cb3ff0000000000000"),
        ({"a": 2}, "82a16101a16102 82a16101d9016102"),
        ({"__proto__": 2}, "82a95f5f70726f746f5f5f01a95f5f70726f746f5f5f02"),
    ):
        yield from ({"value": plain(value), "msgpack": hexed} for hexed in spellings.split())


def bad() -> Iterator[Vector]:
    """What must be refused."""
    strict: dict[str, str] = {
        "nothing": "",
        "the byte that is never used": "c1",
        "never used, in an array": "91c1",
        "more after the end": "c0c0",
        "a text cut off": "a36161",
        "a length cut off": "da00",
        "a text that lies": "dbffffffff61",
        "bytes that lie": "c6ffffffff61",
        "an array that lies": "ddffffffffc0",
        "a map that lies": "dfffffffffa161c0",
        "arrays that all lie": "ddffffffff*64",
        "a map without its last value": "81a161",
        "an integer cut off": "cf00000000000000",
        "a float cut off": "cb000000",
        "a float of 32 bits cut off": "ca0000",
        "a text that is not UTF-8": "a1ff",
        "a text that ends early": "a2e697",
        "overlong UTF-8": "a2c0af",
        "half a surrogate pair": "a3eda080",
        "beyond Unicode": "a4f4908080",
        "a long text that is not UTF-8": "d920 61*31 ff",
        "a text that begins in the middle": "a180",
        "an extension cut off": "d400",
        "more after an extension": "d4 00*16",
    }
    yield from ({"why": why, "msgpack": hexed} for why, hexed in strict.items())
    lenient = {
        "129 arrays": "91*128 90",
        "129 maps": "81a161*128 80",
        "a key that is a number": "8101c0",
        "a key that is null": "81c0c0",
        "a key that is binary": "81c40161c0",
        "an extension": "d40100",
        "a long extension": "c7030100 0000",
        "an extension of 16 bytes": "d801 00*16",
        "a time": "d6ff00000000",
    }
    yield from ({"why": why, "msgpack": hexed, "lenient": True} for why, hexed in lenient.items())


def unfolded(parts: str) -> bytes:
    """The bytes that a ``msgpack`` member stands for."""
    found = (part.partition("*") for part in parts.split())
    return b"".join(bytes.fromhex(hexed) * int(times or 1) for hexed, _, times in found)


def value_of(value: Any) -> Any:
    """The value that a ``value`` member stands for."""
    match value:
        case {"bytes": hexed, **rest} if not rest:
            return bytes.fromhex(hexed)
        case {"integer": digits, **rest} if not rest:
            return int(digits)
        case {"float": words, **rest} if not rest:
            return float(words)
        case {"times": times, "of": None}:
            return [None] * times
        case {"times": times, "of": of}:
            return value_of(of) * times
        case _:
            return value


def document() -> str:
    """The whole file, one vector a line: a diff shows which."""
    parts = {"values": values(), "read": others(), "bad": bad()}
    lists = (f' "{name}": [\n' + ",\n".join(map(_line, vectors)) + "\n ]" for name, vectors in parts.items())
    return f'{{\n "about": {_line(ABOUT)},\n' + ",\n".join(lists) + "\n}\n"


def _line(made: object) -> str:
    return json.dumps(made, separators=(",", ":"))


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")

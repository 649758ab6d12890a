"""Writes tests/vectors/frames.json: the protocol's frames on the wire, for everything that reads or writes them.

Run ``python -m tests.client.frame_vectors`` to write it again. A frame's encodings are those of msgspec, which writes
every value in its smallest form; the other spellings are made by hand.
"""

from pathlib import Path
from typing import Any

from tests.client.bad_frames import NOT_BASE64, bad
from tests.client.good_frames import batches, client_frames, gateway_frames, ignored, text

PATH = Path(__file__).parent.parent / "vectors" / "frames.json"
ABOUT = {
    "about": "Frames of the session protocol (protocol, clauses 1 and 2) in both encodings. Clients write what "
    "has direction client and read what has direction gateway; a gateway does the opposite.",
    "frames": {
        "name": "what it is",
        "clause": "where the protocol's page has it",
        "direction": "who sends it: client or gateway",
        "sdk": "direction client: whether every SDK sends it",
        "frame": "the frame as a JSON value",
        "read": "direction gateway: what an SDK makes of it: absent members filled in, unknown ones left out",
        "bytes": "events: the value in hex, where it is not JSON: data_b64 in JSON, bin in MessagePack",
        "json": "its text, as a sender writes it",
        "msgpack": "its bytes in hex, as a sender writes it",
        "also": "other spellings of the same frame, which must be read as well: json or msgpack",
    },
    "batches": "frames: the frames in order, of which each is to be read as if it came alone",
    "ignored": "messages with unknown things (P2.1, P2.3); frames: what is left of them. A gateway answers a "
    "frame of unknown type with unknown_type; the message is not bad",
    "bad": "messages that must be refused, with why; for by the named readers only, when by is there",
    "not_base64": "texts that are no value of data_b64",
}


def document() -> str:
    """The whole file, one vector a line: a diff shows which."""
    parts: dict[str, list[Any]] = {
        "frames": [*client_frames(), *gateway_frames()],
        "batches": [*batches()],
        "ignored": [*ignored()],
        "bad": [*bad()],
        "not_base64": NOT_BASE64,
    }
    lists = (f' "{name}": [\n' + ",\n".join(map(text, vectors)) + "\n ]" for name, vectors in parts.items())
    return f'{{\n "about": {text(ABOUT)},\n' + ",\n".join(lists) + "\n}\n"


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")

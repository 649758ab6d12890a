"""Shell: sends what tests/vectors/frames.json holds for gateways, and sees whether it was read."""

from typing import Any

from tests.conformance.connection import Closed, Connection
from tests.conformance.encoding import JSON, Deviation
from tests.conformance.matching import World, resolve
from tests.conformance.play import Stage

Vector = dict[str, Any]
PARTS = {
    "frames": "every frame that a client may send is read",
    "batches": "a batch is its frames in order",
    "ignored": "unknown types and members are no error",
    "bad": "what is no frame closes with 4400",
}


def selected(document: dict[str, Any], part: str, encoding: str) -> list[tuple[Vector, str | bytes]]:
    """The vectors of a part that are for gateways, each with its message in every spelling that it has."""
    found: list[tuple[Vector, str | bytes]] = []
    for vector in document[part]:
        if vector["direction"] != "client" or "gateway" not in vector.get("by", ["gateway"]):
            continue
        texts = [vector[encoding]] if encoding in vector else []
        texts += vector.get("also", {}).get(encoding, [])
        found += [(vector, text if encoding == JSON else bytes.fromhex(text)) for text in texts]
    return found


def clauses(document: dict[str, Any], part: str) -> list[str]:
    """The clauses that the vectors of a part are about."""
    found = {vector["clause"] for vector in document[part] if vector["direction"] == "client"}
    return sorted(found, key=lambda clause: [int(number) for number in clause[1:].split(".")])


async def play_part(stage: Stage, document: dict[str, Any], part: str, encoding: str) -> None:
    """Send each vector of a part on a connection of its own; raises ``Deviation`` at the first that goes wrong."""
    for vector, message in selected(document, part, encoding):
        name = vector.get("name") or vector["why"]
        try:
            await _send(stage, stage.world(encoding), part, vector, message)
        except Deviation as deviation:
            raise Deviation(f"{name}: {deviation}") from None
        except Closed as end:
            raise Deviation(f"{name}: the gateway {end}") from None


async def _send(stage: Stage, world: World, part: str, vector: Vector, message: str | bytes) -> None:
    frames = vector.get("frames") or ([vector["frame"]] if "frame" in vector else [])
    is_first = vector.get("why", "").startswith("connect") or any(frame["type"] == "connect" for frame in frames)
    connection = Connection("a", stage.target, world)
    await stage.pace()
    try:
        if await connection.open() != 101:
            raise Deviation("the upgrade was refused")
        if not is_first:
            await connection.send(resolve({"$like": "connect"}, world))
            for kind in ("welcome", "live"):
                if (frame := await connection.frame())["type"] != kind:
                    raise Deviation(f"{frame['type']} came, not {kind}")
        await connection.send_raw(message)
        if part == "bad":
            await _closes(connection, 4400)
        elif is_first:
            # the token of the vectors is nobody's; what this gateway does not support may be told before
            await _closes(connection, 4501, *([4400] if frames[0].get("replay", "all") != "all" else []))
        else:
            await _answers(connection, world, frames)
    finally:
        await connection.leave()


async def _answers(connection: Connection, world: World, frames: list[Vector]) -> None:
    """Each frame has its answer, in order; what has none is followed by the ``pong`` of a ``ping``."""
    for sent in frames:
        match sent["type"]:
            case "ack" if sent["seq"] > world.last["a.live.seq"]:
                return await _closes(connection, 4400)  # P2.17
            case "refresh":
                return await _closes(connection, 4501)  # P2.23: nobody's token
            case "subscribe" | "unsubscribe" | "request" | "publish" as kind:
                answer = await _answer(connection)
                if (answer["type"], answer.get("id")) != ("reply", sent["id"]):
                    raise Deviation(f"{kind} {sent['id']!r} was answered by {answer}")
            case "ping":
                if (answer := await _answer(connection))["type"] != "pong":
                    raise Deviation(f"ping was answered by {answer}")
            case _:
                pass
    await connection.send({"type": "ping"})
    if (answer := await _answer(connection))["type"] != "pong":
        raise Deviation(f"{answer} came, where nothing was due")
    return None


async def _answer(connection: Connection) -> Vector:
    """The next frame that is no ``error`` about an unknown type; an event cannot come, nothing is published."""
    while True:
        frame = await connection.frame()
        if (frame["type"], frame.get("code")) != ("error", "unknown_type"):
            return frame


async def _closes(connection: Connection, *codes: int) -> None:
    code, frames = await connection.closed()
    if code not in codes:
        raise Deviation(f"closed with {code}, not {codes}; before it {[frame['type'] for frame in frames]}")

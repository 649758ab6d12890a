"""The scripts that every SDK's core must follow (tests/vectors/client_core.json)."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tidewire_client import effects as does
from tidewire_client.core import Core, Settings
from tidewire_client.frames import Codec, WindowSize
from tidewire_client.position import Position

from tests.client.fixed_random import FixedRandom

VECTORS = Path(__file__).parents[1] / "vectors" / "client_core.json"
SCRIPTS: list[dict[str, Any]] = msgspec.json.decode(VECTORS.read_bytes())["scripts"]


def core_for(script: dict[str, Any]) -> Core:
    """A new core with the settings of a script."""
    settings = msgspec.convert({"session": "pixel-7"} | script.get("settings", {}), Settings)
    return Core(settings, FixedRandom(0.5))


def name_of(script: dict[str, Any]) -> str:
    """The word before the colon."""
    name: str = script["name"].partition(":")[0]
    return name


def perform(core: Core, step: dict[str, Any]) -> list[does.Effect]:
    """Give one input to the core."""
    now, args = float(step["at"]), dict(step["args"])
    match step["call"]:
        case "received":
            frames = Codec("json").decode(msgspec.json.encode(args["frames"]))
            return core.received(args["connection"], frames, now, 1_000_000 + now)
        case "loaded":
            position = args["position"] and msgspec.convert(args["position"], Position)
            return core.loaded(args["connection"], position, now)
        case "subscribe":
            return core.subscribe(args["inbox"], tuple(args["patterns"]), now)
        case "flush" | "close" as call:
            return core.flush() if call == "flush" else core.close()
        case call:
            found: list[does.Effect] = getattr(core, call)(**args, now=now)
            return found


def plain(effect: does.Effect) -> dict[str, Any]:
    """An effect as the scripts write it."""
    kind = type(effect).__name__
    match effect:
        case does.FetchToken(number=value) | does.Open(connection=value) | does.Drop(code=value):
            return {kind: value}
        case does.TellLive(seq=value):
            return {kind: value}
        case does.Load(user=text) | does.TellState(state=text) | does.Stop(kind=text):
            return {kind: text}
        case does.Send(frame=frame):
            found = msgspec.json.decode(msgspec.json.encode(frame))
            if found.get("window") == msgspec.to_builtins(WindowSize()):
                found["window"] = {}
            return {kind: found}
        case does.Deliver(inboxes=inboxes, event=event):
            return {kind: {"seq": event.seq, "inboxes": list(inboxes)}}
        case does.Store(position=position):
            return {kind: msgspec.to_builtins(position)}
        case does.TellGap(number=number, gap=gap):
            return {kind: {"number": number, "after": gap.after, "before": gap.before, "reason": gap.reason}}
        case _:
            return {kind: None}


def test_each_script_has_a_name_of_its_own() -> None:
    names = [name_of(script) for script in SCRIPTS]
    assert len(names) > 40
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_the_core_follows_the_script(script: dict[str, Any]) -> None:
    core = core_for(script)
    for number, step in enumerate(script["steps"]):
        given = [plain(effect) for effect in perform(core, step)]
        assert given == step["out"], f"{script['name']}, step {number}: {step['call']} at {step['at']}"

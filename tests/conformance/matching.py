"""Pure: what a scenario's placeholders stand for, and whether a frame is the one that it expects.

In what is sent: ``<token>``, ``<other-token>``, ``<session>`` and ``<subject>`` in any text, and maps with one of

    $like     the named templates, later ones win; $without: names to leave out; the other members are put on top
    $pairs    a map as a list of [name, value], of which two may have one name
    $text     a text of so many letters; $deep: so many arrays, one in another; $times: [value, how often]
    $numbered [text with %d, how many]: that many texts
    $seq      the sequence of the event published under this name; $last: CONNECTION.TYPE.MEMBER of the newest such
              frame; both with $plus, the latter with $by
    $case     the value of the case that is tried; $case: NAME a member of it

In what is expected these too, and maps with one of

    $is       a kind: ``KINDS``; $one_of: any of these values; $list_of: an array of such
    $least    a number that is no lower; $most: one that is no higher; with both, in between
    $optional the member may be absent
    $more     true: members of the page that are not named may be there

Members that the page does not know may always be there (P2.1), except in an event's ``data``.
"""

import re
from typing import Any

import msgspec

from tests.conformance.encoding import Pairs, payload_member


class World(msgspec.Struct, kw_only=True):
    """What the placeholders of one run of a scenario stand for."""

    encoding: str
    texts: dict[str, str]
    templates: dict[str, Any]
    known: frozenset[str]
    """Names of members that the page has; where one of them is not expected, it must not be."""
    case: Any = None
    published: dict[str, int] = {}
    last: dict[str, Any] = {}

    def remember(self, connection: str, frame: dict[str, Any]) -> None:
        """Keep a frame's members for ``$last``."""
        self.last.update({f"{connection}.{frame['type']}.{name}": value for name, value in frame.items()})


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


KINDS: dict[str, Any] = {
    "text": lambda value: isinstance(value, str),
    "integer": _is_integer,
    "sequence": lambda value: _is_integer(value) and 1 <= value < 2**63,
    "position": lambda value: _is_integer(value) and 0 <= value < 2**63,
    "seconds": lambda value: (_is_integer(value) or isinstance(value, float)) and value > 0,
    "boolean": lambda value: isinstance(value, bool),
    "true": lambda value: value is True,
    "time": lambda value: (
        isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", value) is not None
    ),
    "id": lambda value: isinstance(value, str) or _is_integer(value),
    "anything": lambda value: True,
}


def resolve(value: Any, world: World) -> Any:
    """Replace the placeholders of what is to be sent; matchers are left as they are."""
    match value:
        case str():
            for name, text in world.texts.items():
                value = value.replace(f"<{name}>", text)
            return value
        case list():
            return [resolve(each, world) for each in value]
        case dict():
            return _resolve_map(value, world)
        case _:
            return value


def _resolve_map(value: dict[str, Any], world: World) -> Any:  # noqa: C901 - one case per placeholder
    match value:
        case {"$like": names, **rest}:
            without = rest.pop("$without", ())
            merged: dict[str, Any] = {}
            for name in [names] if isinstance(names, str) else names:
                merged |= resolve(world.case if name == "$case" else world.templates[name], world)
            return {name: each for name, each in (merged | resolve(rest, world)).items() if name not in without}
        case {"$pairs": members}:
            return Pairs(tuple((name, resolve(each, world)) for name, each in members))
        case {"$text": size}:
            return "x" * size
        case {"$deep": levels}:
            nested: Any = 1
            for _ in range(levels):
                nested = [nested]
            return nested
        case {"$times": [what, count]}:
            return [resolve(what, world)] * count
        case {"$numbered": [text, count]}:
            return [resolve(text, world) % number for number in range(count)]
        case {"$seq": name, **rest}:
            return world.published[name] + rest.get("$plus", 0)
        case {"$last": name, **rest}:
            found = world.last[name]
            return found * rest.get("$by", 1) + rest.get("$plus", 0) if rest else found
        case {"$case": name}:
            return resolve(world.case if name is True else world.case[name], world)
        case _:
            return {name: resolve(each, world) for name, each in value.items()}


def mismatch(expected: Any, found: Any, world: World, where: str = "frame") -> str | None:
    """Say how a value differs from what was expected; None when it does not. ``expected`` is resolved."""
    if isinstance(expected, dict):
        for name in ("$is", "$one_of", "$list_of", "$least", "$most"):
            if name in expected:
                return _unlike(expected, found, world, where)
        return _map_mismatch(expected, found, world, where)
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        differences = (
            mismatch(*both, world, f"{where}[{n}]") for n, both in enumerate(zip(expected, found, strict=True))
        )
        return next((each for each in differences if each), None)
    return None if _same(expected, found) else f"{where} is {_short(found)}, not {_short(expected)}"


def _unlike(matcher: dict[str, Any], found: Any, world: World, where: str) -> str | None:
    if "$is" in matcher:
        kind = matcher["$is"]
        return None if KINDS[kind](found) else f"{where} is {_short(found)}, which is no {kind}"
    if "$one_of" in matcher:
        values = matcher["$one_of"]
        fits = any(mismatch(each, found, world) is None for each in values)
        return None if fits else f"{where} is {_short(found)}, none of {_short(values)}"
    if "$list_of" in matcher:
        if not isinstance(found, list):
            return f"{where} is {_short(found)}, which is no array"
        each = matcher["$list_of"]
        return next(filter(None, (mismatch(each, one, world, f"{where}[]") for one in found)), None)
    least, most = matcher.get("$least"), matcher.get("$most")
    if not _is_integer(found):
        return f"{where} is {_short(found)}, which is no integer"
    if (least is not None and found < least) or (most is not None and found > most):
        return f"{where} is {found}, not from {least} to {most}"
    return None


def _map_mismatch(expected: dict[str, Any], found: Any, world: World, where: str) -> str | None:
    if not isinstance(found, dict):
        return f"{where} is {_short(found)}, which is no map"
    wanted = {name: each for name, each in expected.items() if name != "$more"}
    if "bytes" in wanted and wanted.get("type") == "event":
        wanted |= payload_member(bytes.fromhex(wanted.pop("bytes")), world.encoding)
    for name, each in wanted.items():
        is_optional = isinstance(each, dict) and "$optional" in each
        if name not in found:
            if is_optional:
                continue
            return f"{where} has no {name}"
        if found.get("type") == "event" and name == "data" and not _is_matcher(each):
            told = None if _same(each, found[name]) else f"{where}.data is {_short(found[name])}, not {_short(each)}"
        else:
            told = mismatch(each["$optional"] if is_optional else each, found[name], world, f"{where}.{name}")
        if told:
            return told
    strange = {name for name in found if name in world.known and name not in wanted}
    if strange and not expected.get("$more"):
        return f"{where} has {', '.join(sorted(strange))}, which should not be there"
    return None


def _is_matcher(value: Any) -> bool:
    return isinstance(value, dict) and any(name.startswith("$") and name != "$sealed" for name in value)


def _same(expected: Any, found: Any) -> bool:
    """Tell whether two values are the same JSON: ``true`` is not 1, and 1 is not 1.0."""
    if type(expected) is not type(found):
        return False
    if isinstance(expected, dict):
        return expected.keys() == found.keys() and all(_same(each, found[name]) for name, each in expected.items())
    if isinstance(expected, list):
        return len(expected) == len(found) and all(map(_same, expected, found))
    return bool(expected == found)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."

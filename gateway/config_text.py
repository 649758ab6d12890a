"""Pure: a configuration as TOML text, without secrets because a `Config` holds none: files are named, never quoted."""

import json
from collections.abc import Iterator

import msgspec

from gateway.config import Config
from gateway.config_parse import settings


def effective(config: Config) -> str:
    """Every setting with its value, defaults included, as TOML that reads back to an equal `Config`."""
    top: list[str] = []
    tables: list[str] = []
    for name, value in settings(config):
        if isinstance(value, msgspec.Struct):
            tables += ["", f"[{name}]", *_lines(value)]
        elif value and isinstance(value, tuple) and isinstance(value[0], msgspec.Struct):
            for entry in value:
                tables += ["", f"[[{name}]]", *_lines(entry)]
        elif value is not None:
            top.append(f"{name} = {_toml(value)}")
    return "\n".join(top + tables) + "\n"


def _lines(section: msgspec.Struct) -> Iterator[str]:
    for name, value in settings(section):
        if value is None:
            yield f"# {name} is not set"  # TOML has no word for none
        else:
            yield f"{name} = {_toml(value)}"


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return json.dumps(value, ensure_ascii=False)  # without control characters, JSON's escapes are TOML's
        case tuple():
            return f"[{', '.join(_toml(item) for item in value)}]"
        case _:
            raise AssertionError("a configuration holds texts, numbers, truth values and tuples of them")

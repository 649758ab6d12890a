"""Pure: which fields of which events are sensitive, and whether one of them is about to travel in clear.

One table of rules, from two sources: ``Annotated[str, Sensitive("contact")]`` on Structs (``rules_of``) and rows of
the configuration. The reader's table says what must be sealed, never the message: whoever strips ``$sealed`` from an
event does not make its fields public.
"""

import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, get_args, get_origin

import msgspec

from security import pointers, subjects
from security.errors import ConfigurationError, TidewireError

CLASSES: Final = 16  # most classes of one event
POINTERS: Final = 64  # most sealed fields of one class of one event

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")  # a class
_DATA_SUBJECT: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")  # the grammar of a token's ``sub``
_PLACEHOLDER: Final = re.compile(r"\{[a-z][a-z0-9_]*\}")


class CannotSeal(TidewireError):
    """The event cannot be sealed as declared, so it must not be published. The message holds no value."""


class Sensitive:
    """Marks a field of a Struct: ``phone: Annotated[str, Sensitive("contact")]`` is sealed with class ``contact``."""

    __slots__ = ("field_class",)

    def __init__(self, field_class: str) -> None:
        self.field_class = field_class

    def __repr__(self) -> str:
        return f"Sensitive({self.field_class!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sensitive) and other.field_class == self.field_class

    def __hash__(self) -> int:
        return hash((Sensitive, self.field_class))


class Rule(msgspec.Struct, frozen=True):
    """One row: events whose subject matches ``pattern`` have at ``pointer`` a value of class ``field_class``.

    pattern: a subject pattern in which one token may be a placeholder such as ``{sub}``: it matches any token, and
        that token names the data subject, whose key seals (``orders.{sub}.>``).
    pointer: an RFC 6901 pointer to an object member, such as ``/contact/phone``; arrays are sealed whole.
    field_class: class of sensitivity, 1 to 64 of ``A-Za-z0-9_-``.
    """

    pattern: str
    pointer: str
    field_class: str


class _Row(msgspec.Struct, frozen=True):
    """A rule, checked and taken apart."""

    pattern: str  # as NATS has it: the placeholder is ``*``
    place: int | None  # which token names the data subject, from 0
    pointer: str
    tokens: tuple[str, ...]
    field_class: str


class Policy:
    """The table of sensitive fields. Raises ConfigurationError for a wrong rule, or for two that contradict.

    Rules of overlapping patterns must agree: no pointer in two classes, none inside another, one place of the
    placeholder.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(dict.fromkeys(rules))
        self._rows = tuple(_row(rule) for rule in self.rules)
        for place, row in enumerate(self._rows):
            for other in self._rows[:place]:
                if subjects.overlaps(row.pattern, other.pattern):
                    _agree(row, other)

    def declared(self, subject: str) -> dict[str, tuple[str, ...]]:
        """Give what must be sealed in events of ``subject``: class to pointers, both sorted by code point."""
        found: dict[str, set[str]] = {}
        for row in self._rows:
            if subjects.matches(row.pattern, subject):
                found.setdefault(row.field_class, set()).add(row.pointer)
        return {field_class: tuple(sorted(found[field_class])) for field_class in sorted(found)}

    def data_subject(self, subject: str) -> str | None:
        """Give the person whose key seals events of ``subject``.

        None when no matching rule has a placeholder, or when the token there is not 1 to 128 of ``A-Za-z0-9_-``.
        """
        for row in self._rows:
            if row.place is not None and subjects.matches(row.pattern, subject):
                token = subject.split(".")[row.place]
                return token if _DATA_SUBJECT.fullmatch(token) else None
        return None

    def leaks(self, subject: str, data: object) -> list[str]:
        """Give the declared pointers at which ``data`` has a value in clear: such an event is not delivered.

        A member that exists counts, whatever its value: null too says something about a person.
        """
        return [
            pointer
            for declared in self.declared(subject).values()
            for pointer in declared
            if pointers.exists(data, pointers.parse(pointer) or ())
        ]

    def missing(self, subject: str, data: object) -> list[str]:
        """Give the declared classes that ``data`` does not hold sealed. Reported, and no reason to withhold."""
        held = data.get(pointers.SEALED) if isinstance(data, Mapping) else None
        held = held if isinstance(held, Mapping) else {}
        return [field_class for field_class in self.declared(subject) if field_class not in held]


def rules_of(pattern: str, declared: type[msgspec.Struct]) -> tuple[Rule, ...]:
    """Read the rules that a Struct declares for events on ``pattern``: nested and optional Structs too.

    Names are those on the wire (``rename``). Raises ConfigurationError for a sensitive field inside an array or a
    mapping (mark the whole field instead), in a Struct that is encoded as an array, and for endless nesting.
    """
    return tuple(
        Rule(pattern, "/" + "/".join(pointers.escape(token) for token in path), field_class)
        for path, field_class in _fields(declared, ())
    )


def _fields(
    struct: type[msgspec.Struct], above: tuple[str, ...], outer: tuple[type, ...] = ()
) -> list[tuple[tuple[str, ...], str]]:
    """Give path and class of each sensitive field below ``above``; ``outer`` are the Structs around this one."""
    if struct in outer:
        raise ConfigurationError(f"{struct.__name__}: has sensitive fields and nests in itself; mark the outer field")
    hints = typing.get_type_hints(struct, include_extras=True)
    found: list[tuple[tuple[str, ...], str]] = []
    for field in msgspec.structs.fields(struct):
        path = (*above, field.encode_name)
        field_class, kinds = _unwrap(hints[field.name])
        if field_class is not None:
            found.append((path, field_class))
            continue
        for kind in kinds:
            if not _holds_sensitive(kind, set()):
                continue
            if not _is_struct(kind):
                raise ConfigurationError(
                    f"{struct.__name__}.{field.name}: has sensitive fields inside an array or a mapping, which are "
                    f"sealed whole; mark the field itself with Sensitive"
                )
            found += _fields(kind, path, (*outer, struct))
    if found and struct.__struct_config__.array_like:
        raise ConfigurationError(f"{struct.__name__}: is encoded as an array, so no pointer reaches its fields")
    return found


def _unwrap(hint: object) -> tuple[str | None, list[typing.Any]]:
    """Give the class that a type hint is marked with, if any, and the types that it may be."""
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *marks = get_args(hint)
        for mark in marks:
            if isinstance(mark, Sensitive):
                return mark.field_class, []
        return _unwrap(inner)
    if origin in (typing.Union, types.UnionType):
        kinds: list[typing.Any] = []
        for member in get_args(hint):
            field_class, inner_kinds = _unwrap(member)
            if field_class is not None:  # Annotated[str, Sensitive("x")] | None: the field is sensitive
                return field_class, []
            kinds += inner_kinds
        return None, kinds
    return None, [hint]


def _holds_sensitive(kind: object, seen: set[object]) -> bool:
    """Say whether a sensitive field is anywhere in a Struct, array or mapping type; ``seen`` ends endless nesting."""
    if _is_struct(kind):
        if kind in seen:
            return False
        seen.add(kind)
        inside: Iterable[object] = typing.get_type_hints(kind, include_extras=True).values()
    else:
        inside = get_args(kind)
    for hint in inside:
        field_class, kinds = _unwrap(hint)
        if field_class is not None or any(_holds_sensitive(inner, seen) for inner in kinds):
            return True
    return False


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _row(rule: Rule) -> _Row:
    tokens = rule.pattern.split(".")
    places = [place for place, token in enumerate(tokens) if "{" in token or "}" in token]
    if len(places) > 1 or any(not _PLACEHOLDER.fullmatch(tokens[place]) for place in places):
        raise ConfigurationError(
            f"policy: pattern {rule.pattern!r}: one whole token may be a placeholder such as {{sub}}, no more"
        )
    for place in places:
        tokens[place] = "*"
    pattern = ".".join(tokens)
    if not subjects.is_pattern(pattern):
        raise ConfigurationError(f"policy: pattern {rule.pattern!r} is no subject pattern")
    parsed = pointers.parse(rule.pointer)
    if parsed is None or any(token.isdigit() for token in parsed):
        raise ConfigurationError(
            f"policy: pointer {rule.pointer!r} of {rule.pattern!r} is no JSON pointer to an object member, such as "
            f"/contact/phone; arrays are sealed whole"
        )
    if not _NAME.fullmatch(rule.field_class):
        raise ConfigurationError(f"policy: class {rule.field_class!r} is not 1 to 64 of A-Za-z0-9_-")
    return _Row(pattern, places[0] if places else None, rule.pointer, parsed, rule.field_class)


def _agree(row: _Row, other: _Row) -> None:
    both = f"patterns {row.pattern!r} and {other.pattern!r} overlap"
    if row.place != other.place and row.place is not None and other.place is not None:
        raise ConfigurationError(f"policy: {both}, and name the data subject by different tokens")
    if row.tokens == other.tokens and row.field_class == other.field_class:
        return
    if pointers.is_prefix(row.tokens, other.tokens) or pointers.is_prefix(other.tokens, row.tokens):
        raise ConfigurationError(f"policy: {both}: pointer {row.pointer!r} meets {other.pointer!r}; seal one of them")

"""Pure: whom the demo page's site answers, and what a request may ask for.

The site holds the keys of this machine, so it answers its own page alone: another name for this machine (DNS rebinding)
is no host of it, and what changes something must come from the page itself, in a form that no other page can send.
"""

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, Protocol, TypeVar

import msgspec
from msgspec import Meta

BODY_BYTES: Final = 4_096
"""Largest body of a request, in bytes."""
RUSH_MOST: Final = 100
"""Most orders moved by one request."""
TTL_LEAST_S: Final = 15
TTL_MOST_S: Final = 3_600
TTL_S: Final = 300
"""Life of a token for which the page asks no other, in seconds."""
_NAMES: Final = ("localhost", "127.0.0.1")
_SEQ_MOST: Final = 2**53 - 1
_HTTPS_PORT: Final = 443


class Refused(msgspec.Struct, frozen=True):
    """Why a request is not served. ``error`` is a fixed text: it quotes nothing of the request."""

    status: int
    error: str


class Wanted(Protocol):
    """What a body says; ``FORM`` tells a person how it looks."""

    FORM: ClassVar[str]


_W = TypeVar("_W", bound=Wanted)


class TokenWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token for a customer."""

    FORM: ClassVar[str] = f'{{"customer": NAME, "ttl_s": {TTL_LEAST_S} to {TTL_MOST_S} (or left out)}}'
    customer: str
    ttl_s: Annotated[int, Meta(ge=TTL_LEAST_S, le=TTL_MOST_S)] = TTL_S


class KeysWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys that a customer's device holds."""

    FORM: ClassVar[str] = '{"customer": NAME}'
    customer: str


class RushWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Moves of a customer's orders, at once."""

    FORM: ClassVar[str] = f'{{"customer": NAME, "count": 1 to {RUSH_MOST}}}'
    customer: str
    count: Annotated[int, Meta(ge=1, le=RUSH_MOST)]


class KillWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The death of a gateway worker."""

    FORM: ClassVar[str] = "{}"


class PulseWanted(msgspec.Struct, frozen=True):
    """How many events wait for a customer who has processed everything up to ``after``."""

    FORM: ClassVar[str] = "?customer=NAME&after=SEQUENCE, 0 to 2^53 - 1"
    customer: str
    after: int


def origins_of(port: int) -> tuple[str, ...]:
    """Origins of the page that is served on a port of this machine."""
    return tuple(f"https://{host}" for host in _hosts_of(port))


def refusal(
    method: str, port: int, *, hosts: Sequence[str], origins: Sequence[str], content_types: Sequence[str]
) -> Refused | None:
    """Judge a request by its method and the values of its headers ``Host``, ``Origin`` and ``Content-Type``.

    None: it may go on. Whatever is not GET or HEAD must come from the page itself and hold JSON.
    """
    if len(hosts) != 1 or hosts[0].lower() not in _hosts_of(port):
        return Refused(421, f"this site is {' or '.join(origins_of(port))} and nothing else")
    if method in {"GET", "HEAD"}:
        return None
    if list(origins) != [f"https://{hosts[0].lower()}"]:
        return Refused(403, "only the page of this site may ask for this")
    if [value.partition(";")[0].strip().lower() for value in content_types] != ["application/json"]:
        return Refused(403, "Content-Type must be application/json")
    return None


def read_body(body: bytes, wanted: type[_W]) -> _W | Refused:
    """What a body says, or 400."""
    try:
        return msgspec.json.decode(body, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refused(400, f"the body must be {wanted.FORM}")


def read_pulse(query: Sequence[tuple[str, str]]) -> PulseWanted | Refused:
    """What a query says, or 400."""
    said = dict(query)
    if len(said) == len(query) and said.keys() == {"customer", "after"} and re.fullmatch("[0-9]{1,16}", said["after"]):
        after = int(said["after"])
        if after <= _SEQ_MOST:
            return PulseWanted(said["customer"], after)
    return Refused(400, f"the query must be {PulseWanted.FORM}")


def headers_of_answers(gateway_port: int) -> dict[str, str]:
    """Headers of every answer: the page runs code of this site alone, and talks to it and the gateway alone."""
    gateways = " ".join(f"wss://{host}" for host in _hosts_of(gateway_port))
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {gateways}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _hosts_of(port: int) -> tuple[str, ...]:
    """The values of ``Host`` by which a port of this machine is asked; browsers leave out the port of https."""
    return tuple(name if port == _HTTPS_PORT else f"{name}:{port}" for name in _NAMES)

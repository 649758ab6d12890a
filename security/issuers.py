"""Pure: who may issue tokens, by which keys, and when their key sets are fetched again."""

from collections.abc import Iterable, Iterator
from math import inf
from typing import Final, Self

import msgspec

from security.errors import ConfigurationError
from security.keys import ALGORITHMS, Key, KeySet, canonical_algorithm
from security.subjects import is_pattern
from security.templates import is_template

DEFAULT_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")

HEADERS_MOST: Final = 64  # tokens of one key have one header, or few
REFRESH_S: Final = 600.0  # a key set is fetched again after so long
RETRY_S: Final = 30.0  # after a failed fetch, and at most so often for unknown key ids
STALE_AFTER_S: Final = 86_400.0  # older keys are not trusted for new connections


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer of tokens as configured. Raises ConfigurationError, naming the field, when it cannot be meant so."""

    name: str
    """The ``iss`` of its tokens, compared byte for byte."""
    audience: str
    """Our name in the ``aud`` of its tokens."""
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    """Signature algorithms that its keys may have; a token's must equal its key's. HS256 to HS512 exclude others."""
    typ: str = "at+jwt"
    """The ``typ`` of its tokens (RFC 9068 4), any case, with or without ``application/``."""
    read: tuple[str, ...] = ()
    """Templates of what its principals may read, beside their claims, as ``orders.{sub}.>``."""
    publish: tuple[str, ...] = ()
    """Templates of what they may publish."""
    request: tuple[str, ...] = ()
    """Templates of what they may request."""
    deny: tuple[str, ...] = ()
    """Patterns that none of them may touch in any way. Deny wins over everything; no templates here."""
    leeway_s: float = 5.0
    """Seconds by which its clock may differ from ours, 0 to 30."""
    keys: KeySet = KeySet()
    """Its keys now; empty until its key set has been fetched."""

    def __post_init__(self) -> None:
        if not self.name or not self.audience or not self.typ:
            raise ConfigurationError("name, audience and typ must not be empty")
        unknown = sorted(set(map(canonical_algorithm, self.algorithms)) - ALGORITHMS)
        if unknown or not self.algorithms:
            raise ConfigurationError(f"algorithms: choose from {', '.join(sorted(ALGORITHMS))}, not {unknown}")
        shared = [alg for alg in self.algorithms if alg.startswith("HS")]
        if shared and len(shared) != len(self.algorithms):
            raise ConfigurationError("algorithms: a shared secret (HS256, HS384, HS512) excludes all other algorithms")
        for field in ("read", "publish", "request"):
            for template in getattr(self, field):
                if not is_template(template):
                    raise ConfigurationError(f"{field}: {template!r} is no template such as 'orders.{{sub}}.>'")
        for pattern in self.deny:
            if not is_pattern(pattern) or "{" in pattern:
                raise ConfigurationError(f"deny: {pattern!r} is no pattern such as 'orders.*.internal.>'")


class Issuers:
    """All configured issuers, and their keys by id. ``with_keys`` gives the successor: keys never change in one.

    A key id belongs to one issuer. When two claim it, the one configured first keeps it, and tokens of the later
    that name it are refused as of an unknown key; ``clashes`` tells, and a configuration with one is refused.
    """

    def __init__(self, issuers: Iterable[Issuer] = ()) -> None:
        self._issuers = tuple(issuers)
        self._by_kid: dict[str, tuple[Issuer, Key]] = {}
        clashes: list[tuple[str, str, str]] = []
        for issuer in self._issuers:
            for kid, key in issuer.keys.by_kid.items():
                first, _ = self._by_kid.setdefault(kid, (issuer, key))
                if first is not issuer:
                    clashes.append((kid, first.name, issuer.name))
        self.clashes: tuple[tuple[str, str, str], ...] = tuple(clashes)
        """Each (key id, issuer that has it, issuer that does not get it)."""
        self.algorithms = frozenset(canonical_algorithm(alg) for issuer in self._issuers for alg in issuer.algorithms)
        """What any issuer allows: the first, cheap check of a token's ``alg``."""
        self.typs = frozenset(plain_typ(issuer.typ) for issuer in self._issuers)
        """What any issuer allows, plain: the first check of a token's ``typ``."""
        self._recalled: dict[str, tuple[Issuer, Key]] = {}

    def __iter__(self) -> Iterator[Issuer]:
        return iter(self._issuers)

    def find(self, kid: str) -> tuple[Issuer, Key] | None:
        """Give the issuer and key that ``kid`` names; a look-up and nothing else."""
        return self._by_kid.get(kid)

    def recall(self, header: str) -> tuple[Issuer, Key] | None:
        """Give what this header of a token led to before, by ``remember``. The same header means the same key."""
        return self._recalled.get(header)

    def remember(self, header: str, found: tuple[Issuer, Key]) -> None:
        """Keep the issuer and key of a header whose token was signed by that key. Another key set forgets all."""
        if len(self._recalled) < HEADERS_MOST:
            self._recalled[header] = found

    def named(self, name: str) -> Issuer | None:
        """Give the issuer with this ``iss``."""
        return next((issuer for issuer in self._issuers if issuer.name == name), None)

    def with_keys(self, name: str, keys: KeySet) -> Self:
        """Give the same issuers with a new key set for ``name``."""
        replaced = (
            msgspec.structs.replace(issuer, keys=keys) if issuer.name == name else issuer for issuer in self._issuers
        )
        return type(self)(replaced)

    def check(self) -> None:
        """Raise ConfigurationError when two issuers have one name or share a key id. For the start of a process."""
        names = [issuer.name for issuer in self._issuers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(f"issuer {twice[0]!r} is configured twice")
        for kid, first, later in self.clashes:
            raise ConfigurationError(f"issuers {first!r} and {later!r} share the key id {kid!r}: give one a new id")


def plain_typ(typ: str) -> str:
    """Give a ``typ`` in the form that is compared: lower case, without ``application/`` (RFC 7515 4.1.9)."""
    return typ.lower().removeprefix("application/")


class JwksSchedule:
    """When to fetch one issuer's key set. ``now`` is monotonic seconds and never falls.

    Periodically, after a failure sooner, and for an unknown key id at most once in 30 s: a storm of tokens with
    invented ids makes one fetch. One fetch at a time. After each start the caller reports ``fetched`` or ``failed``.
    """

    def __init__(self, now: float) -> None:
        self.due = now
        """When ``tick`` will next ask for a fetch."""
        self.in_flight = False
        self._last_for_unknown: float | None = None
        self._fetched_at: float | None = None

    def tick(self, now: float) -> bool:
        """Say whether to start the periodic fetch now; true at most once until its end is reported."""
        if self.in_flight or now < self.due:
            return False
        self.in_flight = True
        return True

    def unknown_kid(self, now: float) -> bool:
        """Say whether to start a fetch now because a token named a key id that no issuer has."""
        if self.in_flight or (self._last_for_unknown is not None and now < self._last_for_unknown + RETRY_S):
            return False
        self._last_for_unknown = now
        self.in_flight = True
        return True

    def fetched(self, now: float) -> None:
        """Note that a fetch brought a good key set."""
        self.in_flight = False
        self._fetched_at = now
        self.due = now + REFRESH_S

    def failed(self, now: float) -> None:
        """Note that a fetch failed, or brought a set that was refused. The last good one stays."""
        self.in_flight = False
        self.due = now + RETRY_S

    def is_stale(self, now: float) -> bool:
        """Say whether the keys are too old, or were never there: new connections then get 4006."""
        return self.age_s(now) > STALE_AFTER_S

    def age_s(self, now: float) -> float:
        """Seconds since the last good key set was fetched; infinite where there was none."""
        return inf if self._fetched_at is None else now - self._fetched_at

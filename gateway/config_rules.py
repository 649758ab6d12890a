"""Pure: what fields of a configuration, each right by itself, must not say together."""

from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import SplitResult, urlsplit

from gateway.config import Config, Issuer, Nats, Sealed
from security.errors import ConfigurationError
from security.policy import Policy, Rule
from security.subjects import is_pattern
from security.templates import is_template

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts that only this machine reaches."""

Found = tuple[str, str]
"""The path of a field, and what is wrong with it."""


def contradictions(config: Config) -> Iterator[Found]:
    """Each contradiction by the path of the field to change. A configuration without any can be served."""
    yield from _listen(config)
    yield from _nats(config.nats, is_production=config.profile == "production")
    yield from _order(config)
    yield from _subjects(config)
    if not config.issuers:
        yield "issuers", "must name at least one issuer, or no client gets in; add [[issuers]] with name and jwks"
    names = [issuer.name for issuer in config.issuers]
    for place, issuer in enumerate(config.issuers):
        if issuer.name in names[:place]:
            yield f"issuers[{place}].name", "is another issuer's name, too; each issuer is named once"
        yield from _issuer(issuer, f"issuers[{place}]")


def _listen(config: Config) -> Iterator[Found]:
    listen = config.listen
    if listen.plain:
        if config.profile == "production":
            yield "listen.plain", 'must be false in profile "production"; name listen.certificate and listen.key'
        elif listen.host not in LOOPBACK:
            yield "listen.plain", f"must be false unless listen.host is one of {', '.join(sorted(LOOPBACK))}"
    else:
        for name, value in (("certificate", listen.certificate), ("key", listen.key)):
            if value is None:
                yield f"listen.{name}", "is missing; name a PEM file"
    for place, origin in enumerate(listen.origins):
        parts = _url(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            yield f"listen.origins[{place}]", "must be scheme, host and port only, as https://shop.example"


def _nats(nats: Nats, *, is_production: bool) -> Iterator[Found]:
    for place, server in enumerate(nats.servers):
        parts = _url(server)
        if parts.scheme not in {"nats", "tls"} or not parts.hostname:
            yield f"nats.servers[{place}]", "must be a URL, as nats://127.0.0.1:4222 or tls://nats.example:4222"
        elif "@" in parts.netloc:
            yield f"nats.servers[{place}]", "must hold no user and password; use nats.user and nats.password_file"
        elif is_production and parts.scheme != "tls":
            yield f"nats.servers[{place}]", 'must be tls:// in profile "production"'
    if (nats.user is None) != (nats.password_file is None):
        yield ("nats.password_file" if nats.password_file is None else "nats.user"), "is missing; both or neither"
    if nats.user is not None and nats.credentials_file is not None:
        yield "nats.credentials_file", "must not be beside nats.user; choose one"
    if (nats.certificate is None) != (nats.key is None):
        yield ("nats.key" if nats.key is None else "nats.certificate"), "is missing; both or neither"


def _order(config: Config) -> Iterator[Found]:
    """Fields of which the first must not be above the second."""
    window, limits, admission = config.window, config.limits, config.admission
    pairs: tuple[tuple[str, int], ...] = (
        ("window.messages", window.messages),
        ("window.max_messages", window.max_messages),
        ("window.bytes", window.bytes),
        ("window.max_bytes", window.max_bytes),
        ("admission.replays_per_tenant", admission.replays_per_tenant),
        ("admission.replays", admission.replays),
        ("limits.unauthenticated_per_address", limits.unauthenticated_per_address),
        ("limits.unauthenticated", limits.unauthenticated),
        ("stream.duplicate_window_s", config.stream.duplicate_window_s),
        ("stream.max_age_s", config.stream.max_age_s),
    )
    if config.cursors.replicas < config.stream.replicas:
        wanted = config.stream.replicas
        yield "cursors.replicas", f"must be at least stream.replicas, {wanted}: a cursor lost is a session lost"
    for (low_name, low), (high_name, high) in list(pairwise(pairs))[::2]:
        if low > high:
            yield low_name, f"must be at most {high_name}, {high:,}; is {low:,}"


def _subjects(config: Config) -> Iterator[Found]:
    """Patterns and templates that do not fit NATS's grammar."""
    for place, subject in enumerate(config.stream.subjects):
        if not is_pattern(subject):
            yield f"stream.subjects[{place}]", "must be a pattern, as orders.>"
    yield from _sealed(config.sealed)


def _sealed(sealed: tuple[Sealed, ...]) -> Iterator[Found]:
    rules: list[Rule] = []
    for place, row in enumerate(sealed):
        rules.append(Rule(row.subject, row.pointer, row.field_class))
        try:
            Policy(rules)
        except ConfigurationError as error:  # names patterns and pointers, which are no secrets
            rules.pop()
            yield f"sealed[{place}]", str(error)


def _issuer(issuer: Issuer, path: str) -> Iterator[Found]:
    templates = (("read", issuer.read), ("publish", issuer.publish), ("request", issuer.request))
    for name, given in templates:
        for place, template in enumerate(given):
            if not is_template(template):
                yield f"{path}.{name}[{place}]", "must be a pattern or template, as orders.{sub}.>"
    for place, pattern in enumerate(issuer.deny):
        if not is_pattern(pattern) or "{" in pattern:
            yield f"{path}.deny[{place}]", "must be a pattern without {}, as orders.*.internal.>"
    is_url = "://" in issuer.jwks
    if is_url and not (issuer.jwks.startswith("https://") and _url(issuer.jwks).hostname):
        yield f"{path}.jwks", "must be the path of a file, or a URL that starts with https://"
    if not issuer.algorithms:
        yield f"{path}.algorithms", "must name at least one"
    if "HS256" in issuer.algorithms and (is_url or len(issuer.algorithms) > 1):
        yield f"{path}.algorithms", "must be HS256 alone, with a JWKS file, or not hold HS256"


def _url(text: str) -> SplitResult:
    """The parts of a URL; all empty where it is none, as with half an IPv6 address or a port that is no number."""
    try:
        parts = urlsplit(text)
        return parts if parts.port != 0 else urlsplit("")
    except ValueError:
        return urlsplit("")

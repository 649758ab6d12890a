"""Pure: what a principal may read, publish and request.

One function decides for subscribe, resume, replay, publish and request, and again after each refresh. One allowed
pattern must cover the wanted one whole; allowed patterns are never added up, because a sum is hard to read and easy to
get wrong. Deny wins, by overlap: what shares a single subject with a denied pattern is refused whole.
"""

from typing import Literal

import msgspec

from security.issuers import Issuer
from security.subjects import covers, is_pattern, is_reserved, is_subject, matches, overlaps
from security.templates import fill
from security.tokens import Claims

Kind = Literal["read", "publish", "request"]


class Permissions(msgspec.Struct, frozen=True):
    """Allowed patterns by kind, and denied ones for all kinds. Equal permissions compare equal."""

    read: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    request: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def allows(self, kind: Kind, wanted: str) -> bool:
        """Say whether ``wanted`` is allowed: a pattern to read, a literal subject to publish or request.

        False for anything that is no valid pattern or subject, and for reserved ones whatever the claims say.
        """
        if not (is_pattern(wanted) if kind == "read" else is_subject(wanted)) or is_reserved(wanted):
            return False
        if any(overlaps(denied, wanted) for denied in self.deny):
            return False
        return any(covers(allowed, wanted) for allowed in self._allowed(kind))

    def may_receive(self, subject: str) -> bool:
        """Say whether an event stored under ``subject`` may be delivered now. A hot path.

        As ``allows("read", subject)``, but for subjects that are in the stream already: a publisher may have stored
        one that is longer than we would take from a client, or holds bytes that are no text.
        """
        if is_reserved(subject):
            return False
        if any(matches(denied, subject) for denied in self.deny):
            return False
        return any(matches(allowed, subject) for allowed in self.read)

    @property
    def is_empty(self) -> bool:
        """Nothing at all is permitted: such a connection closes with 4503."""
        return not (self.read or self.publish or self.request)

    def _allowed(self, kind: Kind) -> tuple[str, ...]:
        match kind:
            case "read":
                return self.read
            case "publish":
                return self.publish
            case "request":
                return self.request


def permissions_for(claims: Claims, issuer: Issuer) -> Permissions:
    """Unite what the claims say with the templates of their issuer, filled from the claims.

    A template whose claim is missing or unfit is left out. ``{sub}``, ``{sid}`` and ``{jti}`` are the claims of these
    names, ``{tenant}`` and ``{device}`` the members of ``tidewire``; any other name is a claim beside them.
    """
    assert claims.issuer == issuer.name, "claims are judged by their own issuer's templates"
    own = {
        "sub": claims.subject,
        "jti": claims.token_id,
        "sid": claims.sid,
        "tenant": claims.tenant,
        "device": claims.device,
    }
    values = {**claims.names, **{name: value for name, value in own.items() if value is not None}}

    def united(patterns: tuple[str, ...], templates: tuple[str, ...]) -> tuple[str, ...]:
        filled = (fill(template, values) for template in templates)
        allowed = [*patterns, *(pattern for pattern in filled if pattern is not None)]
        return tuple(dict.fromkeys(pattern for pattern in allowed if not is_reserved(pattern)))

    return Permissions(
        read=united(claims.read, issuer.read),
        publish=united(claims.publish, issuer.publish),
        request=united(claims.request, issuer.request),
        deny=issuer.deny,
    )

"""Pure: what the end of a connection means for the session (P3.1, P3.2). Codes decide, never texts."""

from enum import Enum


class Verdict(Enum):
    """What to do after a connection has ended."""

    RESUME = "resume"
    """Connect again; at once when the connection had been live."""
    BACKOFF = "backoff"
    """Connect again, never at once: the gateway has a fault."""
    RENEW = "renew"
    """The token ended: fetch a new one, connect again."""
    UNAUTHORIZED = "unauthorized"
    """The token was refused: fetch a new one and try once more, then stop."""
    FORBIDDEN = "forbidden"
    TAKEN_OVER = "taken_over"
    REVOKED = "revoked"
    REFUSED = "refused"
    """These four stop the session."""
    PROTOCOL = "protocol"
    """A bug on one side: one retry, then stop."""


_BY_CODE = {
    1011: Verdict.BACKOFF,
    4001: Verdict.RESUME,
    4002: Verdict.RESUME,
    4003: Verdict.RESUME,
    4004: Verdict.RENEW,
    4005: Verdict.BACKOFF,
    4006: Verdict.BACKOFF,
    4400: Verdict.PROTOCOL,
    4413: Verdict.PROTOCOL,
    4429: Verdict.RESUME,
    4501: Verdict.UNAUTHORIZED,
    4503: Verdict.FORBIDDEN,
    4509: Verdict.TAKEN_OVER,
    4510: Verdict.REVOKED,
}
_BY_STATUS = {
    400: Verdict.PROTOCOL,  # no common subprotocol, or a token in the URL
    401: Verdict.UNAUTHORIZED,
    403: Verdict.FORBIDDEN,
}


def verdict_of_close(code: int | None) -> Verdict:
    """What a close code means. None: the connection broke without one. 4500 to 4999 never come back by themselves."""
    if code is None:
        return Verdict.RESUME
    if code in _BY_CODE:
        return _BY_CODE[code]
    if 4500 <= code <= 4999:
        return Verdict.REFUSED
    return Verdict.RESUME


def verdict_of_status(status: int) -> Verdict:
    """What an HTTP status instead of the upgrade means. All but 400, 401 and 403 may pass: balancers answer so too."""
    return _BY_STATUS.get(status, Verdict.BACKOFF)

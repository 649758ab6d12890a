"""Pure: close codes and their fixed reasons (P3.2)."""

INTERNAL = 1011
DRAINING = 4001
OVERLOADED = 4002
DEAD = 4003
TOKEN_EXPIRED = 4004
CONNECT_LATE = 4005
UPSTREAM_UNAVAILABLE = 4006
BAD_FRAME = 4400
FRAME_TOO_LARGE = 4413
RATE_LIMITED = 4429
UNAUTHORIZED = 4501
FORBIDDEN = 4503
TAKEN_OVER = 4509
REVOKED = 4510

REASONS = {
    INTERNAL: "internal fault of the gateway",
    DRAINING: "draining",
    OVERLOADED: "unacceptable load, retry later",
    DEAD: "dead",
    TOKEN_EXPIRED: "token expired",
    CONNECT_LATE: "first frame late",
    UPSTREAM_UNAVAILABLE: "upstream unavailable",
    BAD_FRAME: "bad frame",
    FRAME_TOO_LARGE: "frame too large",
    RATE_LIMITED: "rate limited",
    UNAUTHORIZED: "unauthorized",
    FORBIDDEN: "forbidden",
    TAKEN_OVER: "taken over",
    REVOKED: "revoked",
}


def may_return(code: int) -> bool:
    """Whether a client may come back by itself after this code (P3.1); after a bug of its own it backs off."""
    return code < 4500

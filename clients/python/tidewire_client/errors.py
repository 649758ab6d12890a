"""Pure: what a client can raise, and the rule that turns a stopped session into one of these.

ClientError
  ClientStopped      the session ended and does not come back by itself; raised from every iterator
    Unauthorized     the token is missing, invalid or ended, and a new one did not help: sign in
    Forbidden        what was asked for is not permitted: origin, tenant, or the patterns in ``subjects``
    TakenOver        the same session is connected elsewhere; the newest connection wins
    Revoked          access was withdrawn: wipe keys, sign in
    ProtocolError    gateway and client do not understand each other: a bug, twice in a row
    UserChanged      the token callable returned another user's token: make a new client for another user
    Refused          any other refusal that must not be retried; ``code`` says which
  ClientClosed       the client was closed by its own program
  GatewayError       an ``error`` frame; reported through ``on_error``, the client goes on
  Unreachable        no connection, or it broke; reported through ``on_error``, the client goes on
  TokenUnavailable   the token callable failed; reported through ``on_error``, it is asked again later
  StateUnavailable   the position could not be read or stored; reported through ``on_error``
"""


class ClientError(Exception):
    """The root of everything that this package raises on purpose."""


class ClientClosed(ClientError):
    """The client is closed, or was not opened with ``async with``."""


class ClientStopped(ClientError):
    """The session ended for good. ``code`` is the close code (P3.2), or None when no close said so."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class Unauthorized(ClientStopped):
    """No valid token. A token callable may raise it too, to say that there is no token to be had."""

    def __init__(self, text: str = "no valid token: sign in again", code: int | None = None) -> None:
        super().__init__(text, code)


class Forbidden(ClientStopped):
    """Not permitted. ``subjects`` names the refused patterns, empty when the whole connection was refused."""

    def __init__(self, text: str, code: int | None = None, subjects: tuple[str, ...] = ()) -> None:
        super().__init__(text, code)
        self.subjects = subjects


class TakenOver(ClientStopped):
    """The same session was opened elsewhere. Two devices need two session names."""


class Revoked(ClientStopped):
    """Access was withdrawn. The client has let go of its keys; delete stored keys and state, and sign in."""


class ProtocolError(ClientStopped):
    """One side broke the protocol, also on a second try."""


class UserChanged(ClientStopped):
    """A token of another user: positions and keys of one user are never used for another."""


class Refused(ClientStopped):
    """A refusal that must not be retried (4500 to 4999) and has no class of its own."""


class GatewayError(ClientError):
    """What an ``error`` frame said. ``retry``: whether trying again can help."""

    def __init__(self, code: str, text: str, *, retry: bool) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.retry = retry


class Unreachable(ClientError):
    """The gateway could not be reached, or the connection broke. The client tries again."""


class TokenUnavailable(ClientError):
    """The token callable raised; its exception is the cause. The client asks again."""


class StateUnavailable(ClientError):
    """The stored position could not be read or written. The gateway's own cursor still stands."""


_STOPPED: dict[str, tuple[type[ClientStopped], str]] = {
    "unauthorized": (Unauthorized, "the gateway accepts no token of this client: sign in again"),
    "forbidden": (Forbidden, "the gateway refused this client: origin, tenant or permissions"),
    "taken_over": (TakenOver, "the same session was opened elsewhere"),
    "revoked": (Revoked, "access was revoked: wipe keys and sign in again"),
    "protocol": (ProtocolError, "gateway and client do not understand each other"),
    "user_changed": (UserChanged, "the token belongs to another user: make a new client for another user"),
    "refused": (Refused, "the gateway refused this client for good"),
}


def stopped(kind: str, code: int | None) -> ClientStopped:
    """The exception for a ``Stop`` effect of the core; ``kind`` is one of the core's fixed words."""
    cls, text = _STOPPED[kind]
    return cls(text if code is None else f"{text} ({code})", code)

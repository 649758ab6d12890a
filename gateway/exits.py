"""Pure: exit codes of every command."""

from enum import IntEnum

from security.errors import ConfigurationError, TidewireError, UpstreamUnavailable


class Exit(IntEnum):
    """What a script can learn from how a command ended."""

    DONE = 0
    """Done; for a server: drained."""
    FAILED = 1
    """Something else went wrong; the message says what."""
    USAGE = 2
    """The command line or the configuration is wrong: a person must act."""
    REFUSED = 3
    """The other side said no: token, permission. Or we did: a plan that would delete events."""
    UNREACHABLE = 4
    """NATS or the gateway could not be reached: try again later."""


class RefusedByGateway(TidewireError):
    """The gateway said no to a command, for good: its token, its permission, its session."""


class PlanRefused(TidewireError):
    """What a configuration wants of a stream would lose events, or cannot be had: nothing was changed."""


def exit_code(error: BaseException) -> Exit:
    """The exit code that a failure ends a command with."""
    match error:
        case ConfigurationError():
            return Exit.USAGE
        case UpstreamUnavailable():
            return Exit.UNREACHABLE
        case RefusedByGateway() | PlanRefused():
            return Exit.REFUSED
        case _:
            return Exit.FAILED

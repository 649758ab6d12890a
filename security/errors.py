"""Pure: the tree of failures. What a caller can do decides the class; refusals are values and are not here.

TidewireError
  UpstreamUnavailable   retry later: NATS unreachable, no leader, timeout
  StreamReplaced        start anew: positions do not compare any more
  LimitReached          a configured limit; the message names it and its field
  ConfigurationError    a person must act; the message names the path
"""


class TidewireError(Exception):
    """The root of every failure that Tidewire raises on purpose."""


class UpstreamUnavailable(TidewireError):
    """NATS did not answer, or not in time. Retry later; the call may or may not have had its effect."""


class StreamReplaced(TidewireError):
    """The event stream is not the one that positions were taken from. Positions mean nothing any more."""


class LimitReached(TidewireError):
    """A configured limit was reached. The message names the limit and its configuration field."""


class ConfigurationError(TidewireError):
    """The configuration or a file that it names is wrong. The message names the path, the cause and the remedy."""

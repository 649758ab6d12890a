"""Pure: what was measured: one case of one way in one run, as named values."""

import msgspec


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One case of one way in one run, nothing subtracted.

    ``values`` are named with their unit. Where they apply: ``server_us`` (microseconds of CPU per delivered event of
    the processes that hold the sockets), ``broker_us`` (the same of what stands behind them: nats-server, Redis),
    ``events_per_s``, ``p50_ms``, ``p99_ms``, ``rss_kb`` (KiB resident per connection), ``seconds``.
    """

    case: str
    """A case's name, the same word for every way."""
    way: str
    """``floor``, ``tidewire``, ``consumer per session``, ``centrifugo`` and so on."""
    values: dict[str, float]
    note: str = ""
    """What a reader of the table must know: a rival that could not be built, and why."""
    failed: str = ""
    """Why there are no values; the run fails with it, and the other measurements stand."""

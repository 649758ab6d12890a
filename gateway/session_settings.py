"""Pure: what one session may have and how long it waits."""

import msgspec

HOLD_BACK_S = 0.25
"""How long a lagging session with little room in its window waits for acks before its durable is read, in seconds."""
READ_RETRY_S = (0.2, 5.0)
"""First and longest wait after a durable read failed, in seconds; doubled each time."""


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one session; see ``gateway.config`` for meaning and range."""

    ping_every_s: float = 25.0
    ping_answer_s: float = 10.0
    window_messages: int = 1_000
    window_bytes: int = 1_048_576
    subscriptions: int = 128
    pattern_bytes: int = 256
    pattern_tokens: int = 16
    batch_events: int = 500
    expiring_s: float = 60.0
    """Seconds before the token's end at which the client is told; half of what is left for shorter tokens."""

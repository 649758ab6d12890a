"""How many examples Hypothesis tries: few in each run, and ``TIDEWIRE_EXAMPLES=n`` times as many when asked for.

    TIDEWIRE_EXAMPLES=50 python -m pytest tests/replay/test_recent.py -o timeout=0

The same examples in every run; a greater number begins with those of the smaller.
"""

import os
from typing import Any

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("TIDEWIRE_EXAMPLES", "1"))


def examples(count: int, **more: Any) -> settings:
    """Settings of a property: so many examples, repeatable, with no time limit that a busy machine could miss."""
    return settings(
        max_examples=count * TIMES,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
        **more,
    )

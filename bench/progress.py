"""Shell: tells a person on the terminal how far a run is."""

import sys
import time

_BEGUN = time.monotonic()


def say(text: str) -> None:
    """One line to standard error, with the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - _BEGUN), 60)
    print(f"bench {minutes:2d}:{seconds:02d} {text}", file=sys.stderr, flush=True)

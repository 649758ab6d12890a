"""Pure: the published events in what a client got. In every dialect they travel as they were published."""

import re

Event = tuple[bytes, bytes, bytes]
"""Digits of the session, of ``n`` and of the nanoseconds at which it was published (``bench.plan.payload``)."""
EVENT = re.compile(rb'\{"s":(\d+),"n":(\d+),"t":(\d+),"pad":"x*"\}')
"""A published payload; its groups are an `Event`."""

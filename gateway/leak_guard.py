"""Pure: events that hold in clear what must be sealed are withheld (docs/security.md, sealing).

What must be sealed is said by this gateway's policy, not by the event. A withheld event keeps its place in the order
and nothing else: a session that has a right to it is told a gap.
"""

from gateway.event_frame import NOT_JSON, read_payload
from mesh.event import StoredEvent
from security.policy import Policy


class LeakGuard:
    """Looks at every event before it is kept or sent."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.is_idle = not policy.rules
        """Whether nothing must be sealed: then no event needs to be looked at."""
        self.withheld = 0
        """Events withheld."""

    def look(self, event: StoredEvent) -> list[str]:
        """Withhold the event if it leaks; returns the declared pointers at which it does."""
        if self.is_idle or not self._policy.declared(event.subject):
            return []
        value = read_payload(event.payload)
        leaking = self._policy.leaks(event.subject, value) if value is not NOT_JSON else []
        if leaking:
            self.withheld += 1
            event.withhold()
        return leaking

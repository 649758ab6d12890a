"""Pure: what a case needs of a way of delivering, and of the place where a run happens."""

from pathlib import Path
from typing import Protocol

import msgspec

from security.development import DevelopmentState


class Site(msgspec.Struct, frozen=True):
    """Where one run happens."""

    folder: Path
    """An empty folder that is removed after the run."""
    keys: DevelopmentState
    """TLS certificate and token keys for every way."""
    measured_on: set[int]
    """Cores of the processes that hold the sockets."""
    rest_on: set[int]
    """Cores of everything else."""
    tokens: list[str] = []  # msgspec copies it for each instance
    """Tokens of the sessions, made when first wanted: ``bench.cases.course.tokens``."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be published."""

    events: int
    """How many in all."""
    rate: int
    """How many a second; 0 is as fast as it goes."""
    sessions: int = 0
    """0: all to the subject that everyone reads. Else to the private subjects of so many sessions, in turn."""
    first: int = 0
    """The first of those sessions."""
    together: int = 1
    """The floor only: events in one write."""
    unread: bool = False
    """Whether it goes to a subject that nobody reads, to see what storing alone costs."""


class Way(Protocol):
    """Processes that deliver events to WebSockets. ``start``, ``publish`` as often as wanted, ``stop``."""

    name: str
    """Its key in ``bench.ways.WAYS``."""
    dialect: str
    """The name in ``bench.dialects.DIALECTS`` of what its clients speak."""
    port: int
    """Where clients connect, once started."""

    def missing(self) -> str:
        """Why it cannot run on this machine; empty when it can."""
        ...

    def version(self) -> str:
        """What is measured, and which of its promises are on."""
        ...

    async def start(self) -> None:
        """Return when clients are served."""
        ...

    async def stop(self) -> None:
        """End every process; safe to repeat."""
        ...

    def servers(self) -> list[int]:
        """Process ids of what holds the sockets."""
        ...

    def brokers(self) -> list[int]:
        """Process ids of what stands behind it."""
        ...

    async def publish(self, order: Order) -> None:
        """Publish ``bench.plan.payload`` events; return when each was accepted."""
        ...

"""Shell: reads of durables on behalf of sessions, as many at once as admission grants."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from gateway.effects import ReadDurable
from replay.catchup import Failed, Read

if TYPE_CHECKING:
    from gateway.connection import Connection
    from gateway.house import House


class Replays:
    """One read is one turn: after each batch the session asks again, behind those who wait."""

    def __init__(self, house: "House") -> None:
        self._house = house
        self._asked: dict[Connection, ReadDurable] = {}
        self.events = 0
        """Events that durables have brought."""

    def ask(self, connection: "Connection", effect: ReadDurable) -> None:
        """Read for this session when its turn comes."""
        self._asked[connection] = effect
        if self._house.admission.ask(connection, connection.owner.tenant):
            self._start(connection)

    def _start(self, connection: "Connection") -> None:
        effect = self._asked.pop(connection)
        self._house.keep(asyncio.create_task(self._read(connection, effect), name="replay"))

    async def _read(self, connection: "Connection", effect: ReadDurable) -> None:
        house = self._house
        result: Read | Failed = Failed("the connection has gone")
        try:
            if connection.is_attached:
                recent, session = connection.exchange.recent, connection.session
                result = await connection.durable.read(
                    effect.after,
                    session.interest,
                    recent.floor,
                    recent.head,
                    batch=effect.batch,
                    max_bytes=effect.max_bytes,
                )
        finally:
            for granted in house.admission.give_back(connection.owner.tenant):
                self._start(granted)
        if isinstance(result, Read):
            self.events += len(result.events)
            for event in result.events:
                connection.exchange.guard.look(event)
        connection.guarded(partial(connection.replayed, result))

    def leave(self, connection: "Connection") -> None:
        """The connection has gone: its place in the queue is free."""
        if self._asked.pop(connection, None) is not None:
            self._house.admission.leave(connection)

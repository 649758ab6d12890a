"""Shell: where a client keeps its position between runs."""

import asyncio
import os
from pathlib import Path
from typing import Protocol

import msgspec

from tidewire_client.errors import StateUnavailable
from tidewire_client.position import Position, Scope


class StateStore(Protocol):
    """Keeps one position per scope. What is saved for one scope is never given out for another."""

    async def load(self, scope: Scope) -> Position | None:
        """The stored position, None when there is none. Raises StateUnavailable when it cannot be read."""

    async def save(self, scope: Scope, position: Position | None) -> None:
        """Keep the position, or forget it (None). Returns when it is kept. Raises StateUnavailable."""


class MemoryState:
    """Keeps positions as long as the object lives: for reconnects of clients that are made anew, and for tests."""

    def __init__(self) -> None:
        self._positions: dict[Scope, Position] = {}

    async def load(self, scope: Scope) -> Position | None:
        """See ``StateStore.load``."""
        return self._positions.get(scope)

    async def save(self, scope: Scope, position: Position | None) -> None:
        """See ``StateStore.save``."""
        if position is None:
            self._positions.pop(scope, None)
        else:
            self._positions[scope] = position


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    scope: Scope
    position: Position | None


class FileState:
    """Keeps the position of one scope in a file, written beside it and renamed: a crash leaves the old or the new one.

    A file that holds another scope's position counts as empty and is overwritten at the first save: the gateway has a
    cursor of its own, nothing is lost by it. One file is for one client at a time.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    async def load(self, scope: Scope) -> Position | None:
        """See ``StateStore.load``."""
        record = await asyncio.to_thread(self._read)
        return record.position if record is not None and record.scope == scope else None

    async def save(self, scope: Scope, position: Position | None) -> None:
        """See ``StateStore.save``."""
        await asyncio.to_thread(self._write, msgspec.json.encode(_Record(scope=scope, position=position)))

    def _read(self) -> _Record | None:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_Record)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StateUnavailable(f"{self.path}: no readable position; delete the file to begin anew") from error

    def _write(self, encoded: bytes) -> None:
        beside = self.path.with_name(self.path.name + ".new")
        try:
            with beside.open("wb") as file:
                file.write(encoded)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            raise StateUnavailable(
                f"{self.path}: the position cannot be written; check folder and free space"
            ) from error

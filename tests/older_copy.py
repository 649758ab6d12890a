"""A nats-server whose stream falls back: a copy of its store is put back after more was stored."""

import asyncio
import shutil
from pathlib import Path

from mesh.embedded import EmbeddedServer


class OlderCopy:
    """A copy of a server's store, taken while it is stopped for a moment, as a backup is."""

    def __init__(self, server: EmbeddedServer, folder: Path) -> None:
        self._server = server
        self._store = server.settings.state_dir / "store"
        self._copy = folder

    async def take(self) -> None:
        """Copy the store; the server starts again."""
        await self._server.stop()
        await asyncio.to_thread(shutil.copytree, self._store, self._copy)
        await self._server.start()

    async def put_back(self, *, bucket_too: bool) -> None:
        """Put the stream of events back to what it was, and the cursors or not; the server starts again."""
        await self._server.stop()
        folders = [self._store] if bucket_too else sorted(self._store.glob("**/streams/EVENTS"))
        assert folders, "the server stored the stream"
        for folder in folders:
            shutil.rmtree(folder)
            shutil.copytree(self._copy / folder.relative_to(self._store), folder)
        await self._server.start()

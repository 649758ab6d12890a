"""Shell: Centrifugo 6 with its Redis engine, the way it is run in earnest: as in `centrifugo.py`, history in Redis.

Redis keeps nothing on disk. It stands behind the server, so it runs on the other cores and counts as a broker.
"""

from bench.process import Failed
from bench.program import Program, free_port
from bench.rivals.installed import debian_missing, tool, version
from bench.way import Site
from bench.ways.centrifugo import Centrifugo


class CentrifugoRedis(Centrifugo):
    """Redis, and one Centrifugo on the measured core."""

    name = "centrifugo-redis"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._redis: Program | None = None

    def missing(self) -> str:
        """Which of the two is not there."""
        return debian_missing("redis-server") or super().missing()

    def version(self) -> str:
        """What is measured, and which of its promises are on."""
        redis = " ".join(version(tool("redis-server"), "--version").split()[:3])
        return f"{super().version().replace('memory engine', 'Redis engine')}; {redis}, nothing on disk"

    async def start(self) -> None:
        """Return when clients are served."""
        port = free_port()
        options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no")
        self._redis = Program(
            tool("redis-server"),
            *options,
            "--dir",
            str(self.folder),
            on=self._site.rest_on,
            log=self.folder / "redis.log",
        )
        await self._redis.start(port)
        await self.start_server(redis_port=port)

    async def stop(self) -> None:
        """End both; safe to repeat."""
        await super().stop()
        if self._redis is not None:
            await self._redis.stop()

    def brokers(self) -> list[int]:
        """Redis."""
        if self._redis is None:
            raise Failed("Redis was not started")
        return [self._redis.pid]

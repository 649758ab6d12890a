"""What our code and the libraries below it log while a test runs, for tests that look for secrets in it."""

import contextlib
import io
import logging
from collections.abc import Iterator

from gateway.logs import JsonFormatter

LOGGERS = ("gateway", "replay", "mesh", "security", "aiohttp", "nats", "asyncio")


class ServerLogs(logging.Handler):
    """Keeps records whole, arguments and extra fields included, and as the gateway writes them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[str] = []
        self._written = io.StringIO()
        self._writer = logging.StreamHandler(self._written)
        self._writer.setFormatter(JsonFormatter(None))

    def emit(self, record: logging.LogRecord) -> None:
        """logging: a record."""
        self.records.append(f"{record.getMessage()} {vars(record)}")
        self._writer.emit(record)

    @property
    def text(self) -> str:
        """Everything, before any redaction and after it."""
        return "\n".join(self.records) + self._written.getvalue()


@contextlib.contextmanager
def server_logs() -> Iterator[ServerLogs]:
    """Log everything, from ``debug`` on, while the block runs."""
    handler = ServerLogs()
    levels = {}
    for name in LOGGERS:
        logger = logging.getLogger(name)
        levels[logger] = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
    try:
        yield handler
    finally:
        for logger, level in levels.items():
            logger.removeHandler(handler)
            logger.setLevel(level)

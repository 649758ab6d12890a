"""Shell: the demo page's site, served by `tidewire up` on a port of its own, beside the gateway.

A process serves it that holds the development keys anyway; the gateway knows its origins and nothing else
(docs/decisions/0007-the-page-is-the-shops.md). Loopback and TLS only, with the gateway's certificate.
"""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import Self

from aiohttp import web

from gateway.certificate_watch import watch_certificate
from gateway.demo_answers import Answers, Backstage
from gateway.demo_reader import PulseReader
from gateway.demo_request import origins_of
from gateway.http_limits import HEAD_S, RUNNER_SETTINGS
from gateway.page_files import PageFile
from gateway.supervisor import reserve
from mesh.link import Link, LinkSettings
from security.tls import ServerTls


class DemoSite:
    """One site. Its port is taken at once, so that the gateway can be told its origins; ``run`` it later in a task.

    A browser that comes in between waits for its answer.
    """

    def __init__(self, port: int, files: Mapping[str, PageFile]) -> None:
        """Take the port (0: any) of 127.0.0.1. Raises ``ConfigurationError`` when it is taken."""
        self._files = files
        self._socket: socket.socket = reserve("127.0.0.1", port, "--demo-port")
        self._socket.listen()  # else another could bind the same port, and share it
        self.port: int = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return f"https://localhost:{self.port}/"

    @property
    def origins(self) -> tuple[str, ...]:
        """Under which origins the page connects to the gateway."""
        return origins_of(self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def run(self, backstage: Backstage, tls: ServerTls, nats: LinkSettings, stream: str, bucket: str) -> None:
        """Serve until cancelled; nats-server and gateway may come and go meanwhile.

        ``nats``: as a user who may read the stream through a consumer, and the bucket of the cursors.
        """
        reader = PulseReader(stream, bucket)
        async with contextlib.AsyncExitStack() as stack:
            link = Link(nats)
            stack.push_async_callback(link.close)
            await link.start(within_s=None)
            answers = Answers(self.port, self._files, reader, backstage)
            runner = web.AppRunner(answers.app, keepalive_timeout=HEAD_S, **RUNNER_SETTINGS)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, self._socket, ssl_context=tls.context).start()
            async with asyncio.TaskGroup() as group:
                group.create_task(reader.run(link), name="page: feed")
                group.create_task(watch_certificate(tls), name="page: certificate")

"""Who may read the metrics: on a port of their own, and with the clients' only in development."""

import asyncio
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from gateway.server import Server
from mesh.embedded import EmbeddedServer
from tests.gateways import Gateway, running_gateway
from tests.servers import free_ports

ROUTES = ("/health", "/ready", "/metrics")


async def statuses(url: str, gateway: Gateway) -> list[int]:
    """What each of ``ROUTES`` answers."""
    async with aiohttp.ClientSession() as http:
        answers = await asyncio.gather(*(http.get(url + route, ssl=gateway.tls) for route in ROUTES))
        for answer in answers:
            answer.release()
        return [answer.status for answer in answers]


async def test_a_port_of_their_own_takes_the_metrics_from_the_clients(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    async with running_gateway(nats_server, tmp_path, metrics={"port": port}) as gateway:
        assert await statuses(f"http://127.0.0.1:{port}", gateway) == [200, 200, 200]
        assert await statuses(gateway.http, gateway) == [200, 200, 404]


async def test_without_a_port_they_are_with_the_clients_in_development_and_nowhere_in_production(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    async with running_gateway(nats_server, tmp_path) as gateway:
        assert await statuses(gateway.http, gateway) == [200, 200, 200]
        gateway.house.config = msgspec.structs.replace(gateway.config, profile="production")
        runner = web.AppRunner(Server(gateway.house).app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            assert await statuses(f"http://{host}:{port}", gateway) == [200, 200, 404]
        finally:
            await runner.cleanup()

"""Fixtures for all tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mesh.embedded import EmbeddedServer
from mesh.topology import Topology
from tests.servers import running_server


@pytest_asyncio.fixture(scope="session")
async def nats_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    """One real nats-server for the whole run, on nats.conf, with the default topology. Leave it as you found it."""
    async with running_server(tmp_path_factory.mktemp("nats") / "state", topology=Topology()) as server:
        yield server

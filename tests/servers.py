"""Real servers for tests: a nats-server on its own, three in a cluster, links and provisioned streams.

    async with running_server(tmp_path) as server, linked(server, user="gateway") as link: ...

The fixture ``nats_server`` (tests/conftest.py) is one server for the whole run; a test that kills, fills or
reconfigures a server starts its own here.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mesh.api import Api
from mesh.embedded import USERS, Cluster, EmbeddedServer, EmbeddedSettings
from mesh.link import Link, LinkSettings
from mesh.provision import provision
from mesh.topology import StreamSpec, Topology


def link_settings(*servers: EmbeddedServer, user: str = "operator", **more: Any) -> LinkSettings:
    """Settings of a link to running servers as one of nats.conf's users."""
    return LinkSettings(
        servers=tuple(server.url for server in servers),
        user=user,
        password=servers[0].password(user),
        inbox_prefix=USERS[user],
        **more,
    )


@contextlib.asynccontextmanager
async def linked(*servers: EmbeddedServer, user: str = "operator", **more: Any) -> AsyncIterator[Link]:
    """A started link, closed afterwards."""
    async with Link(link_settings(*servers, user=user, **more)) as link:
        yield link


@contextlib.asynccontextmanager
async def running_server(
    folder: Path, *, topology: Topology | None = None, **settings: Any
) -> AsyncIterator[EmbeddedServer]:
    """A server of its own on a free port; provisioned with ``topology`` unless that is None."""
    async with EmbeddedServer(EmbeddedSettings(state_dir=folder, **settings)) as server:
        if topology is not None:
            await provisioned(server, topology=topology)
        yield server


async def provisioned(*servers: EmbeddedServer, topology: Topology, within_s: float = 10.0) -> None:
    """Apply a topology as the operator."""
    async with linked(*servers) as link:
        await provision(Api(link), topology, within_s=within_s)


async def fresh_stream(*servers: EmbeddedServer, topology: Topology | None = None) -> Topology:
    """Delete the topology's streams with all they hold and make them anew: a new identity, sequences from 1."""
    wanted = topology or Topology()
    async with linked(*servers) as link:
        api = Api(link)
        for name in wanted.stream_names():
            await api.call("STREAM.DELETE", name, None, msgspec.Raw)  # an error: there was none
        await provision(api, wanted)
    return wanted


def free_ports(count: int) -> list[int]:
    """Ports that are free now; somebody else may take one before it is used."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class EmbeddedCluster:
    """Servers on loopback that form a cluster. Each can be killed and started again on its store and port."""

    def __init__(self, folder: Path, size: int = 3) -> None:
        ports = free_ports(size)
        clusters = [
            Cluster(name="tidewire", server=f"n{i + 1}", port=port, routes=tuple(ports)) for i, port in enumerate(ports)
        ]
        self.servers = [
            EmbeddedServer(EmbeddedSettings(state_dir=folder / each.server, cluster=each)) for each in clusters
        ]
        self._folder = folder

    async def start(self) -> None:
        """Start all with the same passwords; return when each listens (leaders come later: ``provision`` waits)."""
        first, *others = self.servers
        await first.start()
        users = (first.settings.state_dir / "nats-users.json").read_bytes()
        for other in others:
            other.settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            (other.settings.state_dir / "nats-users.json").write_bytes(users)
        await asyncio.gather(*(other.start() for other in others))

    async def stop(self) -> None:
        """Stop all."""
        await asyncio.gather(*(server.stop() for server in self.servers))


@contextlib.asynccontextmanager
async def running_cluster(
    folder: Path, *, topology: Topology | None = None, size: int = 3
) -> AsyncIterator[EmbeddedCluster]:
    """A cluster, provisioned with ``topology`` (replicas are the caller's choice) unless that is None."""
    cluster = EmbeddedCluster(folder, size)
    try:
        await cluster.start()
        if topology is not None:
            await provisioned(*cluster.servers, topology=topology, within_s=30.0)
        yield cluster
    finally:
        await cluster.stop()


def replicated(subjects: Sequence[str] = ("orders.>", "events.>"), replicas: int = 3) -> Topology:
    """A topology whose streams have several replicas."""
    wanted = Topology(events=StreamSpec(subjects=tuple(subjects)))
    return msgspec.structs.replace(
        wanted,
        events=msgspec.structs.replace(wanted.events, replicas=replicas),
        cursors=msgspec.structs.replace(wanted.cursors, replicas=replicas),
    )

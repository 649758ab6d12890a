"""deploy/cluster: three servers on its one configuration file join over TLS, and take clients over TLS only."""

import asyncio
import contextlib
import json
import re
import ssl
from pathlib import Path

import trustme

from mesh.embedded import EmbeddedServer, EmbeddedSettings
from tests.servers import free_ports
from tests.until import until

FOLDER = Path(__file__).parents[2] / "deploy" / "cluster"


def nodes(folder: Path, ca: trustme.CA) -> list[EmbeddedServer]:
    certificate = ca.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ports = free_ports(3)
    shared = {
        "TIDEWIRE_NATS_HOST": '"127.0.0.1"',
        "TIDEWIRE_NATS_ROUTES": json.dumps([f"nats://127.0.0.1:{port}" for port in ports]),
        "TIDEWIRE_NATS_CERT": json.dumps(str(folder / "cert.pem")),
        "TIDEWIRE_NATS_KEY": json.dumps(str(folder / "key.pem")),
        "TIDEWIRE_NATS_CA": json.dumps(str(folder / "ca.pem")),
    }
    return [
        EmbeddedServer(
            EmbeddedSettings(
                state_dir=folder / f"n{i + 1}",
                config=FOLDER / "node.conf",
                variables={
                    **shared,
                    "TIDEWIRE_NATS_NAME": f'"n{i + 1}"',
                    "TIDEWIRE_NATS_CLUSTER_PORT": str(port),
                },
            )
        )
        for i, port in enumerate(ports)
    ]


async def login(server: EmbeddedServer, tls: ssl.SSLContext | None) -> bytes:
    """What the server answers to the gateway's user and password."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        info = json.loads((await reader.readline()).removeprefix(b"INFO "))
        assert info["tls_required"] is True
        if tls is not None:
            await writer.start_tls(tls, server_hostname="127.0.0.1")
        who = {"verbose": False, "user": "gateway", "pass": server.password("gateway").reveal()}
        writer.write(b"CONNECT " + json.dumps(who).encode() + b"\r\nPING\r\n")
        while (line := await reader.readline()).startswith(b"INFO"):
            pass
        return line
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_three_servers_join_over_tls_and_take_clients_over_tls_only(tmp_path: Path) -> None:
    ca = trustme.CA()
    servers = nodes(tmp_path, ca)
    try:
        await asyncio.gather(*(server.start() for server in servers))
        for server in servers:
            await until(lambda server=server: "Route connection created" in server.log_file.read_text())  # type: ignore[misc]
        tls = ssl.create_default_context()
        ca.configure_trust(tls)
        assert await login(servers[0], tls) == b"PONG\r\n"
        assert not (await login(servers[0], None)).startswith(b"PONG")
    finally:
        await asyncio.gather(*(server.stop() for server in servers))


def test_the_environment_files_name_every_variable_that_the_configuration_reads() -> None:
    text = (FOLDER / "node.conf").read_text() + (FOLDER.parents[1] / "nats.conf").read_text()
    # what stands in a comment is not read
    read = set(re.findall(r"\$(TIDEWIRE_\w+)", re.sub(r"#.*", "", text)))
    assert len(read) >= 10
    for number in (1, 2, 3):
        environment = (FOLDER / f"node-{number}.env").read_text()
        assert [name for name in sorted(read) if name not in environment] == []
        assert f"TIDEWIRE_NATS_NAME='\"n{number}\"'" in environment

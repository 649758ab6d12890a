"""Operations on a running gateway: a renewed certificate is taken up while sockets are open."""

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import gateway.certificate_watch
from mesh.embedded import EmbeddedServer
from tests.gateways import Gateway, running_gateway
from tests.system.publishing import publish
from tests.system.server_logs import ServerLogs, server_logs
from tests.until import until
from tests.wire_client import WireClient


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.certificate_watch, "LOOK_EVERY_S", 0.02)


@contextlib.asynccontextmanager
async def crowd(gateway: Gateway, count: int) -> AsyncIterator[list[WireClient]]:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(gateway.client("e5", ["orders.e5.>"])) for _ in range(count)]
        for client in clients:
            await client.until("live")
        yield clients


def serial_of(client: WireClient) -> str:
    assert client.socket is not None
    certificate = client.socket.transport.get_extra_info("ssl_object").getpeercert()
    return str(certificate["serialNumber"])


async def new_serial(gateway: Gateway) -> str:
    async with gateway.client("e5", ["orders.e5.>"]) as client:
        await client.until("live")
        return serial_of(client)


async def all_get(server: EmbeddedServer, clients: list[WireClient]) -> None:
    before = len(clients[0].seqs)
    seqs = await publish(server, "orders.e5.o1", 2)
    for client in clients:
        await client.until("event", before + 2)
        assert client.seqs[-2:] == seqs
        assert client.close_code is None


def renew(gateway: Gateway) -> None:
    """A new certificate of the same authority, in one step."""
    old = gateway.state.certificate.read_bytes()
    gateway.state.certificate.unlink()
    assert gateway.state.prepare(time.time())
    assert gateway.state.certificate.read_bytes() != old


def logged(logs: ServerLogs, text: str) -> int:
    return sum(record.startswith(text) for record in logs.records)


async def test_a_renewed_certificate_is_for_new_sockets_and_open_ones_live_on(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:  # E5
    with server_logs() as logs:
        async with running_gateway(nats_server, tmp_path) as gateway, crowd(gateway, 40) as clients:
            first = serial_of(clients[0])
            assert await new_serial(gateway) == first
            renew(gateway)
            await until(lambda: logged(logs, "certificate renewed") == 1)
            second = await new_serial(gateway)
            assert second != first
            await all_get(nats_server, clients)
            assert {serial_of(client) for client in clients} == {first}
            assert (await gateway.get("/health"))[0] == 200


@pytest.mark.parametrize("fault", ["garbage", "empty", "missing", "open to others", "another key"])
async def test_a_bad_pair_keeps_the_old_certificate_in_use(
    nats_server: EmbeddedServer, tmp_path: Path, fault: str
) -> None:  # E5, E7
    with server_logs() as logs:
        async with running_gateway(nats_server, tmp_path) as gateway, crowd(gateway, 3) as clients:
            first = serial_of(clients[0])
            file = gateway.state.certificate
            good = file.read_bytes()
            if fault == "missing":
                file.unlink()
            elif fault == "open to others":
                file.chmod(0o644)
                file.write_bytes(good + b"\n")
            elif fault == "another key":
                renew(gateway)
                await until(lambda: logged(logs, "certificate renewed") == 1)
                first = await new_serial(gateway)
                other = file.read_bytes()
                file.write_bytes(good[: good.index(b"-----BEGIN CERT")] + other[other.index(b"-----BEGIN CERT") :])
            else:
                file.write_bytes(b"" if fault == "empty" else b"-----BEGIN CERTIFICATE-----\nxx\n")
            await until(lambda: logged(logs, "the new certificate is not taken") >= 1)
            assert await new_serial(gateway) == first
            await all_get(nats_server, clients)
            file.unlink(missing_ok=True)
            gateway.state.prepare(time.time())
            known = first

            async def is_renewed() -> bool:
                return await new_serial(gateway) != known

            await until(is_renewed)
            assert good.splitlines()[1].decode() not in logs.text  # the key

"""What a client acknowledged is stored within a second, and survives kill -9 of its gateway."""

from pathlib import Path

from mesh.api import Api
from mesh.embedded import EmbeddedServer
from mesh.kv import Bucket
from replay.record import Owner, Record, decode_record, session_key
from tests.gateway_process import GatewayProcess, running_process
from tests.servers import linked
from tests.system.publishing import publish
from tests.until import until
from tests.wire_client import WireClient

KEY = session_key(Owner("tidewire-development", "c42", "survivor"))


def client(gateway: GatewayProcess, patterns: list[str] | None) -> WireClient:
    return WireClient(gateway.url, gateway.tls, gateway.token(), "survivor", patterns)


async def test_an_acknowledgement_is_stored_within_a_second_and_survives_kill_9(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """P4.3."""
    async with (
        linked(nats_server) as operator,
        running_process(nats_server, tmp_path, cursors={"save_within_ms": 500}) as gateway,
    ):
        bucket = Bucket(operator, Api(operator), "cursors")

        async def stored() -> Record | None:
            entry, _ = await bucket.get_from_leader(KEY)
            return decode_record(entry.value) if entry is not None else None

        await until(lambda: _serves(gateway))
        async with client(gateway, ["orders.c42.>"]) as phone:
            await phone.until("live")
            seqs = await publish(nats_server, "orders.c42.o1", 10)
            await phone.until("event", 10)
            await phone.send({"type": "ack", "seq": seqs[5]})

            async def is_stored() -> bool:
                record = await stored()
                return record is not None and record.acked == seqs[5]

            await until(is_stored, within_s=1.0)
            await gateway.kill()
        await gateway.start()
        await until(lambda: _serves(gateway))
        async with client(gateway, None) as phone:
            await phone.until("live")
            assert phone.seqs == seqs[6:], "nothing lost, nothing repeated that was stored as acknowledged"


async def _serves(gateway: GatewayProcess) -> bool:
    """Whether the gateway lets clients in: its feed is up."""
    probe = WireClient(gateway.url, gateway.tls, gateway.token("probe"), "probe", [])
    async with probe:
        await probe.closed() if not await _welcomed(probe) else None
    return bool(probe.of("welcome"))


async def _welcomed(probe: WireClient) -> bool:
    await until(lambda: bool(probe.frames) or probe.close_code is not None)
    return bool(probe.of("welcome"))

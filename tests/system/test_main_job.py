"""The main job on real parts: what a client missed is replayed, in order, complete, once; then it is live."""

from pathlib import Path

import pytest

from mesh.embedded import EmbeddedServer
from tests.gateways import running_gateway
from tests.system.publishing import publish


@pytest.mark.parametrize("encoding", ["tidewire.v1.json", "tidewire.v1.msgpack"])
async def test_a_client_gets_what_is_published_while_it_is_live_and_what_it_missed(
    nats_server: EmbeddedServer, tmp_path: Path, encoding: str
) -> None:
    async with running_gateway(nats_server, tmp_path) as gateway:
        client = gateway.client("main42", ["orders.main42.>"], session=f"pixel-{encoding[-4:]}", encoding=encoding)
        async with client:
            await client.until("live")
            welcome = client.frames[0]
            assert (welcome["type"], welcome["outcome"], welcome["subjects"]) == (
                "welcome",
                "fresh",
                ["orders.main42.>"],
            )
            live = await publish(nats_server, "orders.main42.o1", 5)
            await publish(nats_server, "orders.main43.o1", 2)
            assert [e["seq"] for e in await client.until("event", 5)] == live
            assert client.of("event")[0]["data"] == {"n": 0}
            await client.send({"type": "ack", "seq": live[-1]})
            await client.cut()
        missed = await publish(nats_server, "orders.main42.o2", 7)
        resume = (welcome["stream"], live[-1])
        async with gateway.client(
            "main42", ["orders.main42.>"], session=f"pixel-{encoding[-4:]}", encoding=encoding, resume=resume
        ) as back:
            await back.until("live")
            assert back.frames[0]["outcome"] == "resumed"
            assert back.frames[0]["pending"] == 7
            assert back.seqs == missed
            assert all(event["replay"] for event in back.of("event"))
            more = await publish(nats_server, "orders.main42.o3", 1)
            await back.until("event", 8)
            assert back.seqs == missed + more

"""What must be sealed and was published in clear is not delivered: live, from the recent window, from the durable."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher
from tests.gateways import running_gateway
from tests.servers import linked
from tests.until import until

SEALED: dict[str, Any] = {"sealed": [{"subject": "orders.{sub}.>", "pointer": "/address", "class": "contact"}]}
MARK = "Hidden Lane 7"


async def publish(server: EmbeddedServer) -> list[int]:
    """Three events of a publisher that knows nothing of us; the second leaks."""
    async with linked(server, user="publisher") as link, Publisher(link) as publisher:
        acks = [
            await publisher.publish("orders.c42.leaky", data)
            for data in ({"n": 1}, {"n": 2, "address": MARK}, {"n": 3, "$sealed": {"contact": "e.."}})
        ]
    return [ack.seq for ack in acks]


async def test_an_event_in_clear_is_withheld_and_named(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    """P2.37."""
    letters: list[dict[str, Any]] = []
    async with linked(nats_server) as operator, running_gateway(nats_server, tmp_path, **SEALED) as gateway:
        await operator.tap("tidewire.deadletter.>", lambda _s, _r, data, _h: letters.append(msgspec.json.decode(data)))
        async with gateway.client("c42", ["orders.c42.>"], session="leak") as live:
            await live.until("live")
            seqs = await publish(nats_server)
            await live.until("event", 2)
            assert live.seqs == [seqs[0], seqs[2]]
            assert [(g["after"], g["before"], g["reason"]) for g in live.of("gap")] == [(seqs[0], seqs[2], "deleted")]
            resume = (live.frames[0]["stream"], seqs[0] - 1)
            assert MARK not in str(live.frames)
        await until(lambda: letters)
        assert [(letter["seq"], letter["pointers"]) for letter in letters] == [(seqs[1], ["/address"])]
        assert MARK not in str(letters)
        async with gateway.client("c42", ["orders.c42.>"], session="leak", resume=resume) as back:
            await back.until("live")
            assert back.seqs == [seqs[0], seqs[2]]
            assert len(back.of("gap")) == 1
        _, metrics = await gateway.get("/metrics")
        assert "tidewire_events_withheld_total 1.0" in metrics
    small = {**SEALED, "recent": {"recent_events": 1}}
    async with running_gateway(nats_server, tmp_path, **small) as gateway:
        async with gateway.client("c42", ["orders.c42.>"], session="leak", resume=resume) as durable:
            await durable.until("live")
            assert durable.seqs == [seqs[0], seqs[2]]
            assert [(g["after"], g["before"]) for g in durable.of("gap")] == [(seqs[0], seqs[2])]
            assert MARK not in str(durable.frames)
        assert gateway.house.counters.events_from_durables >= 2


async def test_other_subjects_are_not_looked_at(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with running_gateway(nats_server, tmp_path, **SEALED) as gateway:
        async with gateway.client("c42", ["events.c42.>"], session="open") as client:
            await client.until("live")
            async with linked(nats_server, user="publisher") as link, Publisher(link) as publisher:
                await asyncio.gather(publisher.publish("events.c42.x", {"address": MARK}))
            (event,) = await client.until("event")
            assert event["data"] == {"address": MARK}

"""Three servers: provisioned as soon as they have leaders, and publishing over a change of leader and a death."""

import asyncio
from pathlib import Path

import msgspec

from mesh.api import Api
from mesh.provision import read, verify
from mesh.publisher import PublishAck, Publisher, PublisherSettings
from tests.servers import linked, replicated, running_cluster


async def _hand_over(publisher: Publisher, count: int) -> list[asyncio.Future[PublishAck]]:
    return [await publisher.hand_over("orders.c1.o1", {"n": n}) for n in range(count)]


async def test_three_servers_store_each_event_once_over_a_change_of_leader_and_a_killed_server(tmp_path: Path) -> None:
    wanted = replicated()
    async with (
        running_cluster(tmp_path, topology=wanted) as cluster,
        linked(*cluster.servers, backoff_max_s=0.2) as operator,
        linked(*cluster.servers, user="publisher", backoff_max_s=0.2) as link,
    ):
        api = Api(operator)
        assert (await verify(api, wanted)).is_done
        assert (await read(api, wanted))["EVENTS"]["num_replicas"] == 3
        async with Publisher(link, settings=PublisherSettings(in_flight=100)) as publisher:
            acks = await _hand_over(publisher, 500)
            await api.call("STREAM.LEADER.STEPDOWN", "EVENTS", None, msgspec.Raw)
            acks += await _hand_over(publisher, 500)
            await cluster.servers[0].kill()  # the links are connected there
            acks += await _hand_over(publisher, 500)
            await publisher.drain()
        assert sorted(ack.result().seq for ack in acks) == list(range(1, 1_501))
        assert link.connects > 1

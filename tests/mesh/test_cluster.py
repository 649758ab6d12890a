"""Three servers: provisioned as soon as they have leaders, and publishing over a change of leader and a death."""

import asyncio
import contextlib
from pathlib import Path

import msgspec

from mesh.api import Api, StreamInfo
from mesh.provision import read, verify
from mesh.publisher import PublishAck, Publisher, PublisherSettings
from security.errors import UpstreamUnavailable
from tests.servers import linked, replicated, running_cluster
from tests.until import until


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


async def test_a_leader_that_is_one_again_is_another_than_before(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, topology=replicated()) as cluster, linked(*cluster.servers) as operator:
        api = Api(operator, timeout_s=0.5)
        seen: dict[str, set[str]] = {}

        async def has_led_twice() -> bool:
            try:
                info = await api.stream_info("EVENTS")
            except UpstreamUnavailable:  # asked in the middle of an election
                return False
            if not isinstance(info, StreamInfo) or not info.leader:
                return False
            name, _, since = info.leader.partition(" ")
            if not since:  # it has taken office this moment
                return False
            seen.setdefault(name, set()).add(since)
            if len(seen[name]) == 2:
                return True
            with contextlib.suppress(UpstreamUnavailable):
                await api.call("STREAM.LEADER.STEPDOWN", "EVENTS", None, msgspec.Raw)
            return False

        await until(has_led_twice, 30)

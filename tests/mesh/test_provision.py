"""Applying a topology to a real server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mesh.api import Api, ApiError
from mesh.embedded import EmbeddedServer
from mesh.kv import Bucket
from mesh.provision import provision, read, verify
from mesh.topology import BucketSpec, Create, Keep, StreamSpec, Topology, Update
from security.errors import ConfigurationError, LimitReached
from tests.servers import linked, running_server


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    async with running_server(tmp_path / "s") as server:
        yield server


@pytest_asyncio.fixture
async def api(server: EmbeddedServer) -> AsyncIterator[Api]:
    async with linked(server) as link:
        yield Api(link)


async def test_a_second_run_keeps_everything(api: Api) -> None:
    first = await provision(api, Topology())
    second = await provision(api, Topology())
    assert [type(step) for step in first.steps] == [Create, Create]
    assert [type(step) for step in second.steps] == [Keep, Keep]
    assert (await verify(api, Topology())).is_done


async def test_production_options_and_an_update_reach_the_server(api: Api) -> None:
    await provision(api, Topology())
    wanted = Topology(
        events=StreamSpec(subjects=("orders.>", "events.>", "news.>"), deny_delete=True, deny_purge=True),
        cursors=BucketSpec(max_age_s=60 * 86_400),
    )
    done = await provision(api, wanted)
    assert [type(step) for step in done.steps] == [Update, Update]
    assert (await verify(api, wanted)).is_done
    config = (await read(api, wanted))["EVENTS"]
    assert config["deny_purge"] is True
    assert "news.>" in config["subjects"]
    assert isinstance(await api.call("STREAM.PURGE", "EVENTS", None, msgspec.Raw), ApiError)


async def test_a_bucket_of_an_older_release_takes_larger_values_after_an_update(api: Api) -> None:
    bucket, most = Bucket(api.link, api, "cursors"), BucketSpec().max_value_bytes
    await provision(api, Topology(cursors=BucketSpec(max_value_bytes=16_384)))
    with pytest.raises(LimitReached):
        await bucket.put("k", b"x" * most)
    done = await provision(api, Topology())
    assert [type(step) for step in done.steps] == [Keep, Update]
    assert isinstance(await bucket.put("k", b"x" * most), int)


async def test_a_refused_plan_changes_nothing_and_says_what_and_why(api: Api) -> None:
    await provision(api, Topology())
    await api.link.request("orders.c1.o1", b"{}")
    wanted = Topology(events=StreamSpec(subjects=("orders.>",)), cursors=BucketSpec(max_age_s=60 * 86_400))
    with pytest.raises(ConfigurationError, match=r"events.> would not be stored any more"):
        await provision(api, wanted)
    assert (await verify(api, Topology())).is_done
    assert not (await provision(api, wanted, allow_loss=True)).is_refused
    assert (await read(api, wanted))["EVENTS"]["subjects"] == ["orders.>"]


async def test_what_the_server_refuses_is_a_persons_to_mend(api: Api) -> None:
    with pytest.raises(ConfigurationError, match="stream OTHER: nats-server refuses it"):
        await provision(api, Topology(events=StreamSpec(name="OTHER", subjects=("not a subject",))))


async def test_a_stream_of_the_topology_takes_more_than_a_thousand_consumers(api: Api) -> None:
    await provision(api, Topology())

    async def make(n: int) -> Any:
        config = {"durable_name": f"s-{n}", "name": f"s-{n}", "ack_policy": "all", "mem_storage": True}
        body = {"stream_name": "EVENTS", "config": config, "action": ""}
        return await api.call("CONSUMER.CREATE", f"EVENTS.s-{n}", body, dict[str, Any])

    made = await asyncio.gather(*(make(n) for n in range(1_050)))
    assert [answer for answer in made if isinstance(answer, ApiError)] == []

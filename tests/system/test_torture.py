"""Hand-over torture: 40 sessions, random connects and cuts while events are published, on one server and on three."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mesh.api import Api, ApiError
from mesh.embedded import EmbeddedServer
from mesh.topology import Topology
from security.errors import UpstreamUnavailable
from tests.gateways import running_gateway
from tests.servers import linked, replicated, running_cluster, running_server
from tests.system.torture import Wanderer, torture

SMALL: dict[str, Any] = {"recent": {"recent_events": 60}, "admission": {"batch_events": 7}}


EVENTS = 1_000
"""So many are processed at least, however slow the machine is."""


def check(wanderers: list[Wanderer]) -> None:
    assert sum(wanderer.handovers for wanderer in wanderers) >= 300
    assert sum(wanderer.gaps for wanderer in wanderers) == 0
    assert sum(len(wanderer.processed) for wanderer in wanderers) >= EVENTS


@pytest.mark.timeout(90)
async def test_hand_over_loses_nothing_on_one_server(tmp_path: Path) -> None:
    """P4.2, P4.5."""
    async with (
        running_server(tmp_path / "nats", topology=Topology()) as server,
        running_gateway(server, tmp_path / "a", **SMALL) as small,
        running_gateway(server, tmp_path / "a") as large,
    ):
        check(await torture([server], [small, large], seed=1, events=EVENTS))
        counters = small.house.counters
        assert counters.events_from_durables + counters.events_from_sweeps > 50


async def step_down(servers: list[EmbeddedServer], every_s: float, done: Counter[str]) -> None:
    """Make the stream's and the bucket's leaders step down, again and again; counts how often it was done."""
    async with linked(*servers) as link:
        api = Api(link)
        while True:
            for stream in ("EVENTS", "KV_cursors"):
                await asyncio.sleep(every_s)
                try:
                    answer = await api.call("STREAM.LEADER.STEPDOWN", stream, None, dict[str, Any])
                    done[stream] += not isinstance(answer, ApiError)
                except UpstreamUnavailable:
                    done["unanswered"] += 1


@pytest.mark.timeout(150)
async def test_hand_over_loses_nothing_on_three_servers_whose_leaders_step_down(tmp_path: Path) -> None:
    """P4.5."""
    async with running_cluster(tmp_path / "nats", topology=replicated()) as cluster:
        one, two, three = cluster.servers
        async with (
            running_gateway(one, tmp_path / "a", two, three, **SMALL, sweeps={"events": 0}) as small,
            running_gateway(three, tmp_path / "a", two, one) as large,
        ):
            done: Counter[str] = Counter()
            trouble = asyncio.create_task(step_down(cluster.servers, 0.5, done))
            check(await torture(cluster.servers, [small, large], seed=2, events=EVENTS, within_s=80, trouble=[trouble]))
            assert small.house.counters.events_from_durables > 0, "where nothing is shared"
            assert done["EVENTS"] >= 3, f"the leaders stepped down: {done}"

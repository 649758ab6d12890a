"""Bugs of resuming that others had in production, numbered as in docs/proof.md, on a real server and real sockets."""

from pathlib import Path
from typing import Any

import pytest

from mesh.embedded import EmbeddedServer
from mesh.pull import Puller, PullResult
from replay.record import Owner, session_key
from tests.gateways import running_gateway
from tests.system.publishing import publish
from tests.until import until

DEVICES = 8
MISSED = 3
CALLS_MOST = 25


async def test_trap_10_a_session_is_stored_before_its_client_knows_of_it(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """P4.3: whatever happens to this gateway after ``welcome``, another one knows where the session begins."""
    key = session_key(Owner("tidewire-development", "t10", "known"))
    async with running_gateway(nats_server, tmp_path) as gateway, running_gateway(nats_server, tmp_path) as other:
        async with gateway.client("t10", ["orders.t10.>"], session="known") as client:
            began = (await client.until("welcome"))[0]["from"]
            record = (await other.house.cursors.load(key, from_leader=True)).record
            assert record is not None
            assert (record.acked, record.patterns) == (began, {"orders.t10.>": began})


async def test_trap_10_a_session_that_was_never_stored_goes_on_where_its_client_says(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """P4.8."""
    async with running_gateway(nats_server, tmp_path) as gateway:
        seqs = await publish(nats_server, "orders.t10.o1", 5)
        await until(lambda: gateway.house.exchange.recent.head >= seqs[-1])
        resume = gateway.house.exchange.identity, seqs[1]
        async with gateway.client("t10", ["orders.t10.>"], session="unheard-of", resume=resume) as client:
            await client.until("live")
            assert (client.frames[0]["outcome"], client.seqs) == ("resumed", seqs[2:])


@pytest.mark.parametrize("remembers", [True, False])
async def test_trap_11_who_was_cut_before_the_first_event_has_a_position_to_come_back_with(
    nats_server: EmbeddedServer, tmp_path: Path, *, remembers: bool
) -> None:
    """P4.3, P6.3: the client's, from ``welcome``, or the gateway's."""
    session = f"nothing-yet-{remembers}"
    async with running_gateway(nats_server, tmp_path) as gateway:
        async with gateway.client("t11", ["orders.t11.>"], session=session) as client:
            welcome = (await client.until("welcome"))[0]
            await client.cut()
        missed = await publish(nats_server, "orders.t11.o1", MISSED)
        resume = (welcome["stream"], welcome["from"]) if remembers else None
        async with gateway.client("t11", ["orders.t11.>"], session=session, resume=resume) as client:
            await client.until("event", MISSED)
            assert (client.frames[0]["outcome"], client.seqs) == ("resumed", missed)


def counting(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each pull from now on brings."""
    pulled: list[int] = []
    pull = puller.pull

    async def counted(*args: Any, **more: Any) -> PullResult:
        result = await pull(*args, **more)
        pulled.append(len(result.deliveries))
        return result

    monkeypatch.setattr(puller, "pull", counted)
    return pulled


async def test_trap_14_who_comes_back_reads_its_own_events_and_nobody_elses(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand events of others cost the devices nothing, and each asks NATS a handful of questions."""
    async with running_gateway(nats_server, tmp_path, recent={"recent_events": 5}) as gateway:
        names = [f"t14-{number}" for number in range(DEVICES)]
        for name in names:
            async with gateway.client(name, [f"orders.{name}.>"], session="phone") as client:
                await client.until("live")
        missed = {name: await publish(nats_server, f"orders.{name}.o1", MISSED) for name in names}
        others = await publish(nats_server, "orders.others.o1", 1_000)
        await until(lambda: gateway.house.exchange.recent.head == others[-1] and not len(gateway.house.parking))
        before, pulled = gateway.calls(), counting(gateway.house.durables.puller, monkeypatch)
        for name in names:
            async with gateway.client(name, [f"orders.{name}.>"], session="phone") as client:
                await client.until("live")
                assert client.seqs == missed[name]
        after = gateway.calls()
        assert sum(pulled) == DEVICES * MISSED
        calls = {verb: count - before.get(verb, 0) for verb, count in after.items() if count != before.get(verb, 0)}
        assert sum(calls.values()) <= DEVICES * CALLS_MOST, calls

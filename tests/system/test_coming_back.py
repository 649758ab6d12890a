"""Three ways of coming back: inside the recent window, after it, and after the durable was collected. And the gaps."""

from pathlib import Path
from typing import Any

from mesh.api import Api, ApiError, ConsumerInfo
from mesh.embedded import EmbeddedServer
from mesh.topology import Topology
from replay.record import Owner, session_key
from tests.gateways import Gateway, running_gateway
from tests.servers import fresh_stream, linked, running_server
from tests.system.publishing import publish
from tests.until import until

SMALL: dict[str, Any] = {"recent": {"recent_events": 10}}
ISSUER = "tidewire-development"


async def leave(gateway: Gateway, server: EmbeddedServer, session: str) -> tuple[str, int]:
    """Open a session of c42, process three events, go; returns the position."""
    async with gateway.client("c42", ["orders.c42.>"], session=session, ack=True) as client:
        await client.until("live")
        seqs = await publish(server, "orders.c42.before", 3)
        await client.until("event", 3)
        await until(lambda: gateway.house.exchange.by_key[key_of(session)].session.acked == seqs[-1])
        stream = str(client.frames[0]["stream"])
    await until(lambda: not gateway.house.exchange.by_key)
    return stream, seqs[-1]


def key_of(session: str) -> str:
    return session_key(Owner(ISSUER, "c42", session))


async def test_inside_the_recent_window_no_jetstream_call_is_made(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    async with running_gateway(nats_server, tmp_path, durables={"park_after_s": 60}) as gateway:
        resume = await leave(gateway, nats_server, "inside")
        missed = await publish(nats_server, "orders.c42.o1", 20)
        await until(lambda: gateway.house.exchange.recent.head == missed[-1])
        await until(lambda: len(gateway.house.parking) == 1)  # the durable is made; its parking waits for 60 s
        before = gateway.calls()
        async with gateway.client("c42", ["orders.c42.>"], session="inside", resume=resume) as client:
            await client.until("live")
            assert client.seqs == missed
            assert gateway.calls() == before


async def test_after_the_recent_window_the_durable_replays(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    """P2.6, P4.2."""
    async with running_gateway(nats_server, tmp_path, **SMALL) as gateway:
        resume = await leave(gateway, nats_server, "after")
        missed = await publish(nats_server, "orders.c42.o1", 700)
        await publish(nats_server, "orders.c43.o1", 30)
        missed += await publish(nats_server, "orders.c42.o2", 5)
        await until(lambda: gateway.house.exchange.recent.head == missed[-1])
        pulls = gateway.calls()["CONSUMER.MSG.NEXT"]
        async with gateway.client("c42", ["orders.c42.>"], session="after", resume=resume, ack=True) as client:
            await client.until("live")
            assert client.frames[0]["outcome"] == "resumed"
            assert client.seqs == missed
            assert not client.of("gap")
            missed += await publish(nats_server, "orders.c42.o3", 3)
            await client.until("event", len(missed))
            assert client.seqs == missed
        assert gateway.calls()["CONSUMER.MSG.NEXT"] > pulls
        assert gateway.house.counters.events_from_durables >= 690


async def test_a_quiet_session_needs_no_durable_after_the_recent_window(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    async with running_gateway(nats_server, tmp_path, **SMALL) as gateway:
        resume = await leave(gateway, nats_server, "quiet")
        others = await publish(nats_server, "orders.c43.o1", 50)
        await until(lambda: gateway.house.exchange.recent.head == others[-1])
        await until(lambda: not len(gateway.house.parking))
        before = gateway.calls()
        async with gateway.client("c42", ["orders.c42.>"], session="quiet", resume=resume) as client:
            await client.until("live")
            assert client.seqs == []
            after = gateway.calls()
        assert {verb for verb in after if after[verb] != before.get(verb, 0)} == {"STREAM.INFO", "STREAM.MSG.GET"}


async def test_after_the_durable_was_collected_it_is_rebuilt_from_the_cursor(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    changes = {**SMALL, "durables": {"inactive_threshold_s": 1, "park_after_s": 0}}
    async with running_gateway(nats_server, tmp_path, **changes) as gateway, linked(nats_server) as operator:
        resume = await leave(gateway, nats_server, "collected")
        api = Api(operator)
        name = f"EVENTS.{key_of('collected')}"

        async def exists() -> bool:
            return not isinstance(await api.call("CONSUMER.INFO", name, None, ConsumerInfo), ApiError)

        await until(exists)
        missed = await publish(nats_server, "orders.c42.o1", 40)

        async def is_gone() -> bool:
            return not await exists()

        await until(is_gone, 15)
        async with gateway.client("c42", ["orders.c42.>"], session="collected", resume=resume) as client:
            await client.until("live")
            assert client.seqs == missed


async def test_a_parked_durable_shows_how_far_behind_its_session_is(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    async with running_gateway(nats_server, tmp_path) as gateway, linked(nats_server) as operator:
        await leave(gateway, nats_server, "parked")
        await publish(nats_server, "orders.c42.o1", 6)
        api = Api(operator)

        async def pending() -> bool:
            info = await api.call("CONSUMER.INFO", f"EVENTS.{key_of('parked')}", None, ConsumerInfo)
            if isinstance(info, ApiError):
                return False
            metadata = info.config["metadata"]
            assert (metadata["subject"], metadata["session"]) == ("c42", "parked")
            return info.num_pending == 6

        await until(pending)


async def test_expired_events_are_told_as_a_gap(tmp_path: Path) -> None:
    """P2.37, P4.12."""
    async with running_server(tmp_path / "nats", topology=Topology()) as server, linked(server) as operator:
        async with running_gateway(server, tmp_path / "gateway", **SMALL) as gateway:
            resume = await leave(gateway, server, "expired")
            lost = await publish(server, "orders.c42.o1", 20)
            kept = await publish(server, "orders.c42.o2", 20)
            await Api(operator).call("STREAM.PURGE", "EVENTS", {"seq": kept[0]}, dict)
            async with gateway.client("c42", ["orders.c42.>"], session="expired", resume=resume) as client:
                await client.until("live")
                assert client.frames[0]["outcome"] == "gap"
                assert client.of("gap") == [{"type": "gap", "after": resume[1], "before": kept[0], "reason": "expired"}]
                assert client.seqs == kept
                assert lost[-1] < kept[0]


async def test_deleted_events_are_told_as_a_gap(tmp_path: Path) -> None:
    """P2.37."""
    async with running_server(tmp_path / "nats", topology=Topology()) as server, linked(server) as operator:
        async with running_gateway(server, tmp_path / "gateway", **SMALL) as gateway:
            resume = await leave(gateway, server, "deleted")
            seqs = await publish(server, "orders.c42.o1", 30)
            await Api(operator).call("STREAM.MSG.DELETE", "EVENTS", {"seq": seqs[4]}, dict)
            async with gateway.client("c42", ["orders.c42.>"], session="deleted", resume=resume) as client:
                await client.until("live")
                gap = client.of("gap")
                assert [(g["after"], g["before"], g["reason"]) for g in gap] == [(seqs[3], seqs[5], "deleted")]
                assert client.frames.index(gap[0]) < client.frames.index(client.of("event")[4])
                assert client.seqs == seqs[:4] + seqs[5:]
        # a gateway that begins now reads past the hole: its recent window knows it
        async with running_gateway(server, tmp_path / "gateway") as gateway:
            async with gateway.client("c42", ["orders.c42.>"], session="deleted", resume=resume) as client:
                await client.until("live")
                assert client.frames[0]["outcome"] == "gap"
                assert [(g["after"], g["before"]) for g in client.of("gap")] == [(seqs[3], seqs[5])]
                assert client.seqs == seqs[:4] + seqs[5:]


async def test_a_replaced_stream_is_told_as_a_gap_and_nothing_of_the_new_one_is_missed(tmp_path: Path) -> None:
    """P2.7, P4.10, P4.11."""
    async with running_server(tmp_path / "nats", topology=Topology()) as server:
        async with running_gateway(server, tmp_path / "gateway") as gateway:
            resume = await leave(gateway, server, "replaced")
            async with gateway.client("c42", ["orders.c42.>"], session="live-one") as live:
                await live.until("live")
                await fresh_stream(server)
                seqs = await publish(server, "orders.c42.o1", 4)
                assert await live.closed(20) == 4006
            await until(lambda: gateway.house.is_ready, 20)
            async with gateway.client("c42", ["orders.c42.>"], session="replaced", resume=resume) as client:
                await client.until("live")
                assert client.frames[0]["outcome"] == "gap"
                assert client.frames[0]["stream"] != resume[0]
                assert [g["reason"] for g in client.of("gap")] == ["stream_replaced"]
                assert client.seqs == seqs


async def test_a_trickle_reader_loses_nothing_and_is_not_disconnected(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """P4.4."""
    async with running_gateway(nats_server, tmp_path, **SMALL) as gateway:
        trickle = gateway.client("c42", ["orders.c42.>"], session="trickle", window={"messages": 5, "bytes": 4096})
        async with trickle:
            await trickle.until("live")
            seqs = await publish(nats_server, "orders.c42.o1", 200)
            acked = 0
            while len(trickle.seqs) < 200:
                await trickle.until("event", min(200, acked + 5))
                assert len(trickle.seqs) <= acked + 5
                acked = len(trickle.seqs)
                await trickle.send({"type": "ack", "seq": trickle.seqs[-1]})
            assert trickle.seqs == seqs
            await trickle.until("live", 2)
            assert trickle.close_code is None


async def test_the_cursor_survives_when_the_client_forgets(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    """P2.12, P2.13, P4.3."""
    async with running_gateway(nats_server, tmp_path) as gateway:
        await leave(gateway, nats_server, "forgets")
        missed = await publish(nats_server, "orders.c42.o1", 3)
        async with gateway.client("c42", None, session="forgets") as client:
            await client.until("live")
            assert client.frames[0]["subjects"] == ["orders.c42.>"]
            assert client.seqs == missed
            await client.send({"type": "ack", "seq": missed[0]})
            await until(lambda: gateway.house.exchange.by_key[key_of("forgets")].cursor.saved_through == missed[0])
    async with (
        running_gateway(nats_server, tmp_path) as gateway,
        gateway.client("c42", None, session="forgets") as client,
    ):
        await client.until("live")
        assert client.seqs == missed[1:]


async def test_a_gap_is_told_again_until_the_client_has_acknowledged_behind_it(tmp_path: Path) -> None:
    """P2.37."""
    async with running_server(tmp_path / "nats", topology=Topology()) as server, linked(server) as operator:
        async with running_gateway(server, tmp_path / "gateway", **SMALL) as gateway:
            await leave(gateway, server, "deaf")
            await publish(server, "orders.c42.o1", 20)
            kept = await publish(server, "orders.c42.o2", 5)
            await Api(operator).call("STREAM.PURGE", "EVENTS", {"seq": kept[0]}, dict)
            for _ in range(2):
                async with gateway.client("c42", None, session="deaf") as client:
                    await client.until("live")
                    assert [g["reason"] for g in client.of("gap")] == ["expired"]
                    await client.cut()  # as though the frame had never arrived: nothing was acknowledged
                await until(lambda: not gateway.house.exchange.by_key)
            async with gateway.client("c42", None, session="deaf") as client:
                await client.until("live")
                await client.send({"type": "ack", "seq": kept[1]})
                await until(lambda: gateway.house.exchange.by_key[key_of("deaf")].session.acked == kept[1])
            await until(lambda: not gateway.house.exchange.by_key)
            async with gateway.client("c42", None, session="deaf") as client:
                await client.until("live")
                assert not client.of("gap")
                assert client.seqs == kept[2:]


async def test_a_client_that_acknowledges_by_count_alone_is_not_left_waiting(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    async with running_gateway(nats_server, tmp_path, recent={"recent_events": 2}) as gateway:
        async with gateway.client("c42", ["orders.c42.>"], session="counts", window={"messages": 10}) as client:
            await client.until("live")
            seqs = await publish(nats_server, "orders.c42.o1", 40)
            await client.until("event", 10)
            for acked in range(3, 31, 7):  # never half of the window at once
                await client.send({"type": "ack", "seq": seqs[acked]})
                await client.until("event", min(40, acked + 11))
            assert client.seqs == seqs[: len(client.seqs)]

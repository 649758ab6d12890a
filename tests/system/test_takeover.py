"""Takeover on real sockets, in one gateway and across two: the newest connection wins, and the cursor stays honest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher
from replay.record import Owner, session_key
from tests.gateways import Gateway, running_gateway
from tests.servers import linked
from tests.system.publishing import publish
from tests.until import until
from tests.wire_client import WireClient

ISSUER = "tidewire-development"
TAKEN_OVER = {"type": "goodbye", "code": 4509, "reason": "taken over", "reconnect": False}


def key_of(subject: str, session: str) -> str:
    return session_key(Owner(ISSUER, subject, session))


@contextlib.asynccontextmanager
async def gateways(server: EmbeddedServer, folder: Path, count: int) -> AsyncIterator[list[Gateway]]:
    """So many gateways on one NATS, with the same keys."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running_gateway(server, folder)) for _ in range(count)]


async def stored_cursor(gateway: Gateway, key: str) -> int:
    known = await gateway.house.cursors.load(key, from_leader=True)
    assert known.record is not None
    return known.record.acked


async def is_taken_over(client: WireClient) -> None:
    assert (await client.closed(), client.close_reason) == (4509, "taken over")
    assert client.frames[-1] == TAKEN_OVER


@pytest.mark.parametrize("count", [1, 2])
async def test_the_newest_connection_takes_the_session_over(
    nats_server: EmbeddedServer, tmp_path: Path, count: int
) -> None:  # P4.6
    name = f"over{count}"
    async with gateways(nats_server, tmp_path, count) as all_gateways:
        first, second = all_gateways[0], all_gateways[-1]
        async with (
            linked(nats_server, user="publisher") as link,
            Publisher(link) as publisher,
            first.client("t1", ["orders.t1.>"], session=name) as old,
        ):
            await old.until("live")
            seqs = [(await publisher.publish("orders.t1.o1", {"n": n})).seq for n in range(5)]
            await old.until("event", 5)
            await old.send({"type": "ack", "seq": seqs[1]})
            await until(lambda: first.house.exchange.by_key[key_of("t1", name)].session.acked == seqs[1])
            under_way = [await publisher.hand_over("orders.t1.o2", {"n": n}) for n in range(50)]
            async with second.client("t1", ["orders.t1.>"], session=name, ack=True) as new:
                await is_taken_over(old)
                under_way += [await publisher.hand_over("orders.t1.o3", {"n": n}) for n in range(50)]
                seqs += [(await each).seq for each in under_way]
                await new.until("event", len(new.of("event")))
                await until(lambda: bool(new.seqs) and new.seqs[-1] == seqs[-1])
                assert new.frames[0]["outcome"] == "resumed"
                # an ack that was not stored yet is repeated at most; nothing else is, and nothing is lost
                assert new.seqs in (seqs[2:], seqs)
                assert new.seqs == seqs[2:] or count == 2
                assert old.seqs == sorted(set(old.seqs))


@pytest.mark.parametrize("count", [1, 2])
async def test_of_fifty_racing_resumes_exactly_one_lives_and_loses_nothing(
    nats_server: EmbeddedServer, tmp_path: Path, count: int
) -> None:  # B6
    name = f"race{count}"
    key = key_of("t2", name)
    async with gateways(nats_server, tmp_path, count) as all_gateways:
        async with all_gateways[0].client("t2", ["orders.t2.>"], session=name) as client:
            await client.until("live")
            stream = client.frames[0]["stream"]
            seqs = await publish(nats_server, "orders.t2.o1", 6)
            await client.until("event", 6)
            await client.send({"type": "ack", "seq": seqs[1]})
            await client.cut()
        clients = [
            all_gateways[place % count].client("t2", ["orders.t2.>"], session=name, resume=(stream, seqs[1]))
            for place in range(50)
        ]
        await asyncio.gather(*(client.open() for client in clients))
        await asyncio.gather(*(client.send(client.connect_frame) for client in clients))

        def alive() -> list[WireClient]:
            return [client for client in clients if client.close_code is None]

        await until(lambda: len(alive()) == 1, 15)
        (winner,) = alive()
        assert {client.close_code for client in clients} == {None, 4509}
        await winner.until("live")
        more = await publish(nats_server, "orders.t2.o2", 3)
        await winner.until("event", 7)
        assert winner.seqs == seqs[2:] + more
        assert len(alive()) == 1
        assert await stored_cursor(all_gateways[0], key) == seqs[1]
        await winner.send({"type": "ack", "seq": seqs[3]})
        await until(lambda: asks(all_gateways[0], key, seqs[3]))
        assert winner.close_code is None
        await asyncio.gather(*(client.close() for client in clients))


async def asks(gateway: Gateway, key: str, seq: int) -> bool:
    return await stored_cursor(gateway, key) == seq


@pytest.mark.parametrize("count", [1, 2])
async def test_a_late_ack_of_the_loser_moves_nothing(nats_server: EmbeddedServer, tmp_path: Path, count: int) -> None:
    name = f"late{count}"
    async with gateways(nats_server, tmp_path, count) as all_gateways:
        first, second = all_gateways[0], all_gateways[-1]
        async with first.client("t3", ["orders.t3.>"], session=name) as old:
            await old.until("live")
            seqs = await publish(nats_server, "orders.t3.o1", 4)
            await old.until("event", 4)
            async with second.client("t3", ["orders.t3.>"], session=name) as new:
                await new.until("event", 4)
                with contextlib.suppress(Exception):  # the socket may be closed already
                    await old.send({"type": "ack", "seq": seqs[-1]})
                await is_taken_over(old)
                await new.send({"type": "ack", "seq": seqs[0]})
                await until(lambda: asks(first, key_of("t3", name), seqs[0]))
                await new.cut()
        async with first.client("t3", None, session=name) as back:
            await back.until("live")
            assert back.seqs == seqs[1:]


async def test_a_gateway_that_hears_of_no_takeover_cannot_move_the_cursor(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # P4.6
    """The word between gateways is a courtesy; what protects the cursor is the claim in the bucket."""
    name = "deaf"
    async with gateways(nats_server, tmp_path, 2) as (first, second):
        link = second.house.link
        publish_all = link.publish

        async def mute(subject: str, *rest: object, **more: object) -> None:
            if not subject.startswith("tidewire.gateway."):
                await publish_all(subject, *rest, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(link, "publish", mute)
        async with first.client("t4", ["orders.t4.>"], session=name) as old:
            await old.until("live")
            seqs = await publish(nats_server, "orders.t4.o1", 4)
            await old.until("event", 4)
            async with second.client("t4", ["orders.t4.>"], session=name) as new:
                await new.until("event", 4)
                assert old.close_code is None
                await old.send({"type": "ack", "seq": seqs[-1]})
                await is_taken_over(old)
                assert await stored_cursor(second, key_of("t4", name)) < seqs[0]
                assert new.close_code is None


@pytest.mark.parametrize("count", [1, 2])
async def test_another_users_token_with_the_same_name_is_another_session(
    nats_server: EmbeddedServer, tmp_path: Path, count: int
) -> None:  # B1
    """P2.11, P2.13."""
    name = f"mine{count}"
    async with gateways(nats_server, tmp_path, count) as all_gateways:
        async with all_gateways[0].client("t5", ["orders.t5.>"], session=name) as victim:
            await victim.until("live")
            stream = victim.frames[0]["stream"]
            seqs = await publish(nats_server, "orders.t5.o1", 3)
            await victim.until("event", 3)
            thief = all_gateways[-1].client("t6", None, session=name, resume=(stream, 0))
            async with thief:
                await thief.until("live")
                assert (thief.frames[0]["subjects"], thief.seqs) == ([], [])
                await thief.send({"type": "ack", "seq": thief.of("live")[-1]["seq"]})
                await thief.send({"type": "subscribe", "id": 1, "subjects": ["orders.t5.>"]})
                assert (await thief.answer(1))["error"]["code"] == "forbidden"
                seqs += await publish(nats_server, "orders.t5.o2", 1)
                await victim.until("event", 4)
                assert (thief.seqs, victim.close_code) == ([], None)
            await victim.cut()
        async with all_gateways[-1].client("t5", None, session=name) as back:
            await back.until("live")
            assert back.seqs == seqs


async def test_a_gateway_that_remembers_an_older_cursor_learns_the_newer_one(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:  # P4.3
    key = key_of("t7", "moves")
    async with gateways(nats_server, tmp_path, 2) as (first, second):
        async with first.client("t7", ["orders.t7.>"], session="moves") as client:
            await client.until("live")
            seqs = await publish(nats_server, "orders.t7.o1", 4)
            await client.until("event", 4)
            await client.send({"type": "ack", "seq": seqs[0]})
        await until(lambda: not first.house.exchange.by_key)
        async with second.client("t7", None, session="moves") as client:
            await client.until("event", 3)
            await client.send({"type": "ack", "seq": seqs[2]})
        await until(lambda: not second.house.exchange.by_key)
        async with first.client("t7", None, session="moves") as client:
            await client.until("live")
            assert client.seqs == seqs[3:]
            assert await stored_cursor(second, key) == seqs[2]

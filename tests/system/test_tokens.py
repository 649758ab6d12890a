"""Tokens over a real socket: the attack list, expiry to the second, and whose events and sessions a token opens."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed

from mesh.embedded import EmbeddedServer
from mesh.publisher import Publisher
from tests.gateways import Gateway, running_gateway
from tests.security.attack_tokens import ISSUER, Attack, Forge, attacks, further_attacks
from tests.servers import linked
from tests.system.publishing import publish
from tests.system.server_logs import server_logs
from tests.until import until
from tests.wire_client import JSON, MSGPACK

DEVELOPMENT = "tidewire-development"
READ = ["orders.{sub}.>"]


class Shop:
    """A gateway that trusts two issuers, and the foreign one's forge."""

    def __init__(self, gateway: Gateway, forge: Forge) -> None:
        self.gateway = gateway
        self.forge = forge


@pytest_asyncio.fixture(scope="module")
async def shop(nats_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    folder = tmp_path_factory.mktemp("tokens")
    forge = Forge(int(time.time()))
    jwks = folder / "foreign.json"
    jwks.write_bytes(forge.jwks())
    issuers = [
        {"name": DEVELOPMENT, "jwks": str(folder / "jwks.json"), "read": READ},
        {"name": ISSUER, "jwks": str(jwks), "read": READ},
    ]
    async with running_gateway(nats_server, folder, issuers=issuers) as gateway:
        yield Shop(gateway, forge)


async def refusal(gateway: Gateway, token: Any, encoding: str = JSON) -> tuple[int, str, list[dict[str, Any]]]:
    client = gateway.client("c42", ["orders.c42.>"], encoding=encoding)
    client.connect_frame["token"] = token
    async with client:
        return await client.closed(), client.close_reason, client.frames


async def until_time(unix_s: float) -> None:
    await until(lambda: time.time() >= unix_s)


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
async def test_every_attack_ends_in_the_one_close_and_tells_nothing(shop: Shop, encoding: str) -> None:  # A1
    """P3.2, P3.3."""
    gateway = shop.gateway
    tried: list[Attack] = [*attacks(shop.forge), *further_attacks(shop.forge)]
    assert {attack.number for attack in tried} >= set(range(1, 57))
    refused = gateway.house.counters.tokens_refused.total()
    with server_logs() as logs:
        for attack in tried:
            answer = await refusal(gateway, attack.token, encoding)
            assert answer == (4501, "unauthorized", []), attack.name
    assert gateway.house.counters.tokens_refused.total() == refused + len(tried)
    _, metrics = await gateway.get("/metrics")
    for attack in tried:
        for part in filter(lambda part: len(part) > 20, attack.token.split(".")):
            assert part not in logs.text, attack.name
            assert part not in metrics, attack.name


async def test_the_good_token_of_the_attack_list_is_let_in(shop: Shop) -> None:
    async with shop.gateway.client("c42", ["orders.c42.>"], token=shop.forge.token()) as client:
        await client.until("live")


@pytest.mark.parametrize("token", ["", ".", "..", "...", "a.b.c", "x" * 60_000, "\u00e9" * 100, "\0", "Bearer x"])
async def test_a_text_that_is_no_token_is_refused_alike(shop: Shop, token: str) -> None:
    for encoding in (JSON, MSGPACK):
        assert await refusal(shop.gateway, token, encoding) == (4501, "unauthorized", [])


async def test_a_token_that_has_just_ended_is_told_from_one_that_ended_long_ago(shop: Shop) -> None:  # P3.3
    now = int(time.time())
    just = shop.forge.token(payload={"exp": now - 1, "iat": now - 900})
    assert await refusal(shop.gateway, just) == (4004, "token expired", [])
    long = shop.forge.token(payload={"exp": now - 30, "iat": now - 900})
    assert await refusal(shop.gateway, long) == (4501, "unauthorized", [])


async def test_no_event_of_after_the_end_is_delivered_live(shop: Shop, nats_server: EmbeddedServer) -> None:  # A7
    """P4.7."""
    gateway = shop.gateway
    token = gateway.token("a7live", ttl_s=2)
    async with (
        gateway.client("a7live", ["orders.a7live.>"], token=token) as client,
        linked(nats_server, user="publisher") as link,
        Publisher(link) as publisher,
    ):
        await client.until("live")
        expires = client.frames[0]["expires"]
        await until_time(expires - 0.3)
        stored = 0
        while client.close_code is None:
            await publisher.publish("orders.a7live.o1", {"n": 1})
            stored += 1
        events = client.of("event")
        assert 0 < len(events) < stored
        assert max(event["time"] for event in events) < time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(expires))
        assert (client.close_code, client.close_reason) == (4004, "token expired")
        assert client.frames[-1] == {"type": "goodbye", "code": 4004, "reason": "token expired", "reconnect": True}
        assert client.of("expiring")[0]["in"] <= 1


async def test_no_event_is_replayed_after_the_end(shop: Shop, nats_server: EmbeddedServer) -> None:  # A7
    """P4.7."""
    gateway = shop.gateway
    seqs = await publish(nats_server, "orders.a7replay.o1", 5)
    await until(lambda: gateway.house.exchange.recent.head >= seqs[-1])
    resume = (gateway.house.exchange.identity, seqs[0] - 1)
    late, lates = 0, 3
    for place in range(lates):
        token = gateway.token("a7replay", ttl_s=2)
        async with gateway.client(
            "a7replay", ["orders.a7replay.>"], token=token, session=f"a7-{place}", resume=resume, window={"messages": 1}
        ) as client:
            await client.until("event")
            expires = client.frames[0]["expires"]
            await until_time(expires)
            late += client.close_code is None
            with contextlib.suppress(ConnectionClosed):  # it may be closing at this moment
                await client.send({"type": "ack", "seq": seqs[0]})
            assert await client.closed() == 4004
            assert client.seqs == seqs[:1]
        # what was not delivered is not lost: a new token gets it
        async with gateway.client("a7replay", ["orders.a7replay.>"], session=f"a7-{place}") as again:
            await again.until("live")
            assert again.seqs == seqs[-len(again.seqs) :]
            assert again.seqs[0] in seqs[:2]
        if late:
            return
    raise AssertionError("the clock ended the session each time before an ack could come late")


async def test_a_token_opens_its_own_subjects_only(shop: Shop, nats_server: EmbeddedServer) -> None:  # B8
    """P2.32, P4.7."""
    gateway = shop.gateway
    foreign = shop.forge.token(payload={"sub": "c77"})
    async with (
        gateway.client("c42", ["orders.c42.>"], session="mine") as mine,
        gateway.client("c77", ["orders.c77.>", "orders.c42.>"], session="mine", token=foreign) as other,
    ):
        await mine.until("live")
        await other.until("live")
        assert other.frames[0]["denied"] == ["orders.c42.>"]
        for_mine = await publish(nats_server, "orders.c42.o1", 3)
        for_other = await publish(nats_server, "orders.c77.o1", 3)
        await mine.until("event", 3)
        await other.until("event", 3)
        assert (mine.seqs, other.seqs) == (for_mine, for_other)


async def test_the_same_subject_of_another_issuer_has_a_session_of_its_own(
    shop: Shop, nats_server: EmbeddedServer
) -> None:  # B7
    """P2.11."""
    gateway = shop.gateway
    async with gateway.client("c42", ["orders.c42.>"], session="b7") as mine:
        await mine.until("live")
        seqs = await publish(nats_server, "orders.c42.o1", 3)
        await mine.until("event", 3)
        async with gateway.client("c42", None, session="b7", token=shop.forge.token()) as other:
            await other.until("live")
            assert other.frames[0]["outcome"] == "fresh"
            assert other.frames[0]["subjects"] == []
            assert other.seqs == []
            await other.send({"type": "ack", "seq": seqs[-1]})
        more = await publish(nats_server, "orders.c42.o2", 1)
        await mine.until("event", 4)
        await mine.cut()
    async with gateway.client("c42", None, session="b7") as back:  # the other's ack was its own
        await back.until("live")
        assert back.seqs == seqs + more


async def test_a_flood_of_bad_tokens_does_not_keep_good_ones_out(shop: Shop) -> None:  # D7
    gateway, bad = shop.gateway, Forge(int(time.time())).token()

    async def flood() -> None:
        for _ in range(10):
            assert (await refusal(gateway, bad))[0] == 4501

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(flood())
        for _ in range(5):
            async with gateway.client("c42", ["orders.c42.>"]) as client:
                await client.until("live", within_s=5)

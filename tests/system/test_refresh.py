"""Refresh over a real socket: it extends, it shrinks, and nobody else's token takes the connection over."""

import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mesh.embedded import EmbeddedServer
from tests.gateways import Gateway, running_gateway
from tests.security.attack_tokens import ISSUER, Forge
from tests.system.publishing import publish
from tests.until import until
from tests.wire_client import JSON, MSGPACK, WireClient

ENCODINGS = [JSON, MSGPACK]
DEVELOPMENT = "tidewire-development"
READ = ["orders.{sub}.>", "events.{sub}.>"]


@pytest_asyncio.fixture(scope="module")
async def forge() -> Forge:
    return Forge(int(time.time()))


@pytest_asyncio.fixture(scope="module")
async def gateway(
    nats_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, forge: Forge
) -> AsyncIterator[Gateway]:
    folder = tmp_path_factory.mktemp("refresh")
    (folder / "foreign.json").write_bytes(forge.jwks())
    issuers = [
        {"name": DEVELOPMENT, "jwks": str(folder / "jwks.json"), "read": READ},
        {"name": ISSUER, "jwks": str(folder / "foreign.json"), "read": READ},
    ]
    async with running_gateway(nats_server, folder, issuers=issuers) as started:
        yield started


async def live(client: WireClient) -> WireClient:
    await client.until("live")
    return client


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_refresh_carries_the_connection_past_the_end_of_its_first_token(
    gateway: Gateway, nats_server: EmbeddedServer, encoding: str
) -> None:  # P2.23, P2.39
    async with gateway.client("r1", ["orders.r1.>"], token=gateway.token("r1", ttl_s=2), encoding=encoding) as client:
        await live(client)
        ends = client.frames[0]["expires"]
        assert (await client.until("expiring"))[0]["in"] in (0, 1)
        new = gateway.token("r1", ttl_s=60)
        await client.send({"type": "refresh", "token": new, "id": "again"})
        reply = await client.answer("again")
        assert reply["data"]["expires"] >= ends + 50
        assert "denied" not in reply["data"]
        await until(lambda: time.time() > ends + 0.3)
        seqs = await publish(nats_server, "orders.r1.o1", 2)
        await client.until("event", 2)
        assert client.seqs == seqs
        assert client.close_code is None


async def test_a_reply_to_refresh_has_the_id_that_was_asked_with_or_none(gateway: Gateway) -> None:  # P2.23
    async with gateway.client("r1", ["orders.r1.>"]) as client:
        await live(client)
        for id_ in ("x", 7, ""):
            await client.send({"type": "refresh", "token": gateway.token("r1"), "id": id_})
            assert (await client.answer(id_))["id"] == id_
        await client.send({"type": "refresh", "token": gateway.token("r1")})
        await client.until("reply", 4)
        assert "id" not in client.of("reply")[3]


@pytest.mark.parametrize("whose", ["subject", "issuer", "tenant", "junk", "missing", "ended long ago"])
async def test_anybody_elses_token_ends_the_connection_and_leaves_the_session(
    gateway: Gateway, nats_server: EmbeddedServer, forge: Forge, whose: str
) -> None:  # A8
    """P2.23."""
    now = int(time.time())
    token = {
        "subject": gateway.token("r3"),
        "issuer": forge.token(payload={"sub": "r2"}),
        "tenant": gateway.token("r2", tenant="other"),
        "junk": "x",
        "missing": "",
        "ended long ago": gateway.state.mint("r2", 60, now - 600),
    }[whose]
    name = f"a8-{whose.split(maxsplit=1)[0]}"
    async with gateway.client("r2", ["orders.r2.>"], session=name) as client:
        await live(client)
        seqs = await publish(nats_server, "orders.r2.o1", 3)
        await client.until("event", 3)
        await client.send({"type": "ack", "seq": seqs[0]})
        await client.send({"type": "refresh", "token": token, "id": 1})
        assert (await client.closed(), client.close_reason) == (4501, "unauthorized")
        assert client.of("reply") == []
        assert client.of("goodbye")[0]["reconnect"] is False
    async with gateway.client("r2", None, session=name) as back:
        await live(back)
        assert (back.frames[0]["outcome"], back.frames[0]["subjects"]) == ("resumed", ["orders.r2.>"])
        assert back.seqs == seqs[1:]


async def test_a_token_that_has_just_ended_does_not_extend(gateway: Gateway) -> None:
    async with gateway.client("r1", ["orders.r1.>"]) as client:
        await live(client)
        await client.send({"type": "refresh", "token": gateway.state.mint("r1", 60, time.time() - 61)})
        assert await client.closed() in (4004, 4501)
        assert client.of("reply") == []


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_keys_that_appear_twice_in_refresh_close(gateway: Gateway, encoding: str) -> None:  # A10
    """P2.5."""
    token = gateway.token("r1")
    async with gateway.client("r1", ["orders.r1.>"], encoding=encoding) as client:
        await live(client)
        message: str | bytes
        if encoding == JSON:
            message = f'{{"type":"refresh","token":"x","id":1,"token":"{token}"}}'
        else:
            encode = msgspec.msgpack.encode
            fields: list[Any] = ["type", "refresh", "token", "x", "token", token]
            message = b"\x83" + b"".join(encode(item) for item in fields)
        await client.send_raw(message)
        assert (await client.closed(), client.close_reason) == (4400, "bad frame")


async def test_permissions_that_shrink_end_subscriptions_and_delivery(
    gateway: Gateway, nats_server: EmbeddedServer
) -> None:  # A9
    """P2.23, P4.7."""
    wide = {"read": ["orders.shared.>", "orders.other.o1"]}
    patterns = ["orders.r4.>", "orders.shared.>", "orders.other.o1"]
    narrow = gateway.token("r4", read=["orders.other.o1"])
    async with gateway.client("r4", patterns, session="a9", tidewire=wide) as client:
        await live(client)
        assert client.frames[0]["subjects"] == patterns
        before = await publish(nats_server, "orders.shared.o1", 1)
        await client.until("event")
        await client.send({"type": "refresh", "token": narrow, "id": 1})
        assert (await client.answer(1))["data"]["denied"] == ["orders.shared.>"]
        await publish(nats_server, "orders.shared.o1", 2)
        after = await publish(nats_server, "orders.other.o1", 1)
        await client.until("event", 2)
        assert client.seqs == before + after
        await client.send({"type": "subscribe", "id": 2, "subjects": ["orders.shared.>"]})
        assert (await client.answer(2))["error"]["code"] == "forbidden"
        await client.send({"type": "ack", "seq": after[-1]})
    # gone for good: a wider token later does not bring it back by itself
    async with gateway.client("r4", None, session="a9", tidewire=wide) as back:
        await live(back)
        assert back.frames[0]["subjects"] == ["orders.r4.>", "orders.other.o1"]
        assert back.seqs == []


async def test_a_narrower_token_on_return_gets_nothing_of_what_it_may_not_read(
    gateway: Gateway, nats_server: EmbeddedServer
) -> None:  # A9
    wide = {"read": ["orders.shared.>"]}
    async with gateway.client("r5", ["orders.r5.>", "orders.shared.>"], session="a9", tidewire=wide) as client:
        await live(client)
    await publish(nats_server, "orders.shared.o1", 3)
    mine = await publish(nats_server, "orders.r5.o1", 1)
    async with gateway.client("r5", None, session="a9") as back:
        await live(back)
        assert back.frames[0]["denied"] == ["orders.shared.>"]
        assert back.frames[0]["subjects"] == ["orders.r5.>"]
        assert back.seqs == mine


async def test_after_a_refresh_to_nothing_the_connection_is_silent(
    gateway: Gateway, nats_server: EmbeddedServer
) -> None:  # A9
    extra = ["orders.shared.>"]
    async with gateway.client("r6", extra, tidewire={"read": extra}) as client:
        await live(client)
        await client.send({"type": "refresh", "token": gateway.token("r6"), "id": 1})
        assert (await client.answer(1))["data"]["denied"] == extra
        gone = await publish(nats_server, "orders.shared.o1", 2)
        await until(lambda: gateway.house.exchange.recent.head >= gone[-1])
        await client.send({"type": "subscribe", "id": 2, "subjects": ["orders.r6.>"]})
        await client.answer(2)
        mine = await publish(nats_server, "orders.r6.o1", 1)
        await client.until("event")
        assert client.seqs == mine

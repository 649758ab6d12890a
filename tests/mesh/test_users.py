"""Acceptance E1 and E2: what each user of nats.conf needs works, everything else is refused."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from mesh.embedded import USERS, EmbeddedServer
from mesh.topology import Topology
from tests.servers import running_server
from tests.until import until


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    folder: Path = tmp_path_factory.mktemp("users")
    async with running_server(folder / "s", topology=Topology()) as server:
        yield server


class User:
    """A plain NATS client of one user, and its bare connection for what the client would hide."""

    def __init__(self, client: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.client = client
        self._reader = reader
        self._writer = writer

    async def ask(self, subject: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Request; the answer as JSON."""
        payload = b"" if body is None else json.dumps(body).encode()
        answer = await self.client.request(subject, payload, timeout=5, **more)
        decoded: dict[str, Any] = json.loads(answer.data)
        return decoded

    async def is_refused(self, what: str, subject: str) -> bool:
        """Whether the server says that this user may not publish or subscribe there."""
        line = f"PUB {subject} 2\r\n{{}}\r\n" if what == "publish" else f"SUB {subject} 7\r\n"
        self._writer.write(f"{line}PING\r\n".encode())
        said = []
        while (got := await self._reader.readline()) != b"PONG\r\n":  # the server answers in order
            said.append(got.decode())
        if what != "publish":
            self._writer.write(b"UNSUB 7\r\n")
        refused = [text for text in said if "Permissions Violation" in text and f'"{subject}"' in text]
        assert len(refused) <= 1
        return bool(refused)


Users = dict[str, User]


@contextlib.asynccontextmanager
async def raw(
    server: EmbeddedServer,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, dict[str, Any]]]:
    """A bare connection and the INFO that it begins with."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer, json.loads((await reader.readline()).removeprefix(b"INFO "))
    finally:
        writer.close()
        await writer.wait_closed()


def connect(**who: str) -> bytes:
    """What a client begins with."""
    return b"CONNECT " + json.dumps({"verbose": False, **who}).encode() + b"\r\nPING\r\n"


@pytest_asyncio.fixture(scope="module")
async def users(server: EmbeddedServer) -> AsyncIterator[Users]:
    async with contextlib.AsyncExitStack() as stack:
        made = {}
        for name, inbox in USERS.items():
            client = await nats.connect(server.url_of(name), inbox_prefix=inbox.encode(), allow_reconnect=False)
            stack.push_async_callback(client.close)
            reader, writer, _ = await stack.enter_async_context(raw(server))
            writer.write(connect(**{"user": name, "pass": server.password(name).reveal()}))
            assert await reader.readline() == b"PONG\r\n"
            made[name] = User(client, reader, writer)
        yield made


REFUSED: dict[str, list[tuple[str, str]]] = {
    "publisher": [
        ("publish", "$JS.API.INFO"),
        ("publish", "$JS.API.STREAM.INFO.EVENTS"),
        ("publish", "$JS.API.STREAM.NAMES"),
        ("publish", "$JS.API.STREAM.CREATE.MINE"),
        ("publish", "$JS.API.STREAM.UPDATE.EVENTS"),
        ("publish", "$JS.API.STREAM.PURGE.EVENTS"),
        ("publish", "$JS.API.STREAM.DELETE.EVENTS"),
        ("publish", "$JS.API.STREAM.MSG.DELETE.EVENTS"),
        ("publish", "$JS.API.STREAM.MSG.GET.EVENTS"),
        ("publish", "$JS.API.DIRECT.GET.EVENTS"),
        ("publish", "$JS.API.CONSUMER.CREATE.EVENTS"),
        ("publish", "$JS.API.CONSUMER.CREATE.EVENTS.mine.orders.>"),
        ("publish", "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.mine"),
        ("publish", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.s-1"),
        ("publish", "$JS.API.CONSUMER.RESET.EVENTS.s-1"),
        ("publish", "$JS.API.CONSUMER.DELETE.EVENTS.s-1"),
        ("publish", "$JS.ACK.EVENTS.s-1.1.1.1.0.0"),
        ("publish", "$KV.cursors.k"),
        ("publish", "tidewire.gateway.takeover"),
        ("publish", "tidewire.deadletter.orders"),
        ("publish", "_INBOX_gw.x"),
        ("publish", "$SYS.REQ.SERVER.PING"),
        ("subscribe", "orders.>"),
        ("subscribe", "_INBOX_gw.>"),
        ("subscribe", "_INBOX.>"),
        ("subscribe", "$KV.cursors.>"),
        ("subscribe", ">"),
    ],
    "gateway": [
        ("publish", "orders.c1.o1"),
        ("publish", "events.x"),
        ("publish", "$JS.API.INFO"),
        ("publish", "$JS.API.STREAM.NAMES"),
        ("publish", "$JS.API.STREAM.LIST"),
        ("publish", "$JS.API.STREAM.CREATE.MINE"),
        ("publish", "$JS.API.STREAM.UPDATE.EVENTS"),
        ("publish", "$JS.API.STREAM.PURGE.EVENTS"),
        ("publish", "$JS.API.STREAM.DELETE.EVENTS"),
        ("publish", "$JS.API.STREAM.MSG.DELETE.EVENTS"),
        ("publish", "$JS.API.STREAM.DELETE.KV_cursors"),
        ("publish", "$JS.API.STREAM.PURGE.KV_cursors"),
        ("publish", "$JS.API.STREAM.SNAPSHOT.EVENTS"),
        ("publish", "$JS.API.STREAM.INFO.KV_other"),
        ("publish", "$JS.API.STREAM.MSG.GET.KV_other"),
        ("publish", "$JS.API.DIRECT.GET.KV_other.$KV.other.k"),
        ("publish", "$JS.API.CONSUMER.CREATE.KV_other.c"),
        ("publish", "$JS.API.CONSUMER.MSG.NEXT.KV_other.c"),
        ("publish", "$JS.API.META.LEADER.STEPDOWN"),
        ("publish", "$JS.ACK.KV_other.c.1.1.1.0.0"),
        ("publish", "$KV.revoked.k"),
        ("publish", "_INBOX_pub.x"),
        ("publish", "$SYS.REQ.SERVER.PING"),
        ("subscribe", "orders.>"),
        ("subscribe", "_INBOX_pub.>"),
        ("subscribe", "_INBOX_op.>"),
        ("subscribe", "_INBOX.>"),
        ("subscribe", "$KV.cursors.>"),
        ("subscribe", "tidewire.>"),
        ("subscribe", ">"),
    ],
    "operator": [
        ("publish", "$JS.API.META.LEADER.STEPDOWN"),
        ("publish", "$JS.API.SERVER.REMOVE"),
        ("publish", "$JS.API.ACCOUNT.PURGE.A"),
        ("publish", "$JS.API.ACCOUNT.STREAM.MOVE.A.EVENTS"),
        ("publish", "$SYS.REQ.SERVER.PING"),
        ("publish", "$SYS.REQ.ACCOUNT.A.CONNZ"),
        ("publish", "_INBOX_gw.x"),
        ("publish", "_INBOX_pub.x"),
        ("publish", "_INBOX.x"),
        ("publish", "tidewire.deadletter.x"),
        ("publish", "payments.p1"),
        ("publish", "order"),
        ("publish", "$O.bucket.C.x"),
        ("subscribe", "orders.>"),
        ("subscribe", "events.>"),
        ("subscribe", "$KV.cursors.>"),
        ("subscribe", "_INBOX_gw.>"),
        ("subscribe", "_INBOX_pub.>"),
        ("subscribe", "_INBOX.>"),
        ("subscribe", "$SYS.>"),
        ("subscribe", "$JS.EVENT.>"),
        ("subscribe", ">"),
    ],
}


@pytest.mark.parametrize("name", list(USERS))
async def test_a_user_is_refused_what_is_not_its_own(name: str, users: Users) -> None:
    assert len(REFUSED[name]) >= 20
    allowed = [case for case in REFUSED[name] if not await users[name].is_refused(*case)]
    assert allowed == []


async def test_the_check_for_refusals_can_tell_what_is_allowed(users: Users) -> None:
    assert not await users["gateway"].is_refused("publish", "tidewire.gateway.x")
    assert not await users["gateway"].is_refused("subscribe", "tidewire.gateway.>")
    assert not await users["publisher"].is_refused("subscribe", "_INBOX_pub.x")


async def test_a_publisher_publishes_events_and_reads_the_acknowledgement(users: Users) -> None:
    for subject in ("orders.c1.o1", "events.e1"):
        assert (await users["publisher"].ask(subject, {}))["stream"] == "EVENTS"


async def test_a_gateway_reads_the_stream_through_its_consumers(users: Users) -> None:
    gateway = users["gateway"]
    await users["publisher"].ask("orders.gw.o1", {})
    assert (await gateway.ask("$JS.API.STREAM.INFO.EVENTS"))["config"]["name"] == "EVENTS"
    last = await gateway.ask("$JS.API.STREAM.MSG.GET.EVENTS", {"last_by_subj": "orders.gw.o1"})
    seq = last["message"]["seq"]
    got = await gateway.client.request("$JS.API.DIRECT.GET.EVENTS", json.dumps({"seq": seq}).encode(), timeout=5)
    assert got.data == b"{}"
    config = {"durable_name": "s-1", "name": "s-1", "ack_policy": "all", "filter_subject": "orders.gw.>"}
    body = {"stream_name": "EVENTS", "config": config, "action": ""}
    assert "error" not in await gateway.ask("$JS.API.CONSUMER.CREATE.EVENTS.s-1.orders.gw.>", body)
    inbox = gateway.client.new_inbox()  # a pulled event comes under its own subject
    answers = await gateway.client.subscribe(inbox)
    await gateway.client.publish("$JS.API.CONSUMER.MSG.NEXT.EVENTS.s-1", b'{"batch":1}', inbox)
    pulled = await answers.next_msg(5)
    assert pulled.subject == "orders.gw.o1"
    assert pulled.reply.startswith("$JS.ACK.EVENTS.s-1.")
    await gateway.client.publish(pulled.reply, b"+ACK")
    info: Callable[[], Any] = lambda: gateway.ask("$JS.API.CONSUMER.INFO.EVENTS.s-1")  # noqa: E731

    async def acknowledged() -> bool:
        return bool((await info())["ack_floor"]["stream_seq"] == seq)

    await until(acknowledged)
    assert "error" not in await gateway.ask("$JS.API.CONSUMER.RESET.EVENTS.s-1", {"seq": 1})
    assert (await gateway.ask("$JS.API.CONSUMER.DELETE.EVENTS.s-1"))["success"] is True


async def test_a_gateway_writes_reads_and_lists_cursors(users: Users) -> None:
    gateway = users["gateway"]
    assert (await gateway.ask("$KV.cursors.k1", {"seq": 7}))["stream"] == "KV_cursors"
    stale = await gateway.ask("$KV.cursors.k1", {"seq": 8}, headers={"Nats-Expected-Last-Subject-Sequence": "77"})
    assert "error" in stale
    got = await gateway.client.request("$JS.API.DIRECT.GET.KV_cursors.$KV.cursors.k1", timeout=5)
    assert json.loads(got.data) == {"seq": 7}
    listed = await gateway.ask("$JS.API.STREAM.INFO.KV_cursors", {"subjects_filter": "$KV.cursors.>"})
    assert listed["state"]["subjects"] == {"$KV.cursors.k1": 1}


async def test_gateways_reach_each_other_and_the_operator_sees_dead_letters(users: Users) -> None:
    heard = await users["gateway"].client.subscribe("tidewire.gateway.hello")
    dead = await users["operator"].client.subscribe("tidewire.deadletter.>")
    await users["operator"].ask("$JS.API.INFO")  # behind the subscription; nats-py's PING may overtake it
    await users["gateway"].client.publish("tidewire.gateway.hello", b"1")
    await users["gateway"].client.publish("tidewire.deadletter.orders", b"2")
    assert (await heard.next_msg(5)).data == b"1"
    assert (await dead.next_msg(5)).data == b"2"


async def test_an_operator_manages_streams_and_publishes(users: Users) -> None:
    operator = users["operator"]
    made = await operator.ask("$JS.API.STREAM.CREATE.MINE", {"name": "MINE", "subjects": ["mine.>"]})
    assert made["config"]["name"] == "MINE"
    assert (await operator.ask("$JS.API.STREAM.DELETE.MINE"))["success"] is True
    assert (await operator.ask("orders.op.o1", {}))["stream"] == "EVENTS"
    assert (await operator.ask("$JS.API.INFO"))["limits"]


async def test_an_operator_backs_a_stream_up_and_restores_it(users: Users) -> None:
    """What `nats stream backup` and `nats stream restore` do."""
    operator = users["operator"]
    await operator.ask("$JS.API.STREAM.CREATE.KV_spare", {"name": "KV_spare", "subjects": ["$KV.spare.>"]})
    for number in range(3):
        await operator.client.request(f"$KV.spare.{number}", Random(number).randbytes(900_000), timeout=5)
    came = await operator.client.subscribe("_INBOX_op.backup")
    told = await operator.ask("$JS.API.STREAM.SNAPSHOT.KV_spare", {"deliver_subject": "_INBOX_op.backup"})
    pieces, flow = [], set()
    while data := (piece := await came.next_msg(5)).data:
        pieces.append(data)
        if piece.reply:
            flow.add(piece.reply)
            await piece.respond(b"")
    assert flow
    assert not [subject for subject in flow if await operator.is_refused("publish", subject)]
    await operator.ask("$JS.API.STREAM.DELETE.KV_spare")
    where = await operator.ask("$JS.API.STREAM.RESTORE.KV_spare", {"config": told["config"], "state": told["state"]})
    for data in pieces:
        await operator.client.request(where["deliver_subject"], data, timeout=5)
    done = await operator.ask(where["deliver_subject"])
    assert done["state"]["messages"] == 3


async def test_a_publishers_headers_neither_purge_nor_expire_events(users: Users) -> None:
    publisher, operator = users["publisher"], users["operator"]
    await publisher.ask("orders.keep.o1", {})

    async def stored() -> int:
        return int((await operator.ask("$JS.API.STREAM.INFO.EVENTS"))["state"]["messages"])

    before = await stored()
    for headers in ({"Nats-Rollup": "all"}, {"Nats-Rollup": "sub"}, {"Nats-TTL": "1s"}):
        assert "error" in await publisher.ask("orders.keep.o1", {}, headers=headers)
    for call in ("STREAM.PURGE", "STREAM.MSG.DELETE", "STREAM.DELETE"):
        assert await publisher.is_refused("publish", f"$JS.API.{call}.EVENTS")
    assert await stored() == before


@pytest.mark.parametrize("who", [{}, {"user": "operator"}, {"user": "operator", "pass": ""}, {"auth_token": "x"}])
async def test_no_password_gets_nothing(server: EmbeddedServer, who: dict[str, str]) -> None:
    async with raw(server) as (reader, writer, info):
        assert info["auth_required"] is True
        writer.write(connect(**who))
        assert (await reader.readline()).startswith(b"-ERR 'Authorization Violation'")


async def test_the_server_says_its_limit_of_a_payload_and_listens_on_loopback(server: EmbeddedServer) -> None:
    async with raw(server) as (_, _, info):
        assert (info["host"], info["max_payload"]) == ("127.0.0.1", 1_048_576)

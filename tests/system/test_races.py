"""What meets at one moment on a running gateway: claims and drains, takeovers, replaced streams, bugs."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import frames
from gateway.claiming import CLAIMED_SUBJECT, Claim
from gateway.connection import UNSENT_MOST_BYTES, Connection
from gateway.effects import Effect
from gateway.house import FEED_SILENT_S
from gateway.session import Session
from mesh.api import Api, ApiError
from mesh.embedded import EmbeddedServer
from mesh.kv import Bucket, Conflict
from mesh.provision import provision
from mesh.topology import Topology
from replay.cursors import Known
from replay.record import Owner, Record, session_key
from tests.gateways import Gateway, running_gateway
from tests.servers import linked, running_server
from tests.system.publishing import publish
from tests.system.raw_socket import frame, raw_socket
from tests.until import until
from tests.wire_client import WireClient

USER = "rc1"
MINE = f"orders.{USER}.>"
EXTRA = "extra.rc1.>"


def key_of(session: str) -> str:
    return session_key(Owner("tidewire-development", USER, session))


def connection_of(gateway: Gateway, session: str) -> Connection:
    connection = gateway.house.exchange.by_key[key_of(session)]
    assert isinstance(connection, Connection)
    return connection


async def stored_record(gateway: Gateway, session: str) -> Record | None:
    return (await gateway.house.cursors.load(key_of(session), from_leader=True)).record


async def has_stored(gateway: Gateway, session: str, seq: int) -> bool:
    record = await stored_record(gateway, session)
    return record is not None and record.acked == seq


class HeldClaims:
    """Holds a gateway's writes of claims back until they are let go."""

    def __init__(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        claim = gateway.house.cursors.claim

        async def held(key: str, record: Record, known: Known) -> int | Conflict:
            self.reached.set()
            await self.go.wait()
            return await claim(key, record, known)

        monkeypatch.setattr(gateway.house.cursors, "claim", held)


# --- bugs ---


async def test_the_event_that_a_bug_kept_from_a_session_is_replayed_to_it(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise ValueError("a bug")

    async with running_gateway(nats_server, tmp_path) as gateway:
        async with gateway.client(USER, [MINE], session="r-offer") as client:
            await client.until("live")
            for step in ("offer", "offer_all", "admit"):  # the two events may come together
                monkeypatch.setattr(connection_of(gateway, "r-offer").session, step, broken)
            seqs = await publish(nats_server, "orders.rc1.o1", 2)
            assert await client.closed() == 1011
            assert client.seqs == []
        async with gateway.client(USER, None, session="r-offer") as back:
            await back.until("event", 2)
            assert back.frames[0]["outcome"] == "resumed"
            assert back.seqs == seqs


async def test_a_session_whose_start_fails_leaves_nothing_behind(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Session) -> list[Effect]:
        raise ValueError("a bug")

    loop = asyncio.get_running_loop()
    async with running_gateway(nats_server, tmp_path) as gateway:
        exchange = gateway.house.exchange
        with monkeypatch.context() as patched:
            patched.setattr(Session, "start", broken)
            async with gateway.client(USER, [MINE], session="r-start") as client:
                assert await client.closed() == 1011
        await until(lambda: not exchange.by_key)
        assert exchange.hub.held == 0
        assert exchange.empty.is_set()
        async with gateway.client(USER, [MINE], session="r-start") as client:
            await client.until("live")
            assert exchange.hub.held == 1
        begun = loop.time()
    assert loop.time() - begun < 3


async def test_a_bug_while_a_session_is_lost_stops_no_other_cursor(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[Effect]:
        raise ValueError("a bug")

    async with (
        running_gateway(nats_server, tmp_path) as first,
        running_gateway(nats_server, tmp_path) as second,
        first.client(USER, [MINE], session="r-lost") as old,
        first.client(USER, [MINE], session="r-fine") as other,
    ):
        await old.until("live")
        await other.until("live")
        mute(second, monkeypatch)  # the next write teaches it
        connection = connection_of(first, "r-lost")
        async with second.client(USER, [MINE], session="r-lost") as new:
            await new.until("live")
            assert old.close_code is None
            monkeypatch.setattr(connection.session, "close", broken)
            connection.save_soon()
            assert await old.closed() == 1011
            seqs = await publish(nats_server, "orders.rc1.o1", 1)
            await other.until("event")
            await other.send({"type": "ack", "seq": seqs[0]})
            await until(lambda: has_stored(first, "r-fine", seqs[0]))
            assert first.house.is_ready
            assert (other.close_code, new.close_code) == (None, None)


def mute(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Keep a gateway's words to the others back; returns where they gather."""
    kept: list[bytes] = []
    publish_all = gateway.house.link.publish

    async def muted(subject: str, payload: bytes, **more: Any) -> None:
        if subject == CLAIMED_SUBJECT:
            kept.append(payload)
        else:
            await publish_all(subject, payload, **more)

    monkeypatch.setattr(gateway.house.link, "publish", muted)
    return kept


# --- claims ---


async def test_a_claim_that_meets_a_replaced_stream_serves_nothing_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        running_server(tmp_path / "nats", topology=Topology()) as server,
        running_gateway(server, tmp_path / "gateway") as gateway,
    ):
        house = gateway.house
        async with gateway.client(USER, [MINE], session="r-swap", ack=True) as client:
            await client.until("live")
            await publish(server, "orders.rc1.o1", 20)
            await client.until("event", 20)
        await until(lambda: not house.exchange.by_key)
        old = house.exchange
        held = HeldClaims(gateway, monkeypatch)
        client = gateway.client(USER, [MINE], session="r-swap")
        async with client:
            await held.reached.wait()
            await replace_stream(server)
            await until(lambda: house.open_exchange not in (None, old) and house.is_ready, 20)
            held.go.set()
            assert await client.closed() == 4006
            assert client.frames == []
        assert house.exchange.by_key == old.by_key == {}
        seqs = await publish(server, "orders.rc1.o1", 2)
        async with gateway.client(USER, [MINE], session="r-swap") as back:
            await back.until("event", 2)
            welcome = back.frames[0]
            assert (welcome["stream"], welcome["outcome"], welcome["from"]) == (house.exchange.identity, "gap", 0)
            assert [gap["reason"] for gap in back.of("gap")] == ["stream_replaced"]
            assert back.seqs == seqs == [1, 2]


async def replace_stream(server: EmbeddedServer) -> None:
    """Make the stream of events anew; cursors stay."""
    async with linked(server) as operator:
        api = Api(operator)
        assert not isinstance(await api.call("STREAM.DELETE", "EVENTS", None, msgspec.Raw), ApiError)
        await provision(api, Topology())


async def test_a_late_word_of_an_older_claim_does_not_close_the_newest_connection(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        running_gateway(nats_server, tmp_path) as first,
        running_gateway(nats_server, tmp_path) as second,
        first.client(USER, [MINE], session="r-after") as after,
        first.client(USER, [MINE], session="r-late") as oldest,
    ):
        await after.until("live")
        await oldest.until("live")
        say = second.house.link.publish
        kept = mute(second, monkeypatch)
        async with second.client(USER, [MINE], session="r-late") as older:
            await older.until("live")
            async with first.client(USER, [MINE], session="r-late") as newest:
                await newest.until("live")
                assert await oldest.closed() == 4509
                (late,) = kept
                await say(CLAIMED_SUBJECT, late)
                # words come in order: once a newer one about another session has arrived, so has the late one
                newer = connection_of(first, "r-after").cursor.revision + 1_000_000
                await say(CLAIMED_SUBJECT, msgspec.json.encode(Claim(key_of("r-after"), "x", newer)))
                assert await after.closed() == 4509
                seqs = await publish(nats_server, "orders.rc1.o1", 1)
                await newest.until("event")
                assert (newest.seqs, newest.close_code) == (seqs, None)


@pytest.mark.parametrize("others", [0, 1])
async def test_who_claims_while_a_drain_begins_is_sent_on_and_holds_it_up_no_longer(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    loop = asyncio.get_running_loop()
    async with running_gateway(nats_server, tmp_path) as gateway:
        other = gateway.client(USER, [MINE], session="r-other")
        claimer = gateway.client(USER, [MINE], session="r-drain")
        if others:
            await other.open()
            await other.send(other.connect_frame)
            await other.until("live")
            leave_after(connection_of(gateway, "r-other"), claimer, monkeypatch)
        held = HeldClaims(gateway, monkeypatch)
        await claimer.open()
        await claimer.send(claimer.connect_frame)
        await held.reached.wait()
        letting_go = asyncio.create_task(let_go_in_drain(gateway, held))
        begun = loop.time()
    assert loop.time() - begun < 3
    await letting_go
    assert (await claimer.closed(), claimer.frames) == (4001, [])
    await claimer.close()
    if others:
        assert await other.closed() == 4001
        await other.close()


async def let_go_in_drain(gateway: Gateway, held: HeldClaims) -> None:
    await until(lambda: gateway.house.is_draining)
    held.go.set()


def leave_after(connection: Connection, client: WireClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection's close handshake takes until a client was closed, two seconds at most."""
    close = connection._close_socket

    async def closing(code: int) -> None:
        assert client.reader is not None
        await asyncio.wait([client.reader], timeout=2)
        await close(code)

    monkeypatch.setattr(connection, "_close_socket", closing)


# --- frames that come together ---


async def test_a_refresh_and_a_subscribe_in_one_message_to_a_narrower_token(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    async with running_gateway(nats_server, tmp_path) as gateway:
        async with gateway.client(USER, [MINE, EXTRA], tidewire={"read": [EXTRA]}) as client:
            await client.until("live")
            assert client.frames[0]["subjects"] == [MINE, EXTRA]
            await client.send(
                {"type": "refresh", "token": gateway.token(USER), "id": "r"},
                {"type": "subscribe", "id": "s", "subjects": [EXTRA]},
            )
            assert (await client.answer("s"))["error"]["code"] == "forbidden"
            assert (await client.answer("r"))["data"]["denied"] == [EXTRA]
            seqs = await publish(nats_server, "orders.rc1.o1", 1)
            await client.until("event")
            assert (client.seqs, client.close_code) == (seqs, None)
            assert gateway.house.exchange.hub.held == 1


async def test_a_refresh_and_a_subscribe_in_one_message_to_a_wider_token(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    async with running_gateway(nats_server, tmp_path) as gateway:
        async with gateway.client(USER, [MINE]) as client:
            await client.until("live")
            await client.send(
                {"type": "refresh", "token": gateway.token(USER, read=[EXTRA]), "id": "r"},
                {"type": "subscribe", "id": "s", "subjects": [EXTRA]},
            )
            assert "denied" not in (await client.answer("s"))["data"]
            assert "error" not in await client.answer("r")
            assert gateway.house.exchange.hub.held == 2


async def test_a_client_that_sends_without_reading_is_closed_before_answers_pile_up(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsent: list[int] = []
    receive = Connection.receive

    def measured(self: Connection, received: list[frames.Frame]) -> None:
        receive(self, received)
        unsent.append(self._transport.get_write_buffer_size())

    monkeypatch.setattr(Connection, "receive", measured)
    async with running_gateway(nats_server, tmp_path, limits={"write_stall_s": 60}) as gateway:
        closes = gateway.house.counters.closes
        plug = socket.socket()
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        plug.setblocking(False)  # noqa: FBT003  # positional only
        await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", gateway.port))
        async with raw_socket(gateway, sock=plug, limit=1_024) as deaf:
            await deaf.send(frame(msgspec.json.encode(gateway.client(USER, [MINE]).connect_frame)))
            assert b"welcome" in (await deaf.read())[1]
            asked = [MINE, *(f"no.{n:03}.{'x' * 230}" for n in range(127))]  # each answer names those that are denied
            ask = frame(msgspec.json.encode({"type": "subscribe", "id": 1, "subjects": asked}))
            while not closes[4002] and len(unsent) < 600:
                answered = len(unsent)
                await deaf.send(ask)
                await until(lambda answered=answered: len(unsent) > answered)  # type: ignore[misc]
        assert closes[4002] == 1
        assert UNSENT_MOST_BYTES < max(unsent) < UNSENT_MOST_BYTES + 2 * len(ask)
        await until(lambda: not gateway.house.exchange.by_key)


# --- what a gateway hears no more ---


async def test_a_feed_that_is_silent_serves_nobody_new_and_keeps_who_is_there(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_gateway(nats_server, tmp_path) as gateway:
        feed = gateway.house.feed
        assert feed is not None
        async with gateway.client(USER, [MINE]) as client:
            await client.until("live")
            monkeypatch.setattr(feed, "age_s", lambda _: FEED_SILENT_S - 0.001)
            assert (await gateway.get("/ready"))[0] == 200
            monkeypatch.setattr(feed, "age_s", lambda _: FEED_SILENT_S)
            assert (await gateway.get("/ready"))[0] == 503
            async with gateway.client(USER, [MINE]) as late:
                assert await late.closed() == 4006
            assert client.close_code is None
            monkeypatch.undo()
            assert (await gateway.get("/ready"))[0] == 200


async def test_a_cursor_that_vanished_is_written_anew_and_its_connection_lives_on(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    async with running_gateway(nats_server, tmp_path) as gateway:
        async with gateway.client(USER, [MINE], session="r-purged") as client:
            await client.until("live")
            seqs = await publish(nats_server, "orders.rc1.o1", 2)
            await client.until("event", 2)
            async with linked(nats_server) as operator:
                purge = {"filter": f"$KV.cursors.{key_of('r-purged')}"}
                done = await Api(operator).call("STREAM.PURGE", "KV_cursors", purge, dict[str, object])
                assert not isinstance(done, ApiError)
                assert done["purged"] == 1
            assert await stored_record(gateway, "r-purged") is None
            for seq in seqs:
                await client.send({"type": "ack", "seq": seq})
                await until(lambda seq=seq: has_stored(gateway, "r-purged", seq))  # type: ignore[misc]
            assert client.close_code is None


async def test_a_cursor_that_an_operator_deleted_ends_its_connection(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """P3.2, P4.9."""
    async with running_gateway(nats_server, tmp_path) as gateway:
        async with gateway.client(USER, [MINE], session="r-deleted") as client:
            await client.until("live")
            seqs = await publish(nats_server, "orders.rc1.o1", 1)
            await client.until("event")
            async with linked(nats_server) as operator:
                await Bucket(operator, Api(operator), "cursors").delete(key_of("r-deleted"))
            await client.send({"type": "ack", "seq": seqs[0]})
            assert await client.closed() == 4510
            assert await stored_record(gateway, "r-deleted") is None

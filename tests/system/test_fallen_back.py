"""The stream loses its newest events and grows again under the same sequences: every client is told, and gets them."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from gateway import reading
from gateway.cli import main
from mesh import epochs
from mesh.embedded import EmbeddedServer
from mesh.epoch import EPOCH_KEY, Epoch, decode_epoch
from mesh.epochs import Epochs
from mesh.feed import FeedSettings
from mesh.kv import Bucket
from mesh.topology import Topology
from tests.gateways import Gateway, running_gateway
from tests.older_copy import OlderCopy
from tests.servers import running_server
from tests.system.publishing import publish
from tests.tcp_proxy import TcpProxy
from tests.until import until

MINE = "orders.c42.>"
SUBJECT = "orders.c42.o1"
COPIED = 5
"""Events that the copy holds."""
READ = 5
"""Events that were read after it was taken, and are lost."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    async with running_server(tmp_path / "nats", topology=Topology()) as started:
        yield started


@pytest.fixture
async def copy(server: EmbeddedServer, tmp_path: Path) -> OlderCopy:
    """A copy of the stream's first events, before anything else."""
    await publish(server, SUBJECT, COPIED)
    made = OlderCopy(server, tmp_path / "copy")
    await made.take()
    return made


async def visit(gateway: Gateway, server: EmbeddedServer, session: str, count: int) -> tuple[str, int]:
    """Open a session, process so many events, go; the position that its client has stored."""
    async with gateway.client("c42", [MINE], session=session, ack=True) as client:
        await client.until("live")
        await publish(server, SUBJECT, count)
        await client.until("event", count)
        position = client.frames[0]["stream"], client.seqs[-1]
        await until(lambda: all(each.session.acked == position[1] for each in gateway.house.exchange.by_key.values()))
    await until(lambda: not gateway.house.exchange.by_key)
    return position


async def is_told(gateway: Gateway, session: str, resume: tuple[str, int], last_seq: int) -> None:
    """The client is told that the stream is another one, and gets all that it holds."""
    async with gateway.client("c42", [MINE], session=session, resume=resume, ack=True) as client:
        await client.until("live")
        welcome = client.frames[0]
        assert (welcome["outcome"], welcome["from"]) == ("gap", 0)
        assert welcome["stream"] != resume[0]
        assert [(gap["after"], gap["before"], gap["reason"]) for gap in client.of("gap")] == [(0, 1, "stream_replaced")]
        assert client.seqs == list(range(1, last_seq + 1))
        again = welcome["stream"], last_seq
        await until(lambda: all(each.session.acked == last_seq for each in gateway.house.exchange.by_key.values()))
    async with gateway.client("c42", [MINE], session=session, resume=again) as client:
        await client.until("live")
        assert (client.frames[0]["outcome"], client.of("gap"), client.seqs) == ("resumed", [], [])


@pytest.mark.parametrize("bucket_too", [False, True])
async def test_clients_of_a_gateway_that_was_cut_off_meanwhile_are_told(
    server: EmbeddedServer, copy: OlderCopy, tmp_path: Path, *, bucket_too: bool
) -> None:
    async with TcpProxy(server.port) as proxy:
        async with running_gateway(server, tmp_path, nats={"servers": [proxy.url]}) as gateway:
            away = await visit(gateway, server, "away", READ)
            async with gateway.client("c42", [MINE], session="here") as here:
                await here.until("live")
                proxy.refusing = True
                proxy.cut()
                await copy.put_back(bucket_too=bucket_too)
                await publish(server, SUBJECT, 3 * READ)
                proxy.refusing = False
                assert await here.closed() == 4006
                assert here.seqs == []
            await until(lambda: gateway.house.is_ready)
            await is_told(gateway, "away", away, COPIED + 3 * READ)
            await is_told(gateway, "here", (here.frames[0]["stream"], COPIED + READ), COPIED + 3 * READ)


async def test_clients_of_a_gateway_that_starts_afterwards_are_told(
    server: EmbeddedServer, copy: OlderCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WITNESS_EVERY_S", 60.0)  # only the end of a drain writes down what was read
    async with running_gateway(server, tmp_path) as gateway:
        away = await visit(gateway, server, "away", READ)
    await copy.put_back(bucket_too=False)
    await publish(server, SUBJECT, 3 * READ)
    async with running_gateway(server, tmp_path) as gateway:
        await is_told(gateway, "away", away, COPIED + 3 * READ)


async def test_what_was_read_is_written_down_while_it_is_read(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WITNESS_EVERY_S", 0.05)
    async with running_gateway(server, tmp_path) as gateway:
        for _ in range(2):
            seqs = await publish(server, SUBJECT, READ)

            async def is_written(seq: int = seqs[-1]) -> bool:
                kept = await kept_by(gateway)
                return kept is not None and kept.witness is not None and kept.witness.seq == seq

            await until(is_written)


async def kept_by(gateway: Gateway) -> Epoch | None:
    house = gateway.house
    entry, _ = await Bucket(house.link, house.api, "cursors").get_from_leader(EPOCH_KEY)
    return decode_epoch(entry.value) if entry is not None else None


async def test_a_gateway_that_starts_again_serves_the_same_stream(server: EmbeddedServer, tmp_path: Path) -> None:
    async with running_gateway(server, tmp_path) as gateway:
        away = await visit(gateway, server, "away", READ)
    await server.kill()
    await server.start()
    missed = await publish(server, SUBJECT, READ)
    async with running_gateway(server, tmp_path) as gateway:
        async with gateway.client("c42", [MINE], session="away", resume=away) as client:
            await client.until("live")
            assert (client.frames[0]["outcome"], client.seqs) == ("resumed", missed)


def ask_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noticed in the test is not noticed by a probe."""
    monkeypatch.setattr(reading, "FeedSettings", partial(FeedSettings, probe_s=60.0))


async def test_a_gateway_that_did_not_hear_of_a_new_epoch_learns_it_as_it_writes(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_rarely(monkeypatch)
    monkeypatch.setattr(reading, "WITNESS_EVERY_S", 0.05)
    monkeypatch.setattr(epochs, "EPOCH_SUBJECT", "tidewire.gateway.nobody")
    async with running_gateway(server, tmp_path) as gateway:
        before = await kept_by(gateway)
        assert before is not None
        async with gateway.client("c42", [MINE]) as client:
            await client.until("live")
            house = gateway.house
            newer = await Epochs(house.link, Bucket(house.link, house.api, "cursors")).begin(before.created)
            await publish(server, SUBJECT, 1)
            assert await client.closed() == 4006
        await until(lambda: house.is_ready)
        assert house.exchange.identity == newer.identity("EVENTS") != client.frames[0]["stream"]


async def test_where_the_bucket_was_put_back_as_well_an_operator_tells_everyone(
    server: EmbeddedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_rarely(monkeypatch)
    monkeypatch.setattr(reading, "WITNESS_EVERY_S", 60.0)
    await publish(server, SUBJECT, COPIED)
    async with running_gateway(server, tmp_path) as gateway:
        older = OlderCopy(server, tmp_path / "copy")
        early = await visit(gateway, server, "early", READ)
        assert (await kept_by(gateway)) is not None
    await older.take()
    async with running_gateway(server, tmp_path) as gateway:
        away = await visit(gateway, server, "away", READ)
    await older.put_back(bucket_too=True)
    await publish(server, SUBJECT, 3 * READ)
    async with running_gateway(server, tmp_path) as one, running_gateway(server, tmp_path) as two:
        options = ["--config", str(_file(one, tmp_path)), "--json"]
        assert early[0] == away[0] == one.house.exchange.identity, "nothing can be known"
        async with one.client("c42", [MINE]) as here, two.client("c42", [MINE]) as there:
            await here.until("live")
            await there.until("live")
            capsys.readouterr()
            assert await asyncio.to_thread(main, ["epoch", "new", *options]) == 0
            told = json.loads(capsys.readouterr().out)
            assert (await here.closed(), await there.closed()) == (4006, 4006)
        await until(lambda: one.house.is_ready and two.house.is_ready)
        assert one.house.exchange.identity == two.house.exchange.identity == told["stream"]
        await is_told(two, "away", away, COPIED + 4 * READ)
        assert await asyncio.to_thread(main, ["epoch", "show", *options]) == 0
        assert json.loads(capsys.readouterr().out)["stream"] == told["stream"]


def _file(gateway: Gateway, folder: Path) -> Path:
    """The gateway's configuration, as far as a command needs it."""
    path, nats = folder / "tidewire.toml", gateway.config.nats
    path.write_text(
        f"""profile = "development"
listen = {{plain = true}}
[nats]
servers = {json.dumps(nats.servers)}
user = "{nats.user}"
password_file = "{nats.password_file}"
[[issuers]]
name = "tidewire-development"
jwks = "{gateway.state.jwks}"
"""
    )
    return path

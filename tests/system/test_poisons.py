"""Events that end other readers: damaged subjects and headers, and headers of control messages. All are delivered."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from mesh.embedded import EmbeddedServer
from mesh.topology import Topology
from tests.gateways import Gateway, running_gateway
from tests.servers import running_server
from tests.system.raw_nats import RawMessage, publish_raw
from tests.until import until
from tests.wire_client import JSON, MSGPACK, WireClient

DAMAGED = 4
"""How many of the poisons are stored with a subject or header block that is not well formed.

The fifth has a status line of broken bytes: JetStream stores ``NATS/1.0`` in its place (seen with 2.15.1).
"""


def poisoned(subject: str) -> list[tuple[RawMessage, str]]:
    """Poisons, each between normal events and then in a row; with the subject that a client is shown.

    A header block of nothing but a status line would be dropped by JetStream, so there is a field behind it.
    """
    name = subject.encode()
    bad: list[tuple[RawMessage, str]] = [
        (RawMessage(name + b".\xff", b"1"), f"{subject}.\ufffd"),
        (RawMessage(name + b".\xf0\x9f\x98", b"", b"NATS/1.0\r\nA: \xff\r\n\r\n"), f"{subject}.\ufffd"),
        (RawMessage(name + b".h", b"3", b"NATS/1.0 \xff\xff\xff bad\r\nA: b\r\n\r\n"), f"{subject}.h"),
        (RawMessage(name + b".h", b"4", b"NATS/1.0"), f"{subject}.h"),
        (RawMessage(name + b".h", b"", b"NATS/1.0"), f"{subject}.h"),
    ]
    for status in (b"404 No Messages", b"408 Request Timeout", b"409 Consumer Deleted", b"100 Idle Heartbeat", b"503"):
        for body in (b"5", b""):
            bad.append((RawMessage(name + b".c", body, b"NATS/1.0 %s\r\nA: b\r\n\r\n" % status), f"{subject}.c"))
        forged = b"NATS/1.0\r\nStatus: %s\r\nDescription: x\r\n\r\n" % status
        bad.append((RawMessage(name + b".c", b"6", forged), f"{subject}.c"))
    pending = b"NATS/1.0 408 x\r\nNats-Pending-Messages: 1\r\nNats-Pending-Bytes: 9\r\n\r\n"
    bad.append((RawMessage(name + b".c", b"", pending), f"{subject}.c"))
    last = (
        b"NATS/1.0 100 Idle\r\nNats-Last-Consumer: 99999\r\nNats-Last-Stream: 99999\r\nNats-Consumer-Stalled: x\r\n\r\n"
    )
    bad.append((RawMessage(name + b".c", b"", last), f"{subject}.c"))
    normal = (RawMessage(name + b".o1", b'{"n":0}'), f"{subject}.o1")
    return [normal] + [each for poison in bad for each in (poison, normal)] + bad + [normal]


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    """A server of its own: these events stay."""
    async with running_server(tmp_path_factory.mktemp("nats") / "state", topology=Topology()) as started:
        yield started


async def poison(server: EmbeddedServer, subject: str) -> list[tuple[int, RawMessage, str]]:
    messages = poisoned(subject)
    seqs = await publish_raw(server, *(message for message, _ in messages))
    return [(seq, message, shown) for seq, (message, shown) in zip(seqs, messages, strict=True)]


def check(client: WireClient, expected: list[tuple[int, RawMessage, str]]) -> None:
    assert client.seqs == [seq for seq, _, _ in expected]
    for event, (_, message, shown) in zip(client.of("event"), expected, strict=True):
        assert event["subject"] == shown
        if message.body:
            assert event["data"] == msgspec.json.decode(message.body)
        elif client.encoding == JSON:
            assert (event["data_b64"], "data" in event) == ("", False)
        else:
            assert event["data"] == b""
        if message.header is not None and b"\nStatus: " in message.header:
            assert event["headers"]["Status"][:3].isdigit()
    assert not client.of("gap")
    assert client.close_code is None


async def metric(gateway: Gateway, name: str) -> float:
    _, text = await gateway.get("/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
async def test_poisons_are_delivered_live(server: EmbeddedServer, tmp_path: Path, encoding: str) -> None:
    subject = f"orders.live{encoding[-4:]}"
    async with running_gateway(server, tmp_path) as gateway:
        before = gateway.house.feed.damaged if gateway.house.feed else 0
        async with (
            gateway.client(subject[7:], [f"{subject}.>"], encoding=encoding) as client,
            gateway.client("bystander", ["orders.bystander.>"]) as bystander,
        ):
            await client.until("live")
            await bystander.until("live")
            expected = await poison(server, subject)
            others = await publish_raw(server, RawMessage(b"orders.bystander.o1", b"1"))
            await bystander.until("event")
            await client.until("event", len(expected))
            check(client, expected)
            assert bystander.seqs == others
        assert await metric(gateway, "tidewire_events_damaged_total") == before + 2 * DAMAGED
        assert gateway.house.feed is not None
        assert gateway.house.feed.restarts == 0


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
async def test_poisons_are_replayed_from_the_recent_window(
    server: EmbeddedServer, tmp_path: Path, encoding: str
) -> None:
    subject = f"orders.window{encoding[-4:]}"
    name = subject[7:]
    async with running_gateway(server, tmp_path) as gateway:
        async with gateway.client(name, [f"{subject}.>"], session=name, encoding=encoding) as client:
            await client.until("live")
        expected = await poison(server, subject)
        await until(lambda: gateway.house.exchange.recent.head >= expected[-1][0])
        async with gateway.client(name, None, session=name, encoding=encoding) as client:
            await client.until("live")
            check(client, expected)
            assert client.frames[0]["pending"] == len(expected)
        assert gateway.house.counters.events_from_durables == 0


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
@pytest.mark.parametrize("window", [3, 1_000])
async def test_poisons_are_replayed_from_the_durable(
    server: EmbeddedServer, tmp_path: Path, encoding: str, window: int
) -> None:
    subject = f"orders.durable{window}{encoding[-4:]}"
    name = subject[7:]
    wish = {"messages": window}
    async with running_gateway(server, tmp_path, recent={"recent_events": 10}) as gateway:
        async with gateway.client(name, [f"{subject}.>"], session=name, encoding=encoding) as client:
            await client.until("live")
        expected = await poison(server, subject)
        later = await publish_raw(server, *[RawMessage(b"orders.other.o1", b"1")] * 30)
        await until(lambda: gateway.house.exchange.recent.head >= later[-1])
        async with gateway.client(name, None, session=name, encoding=encoding, window=wish, ack=True) as client:
            await client.until("live", within_s=20)
            check(client, expected)
        assert gateway.house.counters.events_from_durables >= len(expected)


@pytest.mark.parametrize("recent", [10, 100_000])
async def test_poisons_are_met_at_start_up(server: EmbeddedServer, tmp_path: Path, recent: int) -> None:
    subject = f"orders.start{recent}"
    name = subject[7:]
    async with running_gateway(server, tmp_path) as gateway:
        async with gateway.client(name, [f"{subject}.>"], session=name) as client:
            await client.until("live")
        await until(lambda: not gateway.house.exchange.by_key)
    expected = await poison(server, subject)
    async with running_gateway(server, tmp_path, recent={"recent_events": recent}) as gateway:
        assert gateway.house.feed is not None
        assert gateway.house.feed.damaged >= (2 * DAMAGED if recent > 10 else 0)
        async with gateway.client(name, None, session=name, ack=True) as client:
            await client.until("live")
            check(client, expected)
            more = await publish_raw(server, RawMessage(subject.encode() + b".o1", b"1"))
            await client.until("event", len(expected) + 1)
            assert client.seqs[-1] == more[0]


async def test_a_poison_may_be_the_first_and_the_only_thing_in_a_stream(tmp_path: Path) -> None:
    async with running_server(tmp_path / "nats", topology=Topology()) as server:
        (seq,) = await publish_raw(server, RawMessage(b"orders.p1.\xff", b"1"))
        async with running_gateway(server, tmp_path / "gateway") as gateway:
            resume = (gateway.house.exchange.identity, 0)
            async with gateway.client("p1", ["orders.p1.>"], resume=resume) as client:
                await client.until("live")
                assert [(each["seq"], each["subject"]) for each in client.of("event")] == [(seq, "orders.p1.\ufffd")]

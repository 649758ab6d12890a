"""The client over real sockets, against a gateway that follows a script."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tidewire_client import (
    Backoff,
    Client,
    FileState,
    Position,
)

from tests.client.scripted_server import STREAM, Gateway, event, live, scripted_gateway, welcome

SWIFT = Backoff(base_s=0.01, max_s=0.05, quick_s=0.01)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with scripted_gateway() as running:
        yield running


def client_of(gateway: Gateway, **options: object) -> Client:
    chosen: dict[str, object] = {"token": "t1", "session": "pixel-7", "backoff": SWIFT} | options
    return Client(gateway.url, **chosen)  # type: ignore[arg-type]


async def test_events_arrive_and_are_acknowledged_after_the_loop_body(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        events = client.subscribe("orders.>")
        peer = await gateway.accept()
        connect = await peer.expect("connect")
        assert (connect["token"], connect["session"], connect["subscribe"]) == ("t1", "pixel-7", ["orders.>"])
        assert "resume" not in connect
        await peer.send(welcome(10, "fresh"))
        await peer.send(event(12), event(15), live(15))
        first = await anext(events)
        assert (first.seq, first.subject, first.data, first.replay) == (12, "orders.c42.o7", {"n": 12}, False)
        assert client.position == Position(STREAM, 10)
        second = await anext(events)
        assert second.seq == 15
        assert (await peer.expect("ack"))["seq"] == 12
        assert client.position == Position(STREAM, 12)
        await second.ack()
        assert (await peer.expect("ack"))["seq"] == 15
        assert client.state == "live"


async def test_after_a_cut_the_client_resumes_and_drops_what_it_has(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        events = client.subscribe("orders.>")
        peer = await gateway.accept()
        await peer.expect("connect")
        await peer.send(welcome(10, "fresh"), event(12), event(15), live(15))
        assert (await anext(events)).seq == 12
        assert (await anext(events)).seq == 15
        peer.socket.transport.abort()
        peer = await gateway.accept()
        connect = await peer.expect("connect")
        assert connect["resume"] == {"stream": STREAM, "seq": 12}
        await peer.send(welcome(12), event(15, replay=True), event(17, replay=True), live(17))
        assert (await anext(events)).seq == 17
        assert (await peer.expect("ack"))["seq"] == 15


async def test_a_second_run_resumes_from_the_file(gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    async with client_of(gateway, state=FileState(path)) as client:
        events = client.subscribe("orders.>")
        peer = await gateway.accept()
        await peer.expect("connect")
        await peer.send(welcome(10, "fresh"), event(2**60), live(2**60))
        await (await anext(events)).ack()
    assert await peer.wait_closed() == 1000
    async with client_of(gateway, state=FileState(path)) as client:
        _ = client.subscribe("orders.>")
        peer = await gateway.accept()
        assert (await peer.expect("connect"))["resume"] == {"stream": STREAM, "seq": 2**60}

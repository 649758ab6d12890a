"""A device that wakes up: the link is asked, a wait ends, and what was closed stays closed (P6.9)."""

import pytest
from tidewire_client import Backoff
from tidewire_client.core import DEAD_AFTER_S, PROBE_WITHIN_S
from tidewire_client.effects import Drop, Open, Probe
from tidewire_client.frames import Ack, Error, Goodbye, Live, Ping, Pong

from tests.client.core_bench import Bench, event, welcome
from tests.client.fixed_random import FixedRandom
from tests.client.scripted_server import scripted_gateway
from tests.client.test_client import client_of, to_live
from tests.until import until

LONG = Backoff(least_s=600, max_s=600, quick_s=600)


def woken(bench: Bench) -> Bench:
    return bench.do(bench.core.wake(bench.now))


# --- connected ---


def test_a_link_that_does_not_answer_in_time_is_left_and_what_is_processed_is_said_before() -> None:
    """P2.25, P6.9."""
    bench = Bench()
    bench.live(event(20)).later(0.25)
    assert woken(bench).out == [Probe()]
    assert bench.later(PROBE_WITHIN_S - 0.125).all(Drop) == []
    bench.process(20)
    assert bench.later(0.125).sent() == [Ack(20)]
    assert bench.only(Drop).code == 1000
    assert bench.core.state == "waiting"
    assert bench.wait_for(Open).all(Open) == [Open(2)]


def test_anything_heard_saves_the_link_and_its_watch_begins_anew() -> None:
    """P2.25, P6.9."""
    for answer in (Pong(), Ping(), event(20), Live(10), Error(code="unknown_type")):
        bench = Bench()
        bench.live().later(0.25)
        woken(bench).later(PROBE_WITHIN_S - 1)
        bench.get(answer)
        assert bench.later(29.9).all(Probe) == []
        assert bench.later(0.2).all(Probe) == [Probe()]
        assert bench.core.state == "live"


def test_waking_often_does_not_put_the_end_off() -> None:
    bench = Bench()
    bench.live().later(0.25)
    for _ in range(4):
        assert woken(bench).out == [Probe()]
        bench.later(PROBE_WITHIN_S / 4)
    assert bench.core.state == "waiting"


def test_a_link_that_is_all_but_dead_gets_no_more_time_for_it() -> None:
    bench = Bench()
    bench.live().later(0.25)
    bench.later(33.75)
    woken(bench)
    assert bench.later(1.0).all(Drop), "35 s after the last frame, as without waking up"


def test_a_replay_is_asked_too() -> None:
    bench = Bench()
    bench.get_token().open()
    bench.get(welcome())
    assert woken(bench).out == [Probe()]


# --- connecting and waiting ---


def test_a_step_of_connecting_that_hung_while_the_device_slept_is_given_up_sooner() -> None:
    bench = Bench()
    bench.get_token()
    assert woken(bench).out == []
    assert bench.later(DEAD_AFTER_S - 0.125).all(Drop) == []
    assert bench.later(0.125).all(Drop)
    bench.wait_for(Open)
    bench.later(14.0)
    woken(bench)
    assert bench.later(1.0).all(Drop), "never later than without waking up"


def test_a_wait_ends_and_what_went_wrong_still_counts() -> None:
    """P6.6, P6.9."""
    bench = Bench(draw=0.5)
    bench.get_token().open()
    waits = []
    for _ in range(5):
        bench.cut()
        waits.append(round(bench.core.due - bench.now, 3))
        assert woken(bench).only(Open).connection == bench.core.connection
        bench.open()
    assert waits == [0.75, 1.0, 1.5, 2.5, 4.5]


def test_two_wakes_make_one_connection() -> None:
    bench = Bench()
    bench.live().cut()
    assert woken(bench).all(Open) == [Open(2)]
    assert woken(bench).out == []
    assert bench.later(9.0).all(Open) == []


def test_a_wait_that_the_gateway_asked_for_is_kept() -> None:
    """P6.9."""
    bench = Bench(draw=0.5)
    bench.live().get(Goodbye(code=4001, after=7000))
    due = bench.core.due
    assert woken(bench).out == []
    assert bench.core.due == due
    bench.wait_for(Open).open()
    bench.cut()
    assert woken(bench).only(Open) == Open(3), "the next wait is the client's own"


def test_with_nothing_to_ask_for_the_next_iterator_connects() -> None:
    bench = Bench()
    bench.live().cut()
    bench.core.unsubscribe(1, bench.now)
    assert woken(bench).out == []
    assert bench.do(bench.core.subscribe(2, ("orders.>",), bench.now)).only(Open) == Open(2)


# --- over real sockets ---


async def test_a_waiting_client_that_is_woken_connects_at_once() -> None:
    async with (
        scripted_gateway() as gateway,
        client_of(gateway, backoff=LONG, random=FixedRandom(0.5)) as client,
    ):
        _ = client.subscribe("orders.>")
        peer = await to_live(gateway)
        await until(lambda: client.state == "live")
        peer.socket.transport.abort()
        await until(lambda: client.state == "waiting")
        client.wake()
        await to_live(gateway)
        await until(lambda: client.state == "live")


async def test_a_link_that_died_in_the_sleep_is_left_and_a_living_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_gateway() as gateway, client_of(gateway) as client:
        pongs: list[int] = []
        heard = client.on_pong

        def on_pong(number: int) -> None:
            pongs.append(number)
            heard(number)

        monkeypatch.setattr(client, "on_pong", on_pong)
        _ = client.subscribe("orders.>")
        peer = await to_live(gateway)
        await until(lambda: client.state == "live")
        client.wake()
        await until(lambda: pongs == [1])
        assert (client.state, gateway.waiting) == ("live", 0)
        monkeypatch.setattr("tidewire_client.core.PROBE_WITHIN_S", 0.05)
        peer.socket.transport.pause_reading()  # nothing is read any more, so no pong is sent: a half-open link
        client.wake()
        await to_live(gateway)
        peer.socket.transport.abort()


async def test_waking_opens_nothing_that_the_program_did_not_open() -> None:
    """P6.9."""
    states: list[str] = []
    async with scripted_gateway() as gateway:
        client = client_of(gateway)
        client.wake()
        states.append(client.state)
        async with client:
            client.wake()
            states.append(client.state)
            _ = client.subscribe("orders.>")
            await to_live(gateway)
        client.wake()
        states.append(client.state)
        assert states == ["waiting", "waiting", "closed"]
        assert (gateway.accepted, gateway.waiting) == (1, 0)

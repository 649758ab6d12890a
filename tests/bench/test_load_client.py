"""A device that misses an event, gets one twice or another's fails the run."""

import asyncio
from itertools import islice

import pytest

from bench.dialects import DIALECTS
from bench.dialects.dialect import Reader
from bench.load_client import Device, Load
from bench.plan import payload
from bench.websocket import server_text


class Connection:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.wrote = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.wrote.set()

    def abort(self) -> None:
        """It is dropped."""


def event(seq: int, session: int, n: int) -> bytes:
    return b'{"type":"event","seq":%d,"subject":"orders.c7.x","data":%s}' % (seq, payload(session, n, 1))


def device(*messages: bytes, is_shared: bool = False) -> tuple[Load, Device, Connection]:
    load, transport = Load(), Connection()
    load.is_shared = is_shared
    made = Device(load, 7, DIALECTS["tidewire"](Reader(7, "orders.c7.x", "token")))
    load._devices.append(made)
    made.connected(transport)  # type: ignore[arg-type]
    made.received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"".join(map(server_text, messages)))
    return load, made, transport


async def test_what_is_due_in_order_is_right_and_acknowledged() -> None:
    load, _, transport = device(event(3, 7, 0), event(9, 7, 1))
    await load.handle({"do": "expect", "each": 2, "within_s": 1})
    assert transport.written[-1].endswith(b'{"type":"ack","seq":9}')


@pytest.mark.parametrize(
    "wrong",
    [
        [event(3, 7, 1)],  # one was lost
        [event(3, 7, 0), event(4, 7, 0)],  # one came again
        [event(3, 7, 0), event(2, 7, 1)],  # sequences fell
        [event(3, 7, 0), event(4, 7, 2) + event(5, 7, 1)],  # they changed places
        [event(3, 8, 0)],  # another's
    ],
)
async def test_anything_else_fails_the_run(wrong: list[bytes]) -> None:
    load, _, _ = device(*wrong)
    with pytest.raises(AssertionError, match="device 7 got event"):
        await load.handle({"do": "expect", "each": 2, "within_s": 1})


async def test_too_few_events_fail_the_run() -> None:
    load, _, _ = device(event(3, 7, 0))
    with pytest.raises(AssertionError, match="only 1 events"):
        await load.handle({"do": "expect", "each": 2, "within_s": 0.01})


async def test_more_events_than_due_fail_the_run() -> None:
    load, _, _ = device(event(3, 7, 0), event(4, 7, 1))
    with pytest.raises(AssertionError, match="did not get 1 events"):
        await load.handle({"do": "expect", "each": 1, "within_s": 1})


async def test_a_close_by_the_server_fails_the_run() -> None:
    load, made, _ = device()
    made.received(b"\x88\x02" + (4_429).to_bytes(2))
    with pytest.raises(AssertionError, match="closed by the server with 4429"):
        await load.handle({"do": "expect", "each": 1, "within_s": 1})


async def test_devices_that_share_a_subject_get_the_same_events() -> None:
    load, _, _ = device(event(4, 0, 0), event(5, 0, 1), is_shared=True)
    await load.handle({"do": "expect", "each": 2, "within_s": 1})


async def test_a_device_of_a_broadcast_is_wrong_with_its_own_events() -> None:
    load, _, _ = device(event(4, 7, 0), is_shared=True)
    with pytest.raises(AssertionError, match="got event 0 of 7"):
        await load.handle({"do": "expect", "each": 1, "within_s": 1})


async def test_acknowledgements_come_after_so_many_events_and_none_when_off() -> None:
    load, made, transport = device()
    await load.handle({"do": "acks", "each": 3, "within_s": 0})
    for n in range(7):
        made.received(server_text(event(n + 1, 7, n)))
    await load.handle({"do": "acks", "each": 0, "within_s": 0})
    made.received(server_text(event(8, 7, 7)))
    assert [said[6:] for said in transport.written[1:]] == [b'{"type":"ack","seq":%d}' % seq for seq in (3, 6)]


async def test_one_latency_in_so_many_is_taken_whatever_comes_together() -> None:
    load, made, _ = device()
    load.sample_each = 4
    numbers = iter(range(12))
    for together in (1, 5, 2, 4):
        made.received(b"".join(server_text(event(n + 1, 7, n)) for n in islice(numbers, together)))
    assert len(load.latencies_ns) == 3
    assert set(await load.handle({"do": "expect", "each": 12, "within_s": 1})) == {"p50_ms", "p99_ms", "p999_ms"}


async def test_a_websocket_ping_is_answered() -> None:
    _, made, transport = device()
    made.received(b"\x89\x02hi")
    assert transport.written[-1] == b"\x8a\x82\0\0\0\0hi"


async def test_what_a_server_says_that_ends_a_run_fails_it() -> None:
    load, _, _ = device(b'{"type":"gap","after":0,"before":9,"reason":"expired"}')
    with pytest.raises(AssertionError, match=r"device 7 was told: .*gap"):
        await load.handle({"do": "expect", "each": 1, "within_s": 1})


async def test_an_upgrade_in_pieces_is_read() -> None:
    load, made, _ = device()
    made.connected(Connection())  # type: ignore[arg-type]
    for piece in (b"HTTP/1.1 101 Switching", b" Protocols\r\n\r", b"\n" + server_text(b'{"type":"live","seq":1}')):
        made.received(piece)
    assert load.live == 1


async def test_the_end_of_a_cut_connection_is_not_taken_for_the_next_ones() -> None:
    load, made, first = device()
    await load.handle({"do": "cut"})
    made.opened = asyncio.get_running_loop().create_future()
    made.lost(first, None)  # type: ignore[arg-type]
    assert not made.opened.done()
    made.lost(Connection(), None)  # type: ignore[arg-type]
    with pytest.raises(ConnectionError, match="no upgrade"):
        await made.opened


async def test_a_connection_that_is_lost_fails_the_run() -> None:
    load, made, connection = device()
    made.lost(connection, ConnectionResetError("reset"))  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=r"lost the connection \(reset"):
        await load.handle({"do": "expect", "each": 1, "within_s": 1})


async def test_a_server_that_speaks_first_does_not_make_a_new_connection_live() -> None:
    load, made, _ = device(b'{"type":"live","seq":1}')
    assert load.live == 1
    made.connected(Connection())  # type: ignore[arg-type]
    made.received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + server_text(b'{"type":"ping"}'))
    assert load.live == 1


def one_who_comes_back(load: Load, *messages: bytes) -> dict[str, object]:
    """Let its next connection bring these messages; the command that lets it come, with one event due."""

    async def open_one(device: Device) -> None:
        device.connected(Connection())  # type: ignore[arg-type]
        device.received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"".join(map(server_text, messages)))

    load._open_one = open_one  # type: ignore[method-assign]
    return {"do": "come back", "first": 0, "last": 1, "at_once": 1, "due": 1, "bare": False, "within_s": 0.05}


async def test_who_comes_back_is_there_when_it_is_live_and_has_what_it_missed() -> None:
    load, _, _ = device()
    told = await load.handle(one_who_comes_back(load, event(3, 7, 0), b'{"type":"live","seq":3}'))
    assert told["seconds"] > 0


async def test_who_is_live_without_what_it_missed_fails_the_run() -> None:
    load, _, _ = device()
    with pytest.raises(AssertionError, match="device 7 is live after 0 events"):
        await load.handle(one_who_comes_back(load, b'{"type":"live","seq":3}'))


async def test_who_is_not_back_in_time_fails_the_run() -> None:
    load, _, _ = device()
    with pytest.raises(AssertionError, match=r"after 0.05 s 0 of 1 were back"):
        await load.handle(one_who_comes_back(load, event(3, 7, 0)))


async def test_fewer_events_than_are_acknowledged_together_are_acknowledged_in_time() -> None:
    load, made, transport = device()
    await load.handle({"do": "acks", "each": 50, "within_s": 0.01})
    made.received(server_text(event(3, 7, 0)) + server_text(event(4, 7, 1)))
    written = len(transport.written)
    transport.wrote.clear()
    await asyncio.wait_for(transport.wrote.wait(), 5)
    assert [each[-22:] for each in transport.written[written:]] == [b'{"type":"ack","seq":4}']
    assert not made.owes

"""A device that misses an event, gets one twice or another's fails the run."""

import pytest

from bench.load_client import Device, Load
from bench.plan import payload
from bench.websocket import server_text


class Transport:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


def event(seq: int, session: int, n: int) -> bytes:
    return b'{"type":"event","seq":%d,"subject":"orders.c7.x","data":%s}' % (seq, payload(session, n, 1))


def device(*messages: bytes) -> tuple[Load, Device, Transport]:
    load, transport = Load(), Transport()
    made = Device(load, 7, "token")
    load._devices.append(made)
    made.connection_made(transport)  # type: ignore[arg-type]
    made.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"".join(map(server_text, messages)))
    return load, made, transport


async def test_what_is_due_in_order_is_right_and_acknowledged() -> None:
    load, made, transport = device(event(3, 7, 0), event(9, 7, 1))
    await load.handle({"do": "expect", "each": 2, "within_s": 1})
    assert made.seq == 9
    assert transport.written[-1].endswith(b'{"type":"ack","seq":9}')


@pytest.mark.parametrize(
    "wrong",
    [
        [event(3, 7, 1)],  # one was lost
        [event(3, 7, 0), event(4, 7, 0)],  # one came again
        [event(3, 7, 0), event(2, 7, 1)],  # sequences fell
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
    made.data_received(b"\x88\x02" + (4_429).to_bytes(2))
    with pytest.raises(AssertionError, match="closed by the server with 4429"):
        await load.handle({"do": "expect", "each": 1, "within_s": 1})


async def test_devices_that_share_a_subject_get_the_same_events() -> None:
    load, made, _ = device()
    load.is_shared = True
    made.data_received(b"".join(server_text(event(seq, 0, n)) for n, seq in enumerate((4, 5))))
    await load.handle({"do": "expect", "each": 2, "within_s": 1})

"""Calls to the JetStream API: how many at once, what is shared, what an answer may be."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from mesh.api import (
    CONSUMER_NOT_FOUND,
    NO_MESSAGE,
    STREAM_NOT_FOUND,
    Api,
    ApiError,
    StoredMessage,
    StreamInfo,
    StreamState,
)
from mesh.epoch import identity_of
from mesh.link import Link, LinkSettings, Reply
from mesh.topology import Topology
from security.errors import LimitReached, UpstreamUnavailable
from tests.servers import linked, running_server
from tests.system.raw_nats import RawMessage, publish_raw
from tests.until import until


class HeldLink(Link):
    """Never connected: holds every request until it is answered by hand."""

    def __init__(self) -> None:
        super().__init__(LinkSettings())
        self.asked: list[tuple[str, bytes, asyncio.Future[Reply]]] = []
        self.under_way = 0
        self.most_under_way = 0

    async def request(
        self, subject: str, payload: bytes = b"", *, headers: dict[str, str] | None = None, timeout_s: float = 5.0
    ) -> Reply:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.asked.append((subject, payload, answer))
        try:
            return await answer
        finally:
            self.under_way -= 1

    def answer(self, payload: bytes, number: int = -1) -> None:
        self.asked[number][2].set_result(Reply(payload, b""))


def info(last_seq: int) -> bytes:
    return b'{"created":"2026-11-23T21:00:00Z","state":{"last_seq":%d}}' % last_seq


def seq_of(answer: object) -> int:
    assert isinstance(answer, StreamInfo)
    return answer.state.last_seq


async def test_no_more_than_in_flight_calls_are_under_way() -> None:
    link = HeldLink()
    api = Api(link, in_flight=3)
    calls = [asyncio.create_task(api.call("STREAM.INFO", f"S{n}", None, StreamInfo)) for n in range(10)]
    for n in range(10):
        await until(lambda n=n: len(link.asked) == min(n + 3, 10))  # type: ignore[misc]
        link.answer(info(n), n)
        assert seq_of(await calls[n]) == n
    assert link.most_under_way == 3
    assert [subject for subject, _, _ in link.asked] == [f"$JS.API.STREAM.INFO.S{n}" for n in range(10)]
    assert api.calls == {"STREAM.INFO": 10}


async def test_failed_and_cancelled_calls_give_their_turn_back() -> None:
    link = HeldLink()
    api = Api(link, in_flight=1)
    first, second, third, fourth = (asyncio.create_task(api.call("A", str(n), None, StreamInfo)) for n in range(4))
    await until(lambda: len(link.asked) == 1)
    link.asked[0][2].set_exception(UpstreamUnavailable("lost"))
    with pytest.raises(UpstreamUnavailable, match="lost"):
        await first
    await until(lambda: len(link.asked) == 2)
    third.cancel()
    second.cancel()
    await asyncio.wait([second, third])
    await until(lambda: len(link.asked) == 3)
    assert link.asked[-1][0] == "$JS.API.A.3"
    link.answer(info(1))
    assert seq_of(await fourth) == 1


async def test_more_calls_than_may_wait_are_refused_by_name() -> None:
    link = HeldLink()
    api = Api(link, in_flight=1, waiting=2)
    calls = [asyncio.create_task(api.call("A", str(n), None, StreamInfo)) for n in range(3)]
    await until(lambda: len(link.asked) == 1)
    with pytest.raises(LimitReached, match="more than 2"):
        await api.call("A", "4", None, StreamInfo)
    link.answer(info(1))
    await calls[0]
    await until(lambda: len(link.asked) == 2)
    late = asyncio.create_task(api.call("A", "5", None, StreamInfo))
    for number in (1, 2, 3):
        await until(lambda number=number: len(link.asked) > number)  # type: ignore[misc]
        link.answer(info(1), number)
    assert seq_of(await late) == 1


async def test_questions_of_one_moment_share_one_answer_that_is_not_older_than_they() -> None:
    link = HeldLink()
    api = Api(link)
    first = asyncio.create_task(api.stream_info("S"))
    await until(lambda: len(link.asked) == 1)
    later = [asyncio.create_task(api.stream_info("S")) for _ in range(5)]
    other = asyncio.create_task(api.stream_info("T"))
    await until(lambda: len(link.asked) == 2)
    assert [subject.rpartition(".")[2] for subject, _, _ in link.asked] == ["S", "T"]
    link.answer(info(1), 0)
    assert seq_of(await first) == 1
    await until(lambda: len(link.asked) == 3)
    assert not any(task.done() for task in later)
    link.answer(info(2), 2)
    assert [seq_of(await task) for task in later] == [2] * 5
    link.answer(info(3), 1)
    assert seq_of(await other) == 3
    assert api.calls == {"STREAM.INFO": 3}


async def test_a_shared_question_outlives_whoever_asked_first() -> None:
    link = HeldLink()
    api = Api(link)
    running = asyncio.create_task(api.stream_info("S"))
    await until(lambda: len(link.asked) == 1)
    first, second = (asyncio.create_task(api.stream_info("S")) for _ in range(2))
    await asyncio.sleep(0)
    link.asked[0][2].set_exception(UpstreamUnavailable("lost"))
    with pytest.raises(UpstreamUnavailable):
        await running
    await until(lambda: len(link.asked) == 2)
    first.cancel()
    await asyncio.wait([first])
    link.answer(info(7))
    assert seq_of(await second) == 7


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no json",
        b"[]",
        b"{",
        b"{}",
        b'{"created":1,"state":{}}',
        b'{"error":"x"}',
        b'{"error":{"code":"\xff"}}',
        b'{"created":"\xff","state":{}}',
        b'{"x":' * 100_000,
    ],
    ids=range(10),
)
async def test_an_answer_that_is_not_jetstreams_is_a_failure_of_nats(payload: bytes) -> None:
    link = HeldLink()
    call = asyncio.create_task(Api(link).call("STREAM.INFO", "S", None, StreamInfo))
    await until(lambda: link.asked)
    link.answer(payload)
    with pytest.raises(UpstreamUnavailable, match=r"STREAM\.INFO: the answer is not one of JetStream's"):
        await call


async def test_an_error_is_a_value_and_a_body_goes_along() -> None:
    link = HeldLink()
    call = asyncio.create_task(Api(link).call("X", "S", {"a": 1}, StreamInfo))
    await until(lambda: link.asked)
    link.answer(b'{"error":{"code":404,"err_code":10059,"description":"stream not found","more":1}}')
    assert await call == ApiError(404, STREAM_NOT_FOUND, "stream not found")
    assert link.asked[0][1] == b'{"a":1}'


@pytest.mark.parametrize(
    ("cluster", "leader"),
    [
        (b"", ""),
        (b',"cluster":{"leader":"n1"}', "n1"),  # a server on its own
        (b',"cluster":{"leader":"n1","leader_since":"2026-11-23T08:00:00Z"}', "n1 2026-11-23T08:00:00Z"),
        (b',"cluster":{"leader":"","leader_since":"2026-11-23T08:00:00Z"}', ""),
    ],
)
def test_a_leader_is_told_from_itself_at_another_time(cluster: bytes, leader: str) -> None:
    told = msgspec.json.decode(b'{"created":"2026-11-23T08:00:00Z","state":{}%s}' % cluster, type=StreamInfo)
    assert told.leader == leader


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_server(tmp_path / "own", topology=Topology()) as server, linked(server) as link:
        await publish_raw(server, *(RawMessage(b"orders.c%d" % n, b"x") for n in (1, 2, 1)))
        yield Api(link)


async def test_a_real_server_tells_the_state_of_a_stream(api: Api) -> None:
    told = await api.stream_info("EVENTS")
    assert isinstance(told, StreamInfo)
    state = told.state
    assert (state.messages, state.first_seq, state.last_seq, state.num_deleted) == (3, 1, 3, 0)
    assert state.bytes > 0
    assert int(identity_of("EVENTS", told.created).partition(":")[2]) > 1_700_000_000 * 10**9
    await api.call("STREAM.MSG.DELETE", "EVENTS", {"seq": 2}, msgspec.Raw)
    with_deleted = await api.deleted("EVENTS")
    assert isinstance(with_deleted, StreamInfo)
    assert (with_deleted.state.deleted, with_deleted.state.num_deleted) == ((2,), 1)
    assert isinstance(with_deleted.state, StreamState)


async def test_a_real_server_tells_the_next_message_that_matches(api: Api) -> None:
    found = [await api.next_message("EVENTS", seq, "orders.c1") for seq in (1, 2, 3)]
    assert [each.seq if isinstance(each, StoredMessage) else None for each in found] == [1, 3, 3]
    for seq, pattern in ((4, ">"), (1, "orders.c9"), (3, "orders.c2")):
        none = await api.next_message("EVENTS", seq, pattern)
        assert isinstance(none, ApiError)
        assert none.err_code == NO_MESSAGE


async def test_a_real_server_names_what_is_not_there(api: Api) -> None:
    stream = await api.stream_info("NONE")
    consumer = await api.call("CONSUMER.INFO", "EVENTS.none", None, StreamInfo)
    assert isinstance(stream, ApiError)
    assert isinstance(consumer, ApiError)
    assert (stream.err_code, consumer.err_code) == (STREAM_NOT_FOUND, CONSUMER_NOT_FOUND)
    assert stream.description

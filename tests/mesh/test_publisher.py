"""Publishing to a real server: acknowledged, pipelined, repeated under one id."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from mesh.api import Api
from mesh.embedded import EmbeddedServer
from mesh.envelope import CannotPublish, Envelopes
from mesh.link import Link, Tap
from mesh.nats_client import TapCallback
from mesh.publisher import PublishAck, Publisher, PublisherSettings
from mesh.retry import RetryPolicy
from mesh.topology import StreamSpec, Topology
from security.errors import ConfigurationError, LimitReached, UpstreamUnavailable
from security.keyring import KeyRing, SealingKey
from security.policy import Policy, Rule
from tests.servers import fresh_stream, link_settings, linked, provisioned, running_server
from tests.until import until

QUICK = RetryPolicy(attempt_s=0.2, first_wait_s=0.02, longest_wait_s=0.1)


class _State(msgspec.Struct):
    messages: int
    num_subjects: int = 0


class _Info(msgspec.Struct):
    state: _State


async def stored(*servers: EmbeddedServer) -> int:
    """How many events the stream holds."""
    async with linked(*servers) as link:
        info = await Api(link).call("STREAM.INFO", "EVENTS", None, _Info)
        assert isinstance(info, _Info)
        return info.state.messages


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    async with running_server(tmp_path / "s", topology=Topology()) as server:
        yield server


@pytest_asyncio.fixture
async def link(server: EmbeddedServer) -> AsyncIterator[Link]:
    async with linked(server, user="publisher", backoff_max_s=0.2) as link:
        yield link


async def test_an_event_is_stored_and_a_repeat_of_its_id_is_not(link: Link, server: EmbeddedServer) -> None:
    async with Publisher(link) as publisher:
        first = await publisher.publish("orders.c1.o1", {"a": 1}, message_id="m1")
        again = await publisher.publish("orders.c1.o1", {"a": 1}, message_id="m1")
        assert (first, again) == (PublishAck("EVENTS", 1), PublishAck("EVENTS", 1, duplicate=True))
        assert (await publisher.publish("orders.c1.o1", {"a": 1})).seq == 2
    assert await stored(server) == 2


async def test_a_pipeline_keeps_its_order_and_its_limit(link: Link) -> None:
    async with Publisher(link, settings=PublisherSettings(in_flight=50)) as publisher:
        most = 0
        acks = []
        for n in range(1_000):
            acks.append(await publisher.hand_over("orders.c1.o1", {"n": n}))
            most = max(most, publisher.in_flight)
        await publisher.drain()
        assert [ack.result().seq for ack in acks] == list(range(1, 1_001))
        assert most == 50
        assert (publisher.acknowledged, publisher.repeated, publisher.failed) == (1_000, 0, 0)


async def test_many_tasks_share_the_turns_and_all_get_theirs(link: Link) -> None:
    async with Publisher(link, settings=PublisherSettings(in_flight=3)) as publisher:
        tasks = [asyncio.create_task(publisher.publish("orders.c1.o1", {"n": n})) for n in range(200)]
        await asyncio.sleep(0)
        for task in tasks[5:100:7]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        kept = [ack.seq for ack in done if isinstance(ack, PublishAck)]
        assert len(kept) >= 186
        assert len(set(kept)) == len(kept)


async def test_without_room_publish_nowait_names_the_limit(link: Link) -> None:
    async with Publisher(link, settings=PublisherSettings(in_flight=2)) as publisher:
        first, second = (publisher.publish_nowait("orders.c1.o1", {}) for _ in range(2))
        with pytest.raises(LimitReached, match="in_flight"):
            _ = publisher.publish_nowait("orders.c1.o1", {})
        assert {(await first).seq, (await second).seq} == {1, 2}


async def test_bytes_in_flight_are_bounded_and_a_large_event_goes_alone(link: Link) -> None:
    async with Publisher(link, settings=PublisherSettings(in_flight_bytes=1_000)) as publisher:
        large = publisher.publish_nowait("orders.c1.o1", b"x" * 5_000)
        with pytest.raises(LimitReached, match="in_flight_bytes"):
            _ = publisher.publish_nowait("orders.c1.o1", b"x")
        assert (await large).seq == 1
        assert (await publisher.publish("orders.c1.o1", b"x")).seq == 2


async def test_a_mebibyte_is_the_limit_with_headers(link: Link) -> None:
    most = 1_048_576 - len("NATS/1.0\r\nNats-Msg-Id: 0123456789abcdef0123456789abcdef\r\n\r\n")
    async with Publisher(link) as publisher:
        assert (await publisher.publish("orders.c1.o1", b"x" * most)).seq == 1
        with pytest.raises(LimitReached, match="payload_bytes"):
            await publisher.publish("orders.c1.o1", b"x" * (most + 1))
        assert publisher.in_flight == 0


async def test_the_streams_own_limit_of_bytes_is_told(link: Link, server: EmbeddedServer) -> None:
    await provisioned(server, topology=Topology(events=StreamSpec(max_msg_bytes=1_000)))
    async with Publisher(link) as publisher:
        with pytest.raises(LimitReached, match="max_msg_size"):
            await publisher.publish("orders.c1.o1", b"x" * 2_000)


async def test_what_is_sealed_rests_in_no_file_of_the_server(link: Link, server: EmbeddedServer) -> None:
    policy = Policy([Rule("orders.{sub}.>", "/phone", "contact")])
    key = SealingKey(
        "k1", bytes(32), tenant="default", data_subject="c1", field_class="contact", epoch=1, created=int(time.time())
    )
    async with Publisher(link, Envelopes(policy, KeyRing([key]))) as publisher:
        await publisher.publish("orders.c1.o1", {"phone": "+49-CANARY", "status": "packed-PLAIN"})
    await server.stop()
    files = [file.read_bytes() for file in server.settings.state_dir.rglob("*") if file.is_file()]
    assert any(b"packed-PLAIN" in file for file in files)
    assert not any(b"CANARY" in file for file in files)


async def test_what_is_no_event_is_refused_before_it_is_sent(link: Link, server: EmbeddedServer) -> None:
    async with Publisher(link) as publisher:
        with pytest.raises(CannotPublish):
            await publisher.publish("orders.*", {})
    assert await stored(server) == 0


async def test_events_of_an_interrupted_server_are_stored_once(link: Link, server: EmbeddedServer) -> None:
    async with Publisher(link, settings=PublisherSettings(in_flight=100, retry=QUICK)) as publisher:
        acks = [await publisher.hand_over("orders.c1.o1", {"n": n}) for n in range(300)]
        await server.kill()
        more = asyncio.create_task(_hand_over(publisher, 300))
        await until(lambda: not link.is_up)
        await server.start()
        acks += await more
        await publisher.drain()
        assert publisher.repeated > 0
        assert len({ack.result().seq for ack in acks}) == 600
    assert await stored(server) == 600


async def _hand_over(publisher: Publisher, count: int) -> list[asyncio.Future[PublishAck]]:
    return [await publisher.hand_over("orders.c1.o1", {"n": n}) for n in range(count)]


async def test_a_stream_that_is_not_there_yet_is_waited_for(link: Link, server: EmbeddedServer) -> None:
    async with linked(server) as operator:
        await Api(operator).call("STREAM.DELETE", "EVENTS", None, msgspec.Raw)
    async with Publisher(link, settings=PublisherSettings(retry=QUICK)) as publisher:
        early = publisher.publish_nowait("orders.c1.o1", {})
        await until(lambda: publisher.repeated > 2)
        await fresh_stream(server)
        assert (await early).seq == 1


async def test_patience_ends_with_what_to_do(link: Link, server: EmbeddedServer) -> None:
    await server.stop()
    await until(lambda: not link.is_up)
    retry = RetryPolicy(attempt_s=0.05, first_wait_s=0.01, longest_wait_s=0.02, give_up_s=0.2)
    async with Publisher(link, settings=PublisherSettings(retry=retry)) as publisher:
        with pytest.raises(UpstreamUnavailable, match=r"may be stored or not.* message id m1 .*not later"):
            await publisher.publish("orders.c1.o1", {"secret": "CANARY"}, message_id="m1")
        assert (publisher.in_flight, publisher.failed) == (0, 1)


async def test_a_refusal_of_the_stream_is_told_and_not_repeated(link: Link, server: EmbeddedServer) -> None:
    async with linked(server) as operator:
        body = {**Topology().events.config(), "sealed": True}
        await Api(operator).call("STREAM.UPDATE", "EVENTS", body, msgspec.Raw)
    async with Publisher(link, settings=PublisherSettings(retry=QUICK)) as publisher:
        with pytest.raises(ConfigurationError, match="sealed stream"):
            await publisher.publish("orders.c1.o1", {})
        assert (publisher.in_flight, publisher.failed, publisher.repeated) == (0, 1, 0)


class _Meddling(Link):
    """Puts one answer in the place of the first that comes."""

    instead = b""

    async def tap(self, subject: str, callback: TapCallback) -> Tap:
        def meddle(at: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
            instead, self.instead = self.instead, b""
            callback(at, reply, instead or data, headers)

        return await super().tap(subject, meddle)


async def test_an_attempt_that_is_still_being_replicated_is_tried_again(server: EmbeddedServer) -> None:
    async with _Meddling(link_settings(server, user="publisher")) as link:
        link.instead = b'{"error":{"code":400,"err_code":10158,"description":"duplicate message id is in process"}}'
        async with Publisher(link, settings=PublisherSettings(retry=QUICK)) as publisher:
            assert await publisher.publish("orders.c1.o1", {}) == PublishAck("EVENTS", 1, duplicate=True)
            assert publisher.repeated == 1


async def test_a_full_stream_is_waited_for_and_named_when_patience_ends(link: Link, server: EmbeddedServer) -> None:
    async with linked(server) as operator:
        body = {**Topology().events.config(), "max_msgs": 1, "discard": "new"}
        await Api(operator).call("STREAM.UPDATE", "EVENTS", body, msgspec.Raw)
    retry = RetryPolicy(first_wait_s=0.01, longest_wait_s=0.05, give_up_s=0.2)
    async with Publisher(link, settings=PublisherSettings(retry=retry)) as publisher:
        assert (await publisher.publish("orders.c1.o1", {})).seq == 1
        with pytest.raises(UpstreamUnavailable, match="maximum messages exceeded"):
            await publisher.publish("orders.c1.o1", {})
        assert publisher.repeated > 0


async def test_leaving_by_an_exception_leaves_nothing_behind(link: Link, server: EmbeddedServer) -> None:
    await server.stop()
    await until(lambda: not link.is_up)
    publisher = Publisher(link)
    await publisher.__aenter__()
    waiting = publisher.publish_nowait("orders.c1.o1", {})
    await publisher.__aexit__(RuntimeError, RuntimeError("the caller's own"), None)
    assert waiting.cancelled()
    assert publisher.in_flight == 0
    gc.collect()

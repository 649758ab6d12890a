"""The supervised connection against real servers, and the contract of nats-py's methods that are overridden."""

import asyncio
import itertools
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mesh.embedded import USERS, EmbeddedServer
from mesh.link import Link, LinkSettings
from security.errors import UpstreamUnavailable
from security.secret import Secret
from tests.servers import free_ports, link_settings, linked, running_server
from tests.tcp_proxy import TcpProxy
from tests.until import until

QUICK = {"heartbeat_s": 0.1, "dead_after_s": 0.5, "backoff_max_s": 0.1, "connect_s": 0.5}
SAY = "tidewire.gateway"
"""Subjects that user ``gateway`` may both publish and read."""
INFO = "$JS.API.STREAM.INFO.EVENTS"

Heard = list[tuple[bytes, bytes, bytes, bytes]]


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """A server to kill."""
    async with running_server(tmp_path / "own") as started:
        yield started


def gateway_settings(server: EmbeddedServer, **more: object) -> LinkSettings:
    return msgspec.structs.replace(link_settings(server, user="gateway"), **{**QUICK, **more})


async def tapped(link: Link, subject: str = f"{SAY}.>") -> Heard:
    """What a new tap hears, and the server knows of."""
    heard: Heard = []
    await link.tap(subject, lambda *message: heard.append(message))
    if link.is_up:
        await link.request(INFO)  # answered after the subscription was taken
    return heard


async def say_raw(server: EmbeddedServer, *lines: bytes) -> None:
    """Say protocol lines as user ``gateway``; return when the server has taken them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    login = {"headers": True, "verbose": False, "user": "gateway", "pass": server.password("gateway").reveal()}
    writer.write(b"CONNECT " + msgspec.json.encode(login) + b"\r\n" + b"".join(lines) + b"PING\r\n")
    await reader.readuntil(b"PONG\r\n")
    writer.close()
    await writer.wait_closed()


def hpub(subject: bytes, header: bytes, body: bytes = b"x") -> bytes:
    return b"HPUB %s %d %d\r\n%s%s\r\n" % (subject, len(header), len(header) + len(body), header, body)


NAME = f"{SAY}.h".encode()
ODD_HEADERS = {
    "a status line that is not UTF-8": b"NATS/1.0 \xff\xff\xff bad\r\n\r\n",
    "a header block of 8 bytes": b"NATS/1.0",
    "a header that is not UTF-8": b"NATS/1.0\r\n\xfe: \xff\r\n\r\n",
    "a header without a colon": b"NATS/1.0\r\nnothing\r\n\r\n",
    "a forged status header": b"NATS/1.0\r\nStatus: 404\r\n\r\n",
    "a forged status line": b"NATS/1.0 404 No Messages\r\n\r\n",
    "a forged heartbeat": b"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
    "no header": b"NATS/1.0\r\n\r\n",
}


@pytest.mark.parametrize("body", [b"x", b""])
@pytest.mark.parametrize("header", ODD_HEADERS.values(), ids=list(ODD_HEADERS))
async def test_whatever_a_header_block_holds_reaches_the_tap(
    nats_server: EmbeddedServer, header: bytes, body: bytes
) -> None:
    async with linked(nats_server, user="gateway") as link:
        heard = await tapped(link)
        await say_raw(nats_server, hpub(NAME, header, body), b"PUB %s 1\r\ny\r\n" % NAME)
        await until(lambda: len(heard) == 2)
        assert heard == [(NAME, b"", body, header), (NAME, b"", b"y", b"")]
        assert link.connects == 1


async def test_a_subject_and_a_reply_that_are_not_utf_8_reach_the_tap(nats_server: EmbeddedServer) -> None:
    async with linked(nats_server, user="gateway") as link:
        heard = await tapped(link)
        bad = f"{SAY}.".encode() + b"\xff\xc3"
        await say_raw(nats_server, b"PUB %s re.\xff 1\r\nx\r\n" % bad, b"PUB %s 1\r\ny\r\n" % NAME)
        await until(lambda: len(heard) == 2)
        assert heard == [(bad, b"re.\xff", b"x", b""), (NAME, b"", b"y", b"")]
        assert link.connects == 1


@pytest.mark.parametrize("byte", [b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\x00"])
async def test_a_subject_may_hold_whatever_nats_server_takes(nats_server: EmbeddedServer, byte: bytes) -> None:
    """A parser that splits at any white space would end the connection, and again after each reconnect."""
    async with linked(nats_server, user="gateway") as link:
        heard = await tapped(link)
        odd = f"{SAY}.a".encode() + byte + b"b"
        await say_raw(nats_server, b"PUB %s 1\r\nx\r\n" % odd, b"PUB %s 1\r\ny\r\n" % NAME)
        await until(lambda: len(heard) == 2)
        assert heard == [(odd, b"", b"x", b""), (NAME, b"", b"y", b"")]
        assert link.connects == 1


async def test_a_tap_that_raises_does_not_deafen_the_others(
    nats_server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        raise RuntimeError(data.decode())

    async with linked(nats_server, user="gateway") as link:
        await link.tap(f"{SAY}.broken", broken)
        heard = await tapped(link, f"{SAY}.fine")
        for subject in ("broken", "fine", "broken", "fine"):
            await link.publish(f"{SAY}.{subject}", b"CANARY")
        await until(lambda: len(heard) == 2)
        failures = [record for record in caplog.records if record.message == "tap failed"]
        assert [record.__dict__["tap"] for record in failures] == [f"{SAY}.broken"] * 2


async def test_messages_come_in_order_until_the_tap_is_closed(nats_server: EmbeddedServer) -> None:
    async with linked(nats_server, user="gateway") as link:
        heard: list[int] = []
        tap = await link.tap(f"{SAY}.n", lambda _subject, _reply, data, _headers: heard.append(int(data)))
        for n in range(1_000):
            await link.publish(f"{SAY}.n", b"%d" % n)
        await until(lambda: len(heard) == 1_000)
        assert heard == list(range(1_000))
        await tap.close()
        await tap.close()
        again = await tapped(link, f"{SAY}.n")
        await link.publish(f"{SAY}.n", b"1000", headers={"A": "b"})
        await until(lambda: again)
        assert (len(again), len(heard)) == (1, 1_000)
        assert b"A: b" in again[0][3]


async def test_what_came_together_is_told_when_all_of_it_has_been_heard(nats_server: EmbeddedServer) -> None:
    async with linked(nats_server, user="gateway") as link:
        heard = await tapped(link)
        reads: list[int] = []
        link.after_read.append(lambda: reads.append(len(heard)))
        for _ in range(500):
            await link.publish(f"{SAY}.n", b"x" * 40)
        await until(lambda: len(heard) == 500)
        await link.request(INFO)
        assert 500 in reads, "after the last of them, too"
        assert len(set(reads)) < 250, "many are heard for each time it is told"


async def test_each_request_gets_its_own_answer(nats_server: EmbeddedServer) -> None:
    async with linked(nats_server, user="gateway") as link:
        names = ["EVENTS", "KV_cursors"] * 50
        replies = await asyncio.gather(*(link.request(f"$JS.API.STREAM.INFO.{name}") for name in names))
        answered = [msgspec.json.decode(reply.payload)["config"]["name"] for reply in replies]
        assert answered == names


async def test_a_request_that_nobody_answers_says_so(nats_server: EmbeddedServer) -> None:
    async with linked(nats_server, user="gateway") as link:
        with pytest.raises(UpstreamUnavailable, match=r"nobody answers tidewire\.gateway\.nobody"):
            await link.request(f"{SAY}.nobody")
        heard = await tapped(link, f"{SAY}.silent")
        with pytest.raises(UpstreamUnavailable, match=r"no answer from tidewire\.gateway\.silent within 0\.05 s"):
            await link.request(f"{SAY}.silent", b"?", timeout_s=0.05)
        assert [data for _, _, data, _ in heard] == [b"?"]


async def test_an_answer_that_comes_too_late_is_nobodys(nats_server: EmbeddedServer) -> None:
    async with TcpProxy(nats_server.port) as proxy:
        async with Link(gateway_settings(nats_server, servers=(proxy.url,), dead_after_s=5.0)) as link:
            proxy.delay_s = 0.1
            with pytest.raises(UpstreamUnavailable, match="no answer"):
                await link.request("$JS.API.STREAM.INFO.KV_cursors", timeout_s=0.05)
            proxy.delay_s = 0.0
            reply = await link.request(INFO)
            assert msgspec.json.decode(reply.payload)["config"]["name"] == "EVENTS"


async def test_a_killed_server_is_told_and_all_works_again_when_it_is_back(server: EmbeddedServer) -> None:
    told: list[bool] = []
    link = Link(gateway_settings(server))
    link.changed.append(told.append)
    async with link:
        heard = await tapped(link)
        dropped = await link.tap(f"{SAY}.dropped", lambda *_: None)
        await tapped(link, "tidewire.gateway.silent")
        waiting = asyncio.create_task(link.request(f"{SAY}.silent", timeout_s=30))
        await until(lambda: heard)
        await server.kill()
        await until(lambda: not link.is_up, within_s=3)
        with pytest.raises(UpstreamUnavailable, match="the connection to NATS was lost"):
            await waiting
        with pytest.raises(UpstreamUnavailable, match="no connection to NATS"):
            await link.publish(NAME.decode(), b"lost")
        with pytest.raises(UpstreamUnavailable, match="no connection to NATS"):
            await link.request(INFO, timeout_s=30)
        await dropped.close()
        while_down = await tapped(link, "tidewire.gateway.new")
        await server.start()
        await link.wait_up(5)
        assert told == [True, False, True]
        del heard[:]
        await link.publish(NAME.decode(), b"1")
        await link.publish(f"{SAY}.new", b"2")
        assert (await link.request(INFO)).payload
        assert [data for _, _, data, _ in while_down] == [b"2"]
        assert [data for _, _, data, _ in heard] == [b"1", b"2"]
        assert link.connects == 2
    assert told == [True, False, True, False]


def test_by_default_a_dead_connection_is_noticed_within_15_seconds() -> None:
    settings = LinkSettings()
    assert settings.heartbeat_s + settings.dead_after_s < 15


async def test_a_server_that_stands_still_is_noticed(server: EmbeddedServer) -> None:
    async with Link(gateway_settings(server)) as link:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await until(lambda: not link.is_up, within_s=5)
            assert link.last_error == "no PONG"
            await until(lambda: link.last_error == "TimeoutError", within_s=5)  # connecting to it ends as well
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await link.wait_up(5)
        assert (await link.request(INFO)).payload


async def test_a_half_open_connection_is_noticed_and_let_go(nats_server: EmbeddedServer) -> None:
    async with TcpProxy(nats_server.port) as proxy:
        async with Link(gateway_settings(nats_server, servers=(proxy.url,))) as link:
            heard = await tapped(link, f"{SAY}.half")
            transport: Any = link._client and link._client._transport
            stalled = transport._io_writer.transport
            proxy.stall()
            # more than the sockets hold: the write side is full when the connection is let go
            writing = asyncio.create_task(publish_all(link, f"{SAY}.other", b"x" * 500_000, 40))
            await until(lambda: not link.is_up, within_s=5)
            assert link.last_error == "no PONG"
            # what can never be sent keeps no socket open
            await until(lambda: stalled.is_closing() and not stalled.get_write_buffer_size())
            proxy.resume()
            await link.wait_up(5)
            await asyncio.wait([writing], timeout=5)
            assert isinstance(writing.exception(), UpstreamUnavailable)
            await link.publish(f"{SAY}.half", b"1")
            await until(lambda: heard)
            await until(lambda: proxy.open == 1, within_s=5)


async def publish_all(link: Link, subject: str, payload: bytes, count: int) -> None:
    for _ in range(count):
        await link.publish(subject, payload)


async def test_a_transport_that_is_closed_under_a_ping_or_a_publish_is_a_connection_lost(
    nats_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closed(*_: object, **__: object) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")  # as uvloop says it

    async with Link(gateway_settings(nats_server)) as link:
        assert link._client is not None
        monkeypatch.setattr(link._client, "_send_ping", closed)
        await link.publish("tidewire.gateway.x", b"")  # written in the next round, when the socket is closed
        link._client._socket.abort()
        with pytest.raises(UpstreamUnavailable):
            await link.publish("tidewire.gateway.x", b"")
        await until(lambda: link.connects == 2)
        await link.publish("tidewire.gateway.x", b"")


async def test_a_connection_that_ends_while_a_ping_is_under_way_is_made_again_at_once(
    nats_server: EmbeddedServer,
) -> None:
    async with TcpProxy(nats_server.port) as proxy:
        async with Link(gateway_settings(nats_server, servers=(proxy.url,), dead_after_s=30.0)) as link:
            proxy.stall()
            await until(lambda: link._client is not None and link._client._pongs)
            proxy.cut()
            proxy.resume()
            await until(lambda: link.connects == 2, within_s=5)


async def test_a_connection_cut_in_the_middle_of_a_message_is_made_again(nats_server: EmbeddedServer) -> None:
    async with TcpProxy(nats_server.port) as proxy:
        async with Link(gateway_settings(nats_server, servers=(proxy.url,))) as link:
            heard = await tapped(link, f"{SAY}.cut")
            proxy.cut_after(50_000)
            await link.publish(f"{SAY}.cut", b"x" * 100_000)
            await until(lambda: link.connects == 2 and link.is_up)
            await link.publish(f"{SAY}.cut", b"whole")
            await until(lambda: heard)
            assert [data for _, _, data, _ in heard] == [b"whole"]


async def test_a_tap_made_while_a_connection_is_being_made_hears(nats_server: EmbeddedServer) -> None:
    async with TcpProxy(nats_server.port) as proxy:
        proxy.delay_s = 0.02
        link = Link(gateway_settings(nats_server, servers=(proxy.url,)))
        await link.start(within_s=None)
        taps: list[Heard] = []

        async def tap_until_up() -> bool:
            taps.append(await tapped(link, f"{SAY}.early.{len(taps)}"))
            return link.is_up

        await until(tap_until_up)
        proxy.delay_s = 0.0
        for n in range(len(taps)):
            await link.publish(f"{SAY}.early.{n}", b"%d" % n)
        assert (await link.request(INFO)).payload  # answered after all of those
        deaf = [n for n, heard in enumerate(taps) if len(heard) != 1]
        assert (deaf, len(taps) > 10) == ([], True)
        await link.close()


async def test_a_wrong_password_is_said_and_shown_to_nobody(nats_server: EmbeddedServer) -> None:
    settings = gateway_settings(nats_server, password=Secret("WRONG-CANARY"))
    with pytest.raises(UpstreamUnavailable, match=r"no connection to NATS at nats://127.*authorization") as raised:
        await Link(settings).start(within_s=1.5)
    assert "CANARY" not in str(raised.value)


async def test_a_server_that_is_not_there_is_said(nats_server: EmbeddedServer) -> None:
    url = f"nats://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(UpstreamUnavailable, match=rf"no connection to NATS at {url} \(ConnectionRefusedError\)"):
        await Link(gateway_settings(nats_server, servers=(url,))).start(within_s=0.5)


async def test_the_password_file_is_read_again_at_each_attempt(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    file = tmp_path / "password"
    link = Link(gateway_settings(nats_server, password=None, password_file=str(file)))
    await link.start(within_s=None)
    await until(lambda: link.last_error == "FileNotFoundError")
    file.write_text("wrong\n")
    await until(lambda: "authorization" in link.last_error)
    file.write_text(nats_server.password("gateway").reveal() + "\n")
    await link.wait_up(5)
    assert (await link.request(INFO)).payload
    await link.close()


async def test_the_next_server_is_taken_when_one_is_dead(tmp_path: Path, nats_server: EmbeddedServer) -> None:
    async with running_server(tmp_path / "first") as first:
        password = tmp_path / "password"
        password.write_text(first.password("gateway").reveal())
        dead = f"nats://127.0.0.1:{free_ports(1)[0]}"
        settings = gateway_settings(first, servers=(dead, first.url, nats_server.url), password_file=str(password))
        async with Link(settings) as link:
            assert (await link.request(INFO)).payload
            password.write_text(nats_server.password("gateway").reveal())
            await first.kill()
            await until(lambda: link.connects == 2 and link.is_up)
            reply = await link.request(INFO)
            assert msgspec.json.decode(reply.payload)["config"]["name"] == "EVENTS"


JUNK = {
    "closes at once": b"",
    "speaks HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "says no JSON": b"INFO nothing\r\n",
    "says another JSON": b"INFO []\r\n",
    "never ends its line": b"INFO " + b"x" * 200_000,
    "says INFO and closes": b'INFO {"max_payload":1}\r\n',
    "sends what is no protocol": b'INFO {"max_payload":1}\r\nPONG\r\n\xff\xff\xff\r\n',
    "sends a number that is none": b'INFO {"max_payload":1}\r\nPONG\r\nINFO {"max_payload":\r\n',
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=list(JUNK))
async def test_a_server_that_is_none_does_not_end_the_trying(nats_server: EmbeddedServer, junk: bytes) -> None:
    served: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(1)
        writer.write(junk)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as odd:
        url = f"nats://127.0.0.1:{odd.sockets[0].getsockname()[1]}"
        async with Link(gateway_settings(nats_server, servers=(url, nats_server.url))) as link:
            assert (await link.request(INFO)).payload
            assert served


async def test_a_dead_read_loop_is_noticed(nats_server: EmbeddedServer) -> None:
    async with Link(gateway_settings(nats_server)) as link:
        heard = await tapped(link, f"{SAY}.dead")
        assert link._client is not None
        reading = link._client._reading_task
        assert reading is not None
        reading.cancel()
        await until(lambda: link.connects == 2 and link.is_up, within_s=5)
        await link.publish(f"{SAY}.dead", b"1")
        await until(lambda: heard)


async def test_a_refused_subject_is_logged_and_the_connection_stays(
    nats_server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with Link(gateway_settings(nats_server)) as link:
        await link.publish("orders.c1.o1", b"CANARY")
        await until(lambda: "Permissions Violation" in said(caplog).title())
        assert "orders.c1.o1" in said(caplog)
        assert "CANARY" not in said(caplog)
        assert (await link.request(INFO)).payload
        assert link.connects == 1


def said(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(str(record.__dict__.get("error", "")) for record in caplog.records)


@pytest.mark.parametrize("moment", ["up", "stalled", "trying", "connecting"])
async def test_close_leaves_nothing_behind(
    nats_server: EmbeddedServer, moment: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with TcpProxy(nats_server.port) as proxy:
        before = asyncio.all_tasks()
        link = Link(gateway_settings(nats_server, servers=(proxy.url,), connect_s=30.0, dead_after_s=30.0))
        proxy.refusing = moment == "trying"
        if moment == "connecting":
            proxy.stall()
        await link.start(within_s=None)
        ready: dict[str, Callable[[], bool]] = {
            "connecting": lambda: proxy.connections == 1,
            "trying": lambda: bool(link.last_error),
        }
        await until(ready.get(moment, lambda: link.is_up))
        if moment == "stalled":
            proxy.stall()
        await link.close()
        await link.close()
        left = {task for task in asyncio.all_tasks() - before if "proxy" not in task.get_name()}
        await until(lambda: all(task.done() or "_pump" in repr(task) for task in left), within_s=1)
        assert not link.is_up
        proxy.resume()
        await until(lambda: proxy.open == 0)
    assert not caplog.records


class LosingLink(Link):
    """Loses the first cancellation, as ``asyncio.wait_for`` does on Python 3.11 when a result comes with it."""

    lost = 0

    async def _watch(self) -> None:
        try:
            await super()._watch()
        except asyncio.CancelledError:
            self.lost += 1
            if self.lost > 1:
                raise


async def test_a_cancellation_that_is_lost_keeps_no_link_open(nats_server: EmbeddedServer) -> None:
    link = LosingLink(gateway_settings(nats_server))
    await link.start()
    closing = asyncio.create_task(link.close())
    await until(closing.done, within_s=3)
    assert (link.lost > 1, link.is_up) == (True, False)


def test_each_user_has_an_inbox_of_its_own() -> None:
    links = [Link(LinkSettings(inbox_prefix=prefix)) for prefix in [*USERS.values(), "_INBOX_gw"]]
    assert all(one.inbox != other.inbox for one, other in itertools.combinations(links, 2))
    assert all(link.inbox.startswith(link.settings.inbox_prefix + ".") for link in links)

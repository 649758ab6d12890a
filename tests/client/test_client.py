"""The client over real sockets, against a gateway that follows a script."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme
from tidewire_client import (
    Backoff,
    Client,
    ClientClosed,
    ClientError,
    DeviceKeys,
    FileState,
    Forbidden,
    GapFrame,
    GatewayError,
    MemoryState,
    Position,
    ProtocolError,
    Revoked,
    StateUnavailable,
    Subscription,
    TakenOver,
    TokenUnavailable,
    Unauthorized,
    Unreachable,
)
from tidewire_client.core import Core
from tidewire_client.keys import DeviceKey

from tests.client.scripted_server import STREAM, Gateway, Peer, event, live, scripted_gateway, welcome
from tests.until import until

SWIFT = Backoff(least_s=0.01, max_s=0.05, quick_s=0.01)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with scripted_gateway() as running:
        yield running


def client_of(gateway: Gateway, **options: object) -> Client:
    chosen: dict[str, object] = {"token": "t1", "session": "pixel-7", "backoff": SWIFT} | options
    return Client(gateway.url, **chosen)  # type: ignore[arg-type]


def broken(*_args: object) -> list[object]:
    raise AssertionError("planted")


async def drain(events: Subscription) -> None:
    async for _ in events:
        pass


async def to_live(gateway: Gateway, *events: dict[str, object], after: int = 10) -> Peer:
    """Accept a connection and bring it to live with some events."""
    peer = await gateway.accept()
    await peer.expect("connect")
    top = max([after, *(int(str(sent["seq"])) for sent in events)])
    await peer.send(welcome(after, "fresh"), *events, live(top))
    return peer


async def test_events_arrive_and_are_acknowledged_after_the_loop_body(gateway: Gateway) -> None:
    """P6.1."""
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
    """P3.4, P4.2, P6.2."""
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
    """P6.1."""
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


async def test_a_loop_left_by_break_goes_on_where_it_was(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        serving = asyncio.ensure_future(to_live(gateway, event(11), event(12)))
        async for first in client.subscribe("orders.>"):
            assert first.seq == 11
            break
        seen = []
        async for again in client.subscribe("orders.>"):
            seen.append(again.seq)
            if again.seq == 12:
                await again.ack()
                break
        assert seen == [11, 12], "the event in hand was not processed: it comes again"
        assert (await (await serving).expect("ack"))["seq"] == 12


async def test_messagepack_bytes_and_sealed_fields(gateway: Gateway) -> None:
    """P5.6."""
    async with client_of(gateway, encoding="msgpack") as client:
        events = client.subscribe("orders.>")
        sealed = {"order": "o7", "$sealed": {"contact": "a..b.c.d"}}
        peer = await to_live(
            gateway, event(11, data=b"\x00\xff"), event(12, data=sealed, headers={"A": ["b"]}, id="m1")
        )
        assert peer.socket.subprotocol == "tidewire.v1.msgpack"
        assert (await anext(events)).data == b"\x00\xff"
        second = await anext(events)
        assert (second.data, second.opened) == ({"order": "o7"}, ())
        assert second.shut == {"contact": "form"}
        assert (second.id, second.headers) == ("m1", {"A": ["b"]})


async def test_a_payload_that_is_not_json_arrives_as_bytes(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        events = client.subscribe("orders.>")
        binary = event(11, data_b64="AP8=")
        del binary["data"]
        await to_live(gateway, binary, event(12, data_b64="no base64!"))
        assert (await anext(events)).data == b"\x00\xff"
        assert (await anext(events)).data == b"no base64!"


async def test_manual_acks_may_come_in_any_order(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        events = client.subscribe("orders.>", ack="manual")
        peer = await to_live(gateway, event(11), event(12), event(13))
        first, second, third = [await anext(events) for _ in range(3)]
        await third.ack()
        await first.ack()
        assert (await peer.expect("ack"))["seq"] == 11
        await second.ack()
        await second.ack()
        await client.flush()
        assert (await peer.expect("ack"))["seq"] == 13


async def test_two_iterators_share_a_session_and_an_event_waits_for_both(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        wide, narrow = client.subscribe("orders.>"), client.subscribe("*.c42.*")
        peer = await gateway.accept()
        assert (await peer.expect("connect"))["subscribe"] == ["orders.>", "*.c42.*"]
        await peer.send(welcome(10, "fresh"), event(11), event(12, "orders.c43.o1"), live(12))
        for events in (wide, narrow):
            assert (await anext(events)).seq == 11
        second = await anext(wide)
        await second.ack()
        assert client.position == Position(STREAM, 10)
        await narrow.aclose()
        assert client.position == Position(STREAM, 12)
        assert (await peer.expect("unsubscribe"))["subjects"] == ["*.c42.*"]
        assert (await peer.expect("ack"))["seq"] == 12
        with pytest.raises(StopAsyncIteration):
            await anext(narrow)


async def test_a_subscription_given_up_at_the_end_of_its_block_lets_the_position_go_on(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        async with client.subscribe("orders.>") as events:
            peer = await to_live(gateway, event(11), event(12))
            assert (await anext(events)).seq == 11
            assert client.position == Position(STREAM, 10)
        assert client.position == Position(STREAM, 12)
        assert (await peer.expect("unsubscribe"))["subjects"] == ["orders.>"]


async def test_a_pattern_added_later_is_told_and_its_refusal_ends_its_iterator_alone(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        events = client.subscribe("orders.>")
        peer = await to_live(gateway)
        await until(lambda: client.state == "live")
        stock = client.subscribe("stock.>")
        asked = await peer.expect("subscribe")
        assert asked["subjects"] == ["stock.>"]
        await peer.send({"type": "reply", "id": asked["id"], "data": {"seq": 10, "denied": ["stock.>"]}}, event(11))
        with pytest.raises(Forbidden) as caught:
            await anext(stock)
        assert caught.value.subjects == ("stock.>",)
        assert (await anext(events)).seq == 11


@pytest.mark.parametrize(
    ("code", "kind"), [(4503, Forbidden), (4509, TakenOver), (4510, Revoked), (4501, Unauthorized)]
)
async def test_a_final_close_is_raised_from_every_iterator(gateway: Gateway, code: int, kind: type[Exception]) -> None:
    keys = DeviceKeys([DeviceKey("k1", bytes(32), tenant="t", data_subject="c42", field_class="contact")])
    async with client_of(gateway, keys=keys) as client:
        first, second = client.subscribe("orders.>"), client.subscribe("stock.>")
        peer = await to_live(gateway)
        await peer.close(code)
        for events in (first, second):
            with pytest.raises(kind):
                await anext(events)
        assert client.state == "closed"
        assert isinstance(client.failure, kind)
        with pytest.raises(kind):
            client.subscribe("more.>")
        assert len(keys) == (0 if kind is Revoked else 1)
    assert gateway.waiting == 0


async def test_a_goodbye_is_obeyed_without_waiting_for_the_close(gateway: Gateway) -> None:
    """P2.42."""
    states: list[str] = []
    async with client_of(gateway, on_state=states.append) as client:
        _ = client.subscribe("orders.>")
        peer = await to_live(gateway)
        await peer.send({"type": "goodbye", "code": 4001, "reason": "draining", "reconnect": True, "after": 10})
        await to_live(gateway)
        await until(lambda: client.state == "live")
        assert await peer.wait_closed() == 1000
    await until(lambda: states)
    assert states[:6] == ["connecting", "replaying", "live", "waiting", "connecting", "replaying"]


async def test_the_token_callable_may_be_async_and_may_fail_for_a_while(gateway: Gateway) -> None:
    errors: list[ClientError] = []
    answers: Iterator[OSError | str] = iter([OSError("no net"), "t1", "t2"])

    async def token() -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async with client_of(gateway, token=token, on_error=errors.append) as client:
        _ = client.subscribe("orders.>")
        peer = await to_live(gateway)
        assert [type(error) for error in errors] == [TokenUnavailable]
        await peer.send({"type": "expiring", "in": 60}, {"type": "ping"})
        assert [(await peer.receive())["type"] for _ in range(3)].count("refresh") == 1
        await peer.close(4004)


async def test_a_token_callable_can_say_that_there_is_no_token(gateway: Gateway) -> None:
    def token() -> str:
        raise Unauthorized

    async with client_of(gateway, token=token) as client:
        with pytest.raises(Unauthorized):
            await anext(client.subscribe("orders.>"))


async def test_the_position_waits_for_the_gap_callback(gateway: Gateway) -> None:
    """P6.2, P6.8."""
    may_return, gaps = asyncio.Event(), list[GapFrame]()

    async def on_gap(gap: GapFrame) -> None:
        gaps.append(gap)
        await may_return.wait()

    lives: list[int] = []
    state = MemoryState()
    async with client_of(gateway, on_gap=on_gap, on_live=lives.append, state=state) as client:
        events = client.subscribe("orders.>")
        peer = await gateway.accept()
        await peer.expect("connect")
        gap = {"type": "gap", "after": 5, "before": 11, "reason": "expired"}
        await peer.send(welcome(10, "gap"), gap, event(11), live(11))
        await (await anext(events)).ack()
        await until(lambda: gaps)
        assert client.position is None, "a run that had no position begins behind the gap, once it is dealt with"
        may_return.set()
        assert (await peer.expect("ack"))["seq"] == 11
        await until(lambda: lives)
        assert (gaps[0].after, gaps[0].before, gaps[0].reason, lives) == (5, 11, "expired", [11])


async def test_a_callback_that_raises_ends_the_client_loudly(gateway: Gateway) -> None:
    def on_live(_seq: int) -> None:
        raise LookupError("bug of the program")

    async with client_of(gateway, on_live=on_live) as client:
        events = client.subscribe("orders.>")
        await to_live(gateway)
        with pytest.raises(LookupError):
            await anext(events)
        assert client.state == "closed"


async def test_a_bug_of_the_client_itself_is_raised_and_not_swallowed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method in ("tick", "received"):
        async with client_of(gateway) as client:
            events = client.subscribe("orders.>")
            peer = await to_live(gateway, event(11), event(12))
            assert (await anext(events)).seq == 11
            assert (await anext(events)).seq == 12
            with monkeypatch.context() as patch:
                patch.setattr(Core, method, broken)  # the acknowledgement falls due, and an event comes
                await peer.send(event(13))
                with pytest.raises(AssertionError, match="planted"):
                    await drain(events)
            assert client.state == "closed"


async def test_a_state_that_fails_is_reported_and_stops_nothing(gateway: Gateway, tmp_path: Path) -> None:
    errors: list[ClientError] = []
    state = FileState(tmp_path / "absent" / "state.json")
    async with client_of(gateway, state=state, on_error=errors.append) as client:
        events = client.subscribe("orders.>")
        peer = await to_live(gateway, event(11))
        await (await anext(events)).ack()
        assert (await peer.expect("ack"))["seq"] == 11
        assert {type(error) for error in errors} == {StateUnavailable}


async def test_errors_of_the_gateway_are_told_and_the_session_goes_on(gateway: Gateway) -> None:
    errors: list[ClientError] = []
    async with client_of(gateway, on_error=errors.append) as client:
        events = client.subscribe("orders.>")
        peer = await to_live(gateway)
        await peer.send({"type": "error", "code": "unknown_type", "message": "m", "retry": False}, event(11))
        assert (await anext(events)).seq == 11
        await until(lambda: errors)
        assert isinstance(errors[0], GatewayError)
        assert str(errors[0]) == "unknown_type: m"


async def test_closing_ends_iterators_and_leaves_nothing_running(gateway: Gateway) -> None:
    before = asyncio.all_tasks()
    client = client_of(gateway)
    with pytest.raises(ClientClosed):
        client.subscribe("orders.>")
    async with client:
        events = client.subscribe("orders.>")
        peer = await to_live(gateway)
        waiting = asyncio.ensure_future(anext(events, None))
        await until(lambda: client.state == "live")
    assert await waiting is None
    assert await peer.wait_closed() == 1000
    with pytest.raises(ClientClosed):
        client.subscribe("orders.>")
    with pytest.raises(ClientClosed):
        await client.__aenter__()
    await client.close()
    ours = {task for task in asyncio.all_tasks() - before if "tidewire_client" in repr(task)}
    assert ours == set()


async def test_a_client_that_never_reached_the_gateway_closes_at_once(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        _ = client.subscribe("orders.>")
    assert client.state == "closed"


async def test_a_message_that_is_no_frame_is_retried_once(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        events = client.subscribe("orders.>")
        for _ in range(2):
            peer = await gateway.accept()
            await peer.expect("connect")
            await peer.socket.send("no frame")
        with pytest.raises(ProtocolError):
            await anext(events)


async def test_a_server_without_our_subprotocol_is_a_protocol_error() -> None:
    async with scripted_gateway(subprotocols=("other",)) as gateway, client_of(gateway) as client:
        with pytest.raises(ProtocolError):
            await anext(client.subscribe("orders.>"))


async def test_tls_is_verified_with_the_given_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    errors: list[ClientError] = []
    async with scripted_gateway(server_tls) as gateway:
        async with client_of(gateway, ca=tmp_path / "ca.pem") as client:
            events = client.subscribe("orders.>")
            await to_live(gateway, event(11))
            assert (await anext(events)).seq == 11
        async with client_of(gateway, on_error=errors.append) as client:
            _ = client.subscribe("orders.>")
            await until(lambda: errors)
        assert isinstance(errors[0], Unreachable)
        assert "CERTIFICATE_VERIFY_FAILED" in str(errors[0])
        assert gateway.waiting == 0


async def test_a_quiet_link_is_probed_and_a_dead_one_is_left(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidewire_client.core.PROBE_AFTER_S", -0.95)  # with a ping of 1 s: probe after 50 ms
    monkeypatch.setattr("tidewire_client.core.DEAD_AFTER_S", -0.7)  # and dead after 300 ms
    async with client_of(gateway) as client:
        pongs: list[int] = []
        heard = client.on_pong

        def on_pong(number: int) -> None:
            pongs.append(number)
            heard(number)

        monkeypatch.setattr(client, "on_pong", on_pong)
        _ = client.subscribe("orders.>")
        peer = await gateway.accept()
        await peer.expect("connect")
        await peer.send(welcome(10, "fresh", ping=1), live(10))
        await until(lambda: len(pongs) >= 8)
        assert client.state == "live"
        peer.socket.transport.pause_reading()  # nothing is read any more, so no pong is sent: a half-open link
        await to_live(gateway)
        peer.socket.transport.abort()


@pytest.mark.parametrize(
    "url",
    ["http://a/v1/session", "ws://gateway.example/v1/session", "wss://a/v1?token=t", "wss://u@a/", "wss:"],
)
def test_urls_that_would_show_tokens_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(url|ws:)"):
        Client(url, token="t", session="s")


def test_session_names_are_checked() -> None:
    for session in ("", "a" * 65, "a b", "a.b", "\u00e4"):
        with pytest.raises(ValueError, match="session"):
            Client("wss://a/v1/session", token="t", session=session)


async def test_a_subscription_needs_a_pattern_and_has_one_waiter(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        with pytest.raises(ValueError, match="at least one"):
            client.subscribe()
        with pytest.raises(ValueError, match="empty token"):
            client.subscribe("a..b")
        events = client.subscribe("orders.>")
        waiting = asyncio.ensure_future(anext(events, None))
        await until(lambda: gateway.waiting)
        with pytest.raises(RuntimeError, match="two tasks"):
            await anext(events)
    assert await waiting is None

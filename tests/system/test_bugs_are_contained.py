"""A bug in one session ends that connection with 1011; the others get every event."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.embedded import EmbeddedServer
from mesh.event import StoredEvent
from replay.recent import RecentWindow
from tests.gateways import running_gateway
from tests.system.publishing import publish
from tests.until import until


def broken(*_: object) -> list[object]:
    raise AssertionError("a bug")


@pytest.mark.parametrize("step", ["offer", "receive", "tick", "take", "pump"])
async def test_a_bug_in_one_session_ends_that_connection_alone(
    nats_server: EmbeddedServer, tmp_path: Path, step: str
) -> None:
    async with running_gateway(nats_server, tmp_path) as gateway:
        one = gateway.client("c42", ["orders.c42.>"], session=f"bug-{step}")
        other = gateway.client("c42", ["orders.c42.>"], session=f"fine-{step}")
        async with one, other:
            await one.until("live")
            await other.until("live")
            connection = next(c for c in gateway.house.exchange.by_key.values() if c.owner.session == f"bug-{step}")
            setattr(connection.session, step, broken)
            if step == "offer":  # the events may come together, and to nobody else
                connection.session.offer_all = connection.session.admit = broken  # type: ignore[method-assign,assignment]
            if step == "take":
                connection.session.admit = lambda *_: None  # type: ignore[method-assign]  # they go through the outbox
            if step == "tick":
                connection.session.due_s = 0.0
                gateway.house.exchange.timers.watch(connection)
            seqs = await publish(nats_server, "orders.c42.o1", 5)
            if step in ("receive", "pump"):
                await one.until("event", 5)
                await one.send({"type": "ack", "seq": seqs[-1]})
                if step == "pump":
                    gateway.house.exchange._behind[connection] = None
                    gateway.house.exchange._flush()
            assert await one.closed() == 1011
            await other.until("event", 5)
            assert other.seqs == seqs
            assert gateway.house.is_ready
            await until(lambda: connection.key not in gateway.house.exchange.by_key)


async def test_a_bug_where_all_events_pass_ends_the_process_instead_of_losing_one(
    nats_server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append: Callable[[RecentWindow, StoredEvent], None] = RecentWindow.append

    def fails_at_times(self: RecentWindow, event: StoredEvent) -> None:
        if event.subject == "orders.bug.x":
            raise AssertionError("a bug")
        append(self, event)

    with pytest.raises(AssertionError, match="a bug"):  # noqa: PT012  # it is raised when the gateway ends
        async with running_gateway(nats_server, tmp_path) as gateway:
            monkeypatch.setattr(RecentWindow, "append", fails_at_times)
            await publish(nats_server, "orders.bug.x", 1)
            await until(lambda: not gateway.house.is_ready)

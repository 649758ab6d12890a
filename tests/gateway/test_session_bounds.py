"""A session at its edges: acks of gaps, lists that are too long, clients that acknowledge in groups."""

import pytest

from gateway import frames
from gateway.effects import ReadDurable, Save
from gateway.phase import Phase
from gateway.session_settings import HOLD_BACK_S
from mesh.contiguity import Hole
from replay.catchup import Read
from tests.gateway.driven_session import DrivenSession, event, live_session

MOST = 128


def test_a_gap_told_while_replaying_may_be_acknowledged() -> None:
    driven = DrivenSession(floor=1_000)
    driven.session.start()
    driven.session.read(Read([event(5)], 5, [Hole(5, 11, "deleted")]), driven.now_s)
    assert driven.told() == ["welcome 0", "replay 5", "gap 5-11"]
    assert driven.session.position == 5, "what lies behind the gap has not been read"
    assert Save() in driven.ack(10)
    assert driven.phase() is Phase.REPLAYING
    assert driven.session.acked == 10


def test_behind_a_gap_told_while_replaying_nothing_may_be_acknowledged() -> None:
    driven = DrivenSession(floor=1_000)
    driven.session.start()
    driven.session.read(Read([event(5)], 5, [Hole(5, 11, "deleted")]), driven.now_s)
    driven.ack(11)
    assert driven.phase() is Phase.ENDED
    assert driven.told()[-1] == "goodbye 4400"


def test_an_ack_that_is_repeated_is_harmless_also_at_the_end_of_a_gap() -> None:
    """P2.17: at or below the cursor."""
    driven = DrivenSession(floor=1_000)
    driven.session.start()
    driven.session.read(Read([event(5)], 5, [Hole(5, 11, "deleted")]), driven.now_s)
    driven.ack(10)
    for seq in (10, 9, 0):
        assert driven.ack(seq) == []
    assert (driven.phase(), driven.session.acked) == (Phase.REPLAYING, 10)


def test_a_gap_has_been_read_when_its_end_is_acknowledged_and_not_before() -> None:
    driven = live_session()
    driven.publish("a.b")
    hole = driven.lose(3)
    assert driven.told() == ["event 1", "gap 1-5"]
    for seq in (1, 3):
        assert driven.ack(seq) == [Save()]
        assert driven.session.untold == hole
    driven.ack(4)
    assert driven.session.untold is None


@pytest.mark.parametrize("kind", [frames.Subscribe, frames.Unsubscribe])
@pytest.mark.parametrize("subject", ["no.{}", "a.{}.*", "a..{}"])  # not permitted, permitted, not valid
def test_a_list_longer_than_all_subscriptions_is_refused_unread(
    kind: type[frames.Subscribe | frames.Unsubscribe], subject: str
) -> None:
    driven = live_session()
    subjects = [subject.format(n) for n in range(MOST + 1)]
    assert driven.receive(kind(1, subjects)) == []
    (reply,) = driven.frames()
    assert reply["error"]["code"] == "limit"
    assert driven.session.interest.since == {"a.>": 0}


def test_a_list_as_long_as_all_subscriptions_is_read() -> None:
    driven = live_session()
    driven.receive(frames.Subscribe(1, [f"no.{n}" for n in range(MOST)]))
    (reply,) = driven.frames()
    assert reply["error"]["code"] == "forbidden"
    (saved,) = driven.receive(frames.Unsubscribe(2, [f"a.{n}" for n in range(MOST)]))
    assert isinstance(saved, Save)


@pytest.mark.parametrize(("group", "batch"), [(7, 6), (6, 6), (10, 3), (9, 500)])
def test_a_client_that_acknowledges_in_groups_below_the_recent_window_gets_everything(group: int, batch: int) -> None:
    """Its window of ten is never half free when it waits for more events before its next ack."""
    last, longest_s = 200, 0.0
    driven = DrivenSession(floor=last, window_messages=10, batch_events=batch, ping_every_s=10_000, keep=1)
    effects = driven.session.start()
    got: list[int] = []
    unacknowledged: list[int] = []
    for _ in range(10 * last):
        new = [frame["seq"] for frame in driven.frames() if frame["type"] == "event"]
        got += new
        unacknowledged += new
        reads = [effect for effect in effects if isinstance(effect, ReadDurable)]
        if reads:
            seqs = range(reads[0].after + 1, min(last, reads[0].after + reads[0].batch) + 1)
            effects = driven.session.read(Read([event(seq) for seq in seqs], seqs[-1], []), driven.now_s)
        elif len(unacknowledged) >= group:
            effects = driven.ack(unacknowledged[group - 1])
            del unacknowledged[:group]
        elif driven.phase() is Phase.LIVE:
            break
        else:
            wait_s = driven.session.due_s - driven.now_s
            longest_s = max(longest_s, wait_s)
            effects = driven.advance(wait_s)
    assert driven.phase() is Phase.LIVE
    assert got == list(range(1, last + 1))
    assert longest_s <= HOLD_BACK_S

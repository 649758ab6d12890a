"""The course of a session: replay, live, lagging, and what it says and keeps on the way."""

import pytest

from gateway import close_codes, frames
from gateway.effects import Close, PumpAgain, ReadDurable, Save
from gateway.frames import SUBPROTOCOLS
from gateway.phase import Phase
from gateway.session import CHUNK, MESSAGE_OVERHEAD_BYTES
from gateway.session_settings import READ_RETRY_S
from mesh.contiguity import Hole
from replay.catchup import Failed, Read
from tests.gateway.driven_session import UNIX_S, DrivenSession, event, live_session, size_of


def published(count: int, **more: object) -> DrivenSession:
    """A session that connects after ``count`` events."""
    driven = DrivenSession(**more)  # type: ignore[arg-type]
    driven.publish(*["a.b"] * count)
    return driven


# --- welcome and replay ---


@pytest.mark.parametrize("encoding", SUBPROTOCOLS)
def test_welcome_says_what_holds(encoding: str) -> None:
    """P2.14, P2.30, P2.31, P2.32."""
    driven = DrivenSession(
        position=2,
        patterns={"a.>": 0, "b.x": 4},
        denied=["z"],
        window_messages=7,
        window_bytes=900,
        ping_every_s=2.5,
        encoding=encoding,
    )
    driven.publish("a.1", "a.2", "c.3", "b.x", "a.5", "b.x", "b.y")
    driven.session.start()
    assert driven.frames()[0] == {
        "type": "welcome",
        "session": "pixel",
        "stream": "E:1",
        "outcome": "resumed",
        "from": 2,
        "pending": 2,
        "oldest": "2026-11-23T07:46:40.000000005Z",
        "expires": int(UNIX_S) + 3_600,
        "ping": 2.5,
        "window": {"messages": 7, "bytes": 900},
        "subjects": ["a.>", "b.x"],
        "denied": ["z"],
    }


def test_welcome_leaves_out_what_is_not_there() -> None:
    """P2.30, P2.31."""
    driven = DrivenSession(position=5, floor=5)
    driven.session.start()
    welcome = driven.frames()[0]
    assert welcome["pending"] == 0
    assert not {"oldest", "denied"} & welcome.keys()


def test_pending_is_null_when_the_recent_window_does_not_reach_back() -> None:
    """P2.31."""
    driven = DrivenSession(position=5, floor=6)
    assert driven.session.start() == [ReadDurable(5, 500, 1_048_576 + MESSAGE_OVERHEAD_BYTES, 500, 524_288)]
    welcome = driven.frames()[0]
    assert welcome["pending"] is None
    assert "oldest" not in welcome


def test_a_session_that_missed_nothing_is_live_at_once() -> None:
    """P2.36."""
    driven = DrivenSession(position=9, floor=9, outcome="fresh")
    assert driven.session.start() == []
    assert driven.told() == ["welcome 9", "live 9"]
    driven.publish("a.b")
    assert driven.told() == ["event 10"]


def test_replay_comes_first_then_live_then_what_the_feed_brings() -> None:
    """P4.1."""
    driven = published(3)
    driven.session.start()
    driven.publish("a.b", "c.d", "a.c")
    assert driven.told() == ["welcome 0", "replay 1", "replay 2", "replay 3", "live 3", "event 4", "event 6"]
    assert (driven.session.events_sent, driven.session.events_replayed) == (5, 3)


def test_only_what_is_due_is_replayed() -> None:
    """P4.8: above the session's position and above the pattern's."""
    driven = DrivenSession(position=1, patterns={"a.>": 0, "b.>": 3, "a.x": 2})
    driven.publish("a.x", "b.x", "b.x", "b.x", "c.x", "a.x")
    driven.session.start()
    assert driven.told() == ["welcome 1", "replay 4", "replay 6", "live 6"]


def test_a_session_without_patterns_is_live_and_gets_nothing() -> None:
    driven = DrivenSession(patterns={})
    driven.publish("a.b")
    driven.lose()
    driven.session.start()
    driven.publish("a.b")
    driven.lose()
    assert driven.told() == ["welcome 0", "live 2"]


def test_a_long_replay_is_sent_in_turns() -> None:
    driven = published(CHUNK * 2 + 1)
    assert driven.session.start() == [PumpAgain()]
    assert driven.told()[-1] == f"replay {CHUNK}"
    assert driven.session.pump() == [PumpAgain()]
    assert driven.session.pump() == []
    assert driven.told()[-2:] == [f"replay {CHUNK * 2 + 1}", f"live {CHUNK * 2 + 1}"]
    assert driven.session.pump() == []
    assert driven.told() == [], "live is said once for a catch-up"


def test_events_that_come_during_a_replay_wait_their_turn() -> None:
    """P4.1."""
    driven = published(CHUNK + 1)
    driven.session.start()
    driven.publish("a.b")
    driven.session.pump()
    assert driven.told()[-3:] == [f"replay {CHUNK + 1}", f"replay {CHUNK + 2}", f"live {CHUNK + 2}"]


def test_a_position_ahead_of_the_feed_waits_for_it() -> None:
    driven = DrivenSession(position=12, floor=10)
    assert driven.session.start() == []
    assert driven.told() == ["welcome 12"]
    driven.publish("a.b")
    assert driven.waits_for_feed()
    assert driven.session.pump() == []
    driven.publish("a.b")
    assert not driven.waits_for_feed()
    driven.session.pump()
    driven.publish("a.b")
    assert driven.told() == ["live 12", "event 13"]


def test_a_pattern_ahead_of_the_feed_waits_for_it_too() -> None:
    driven = DrivenSession(position=10, floor=10, patterns={"a.>": 12})
    assert driven.session.start() == []
    driven.publish("a.b", "a.b")
    driven.session.pump()
    driven.publish("a.b")
    assert driven.told() == ["welcome 10", "live 12", "event 13"]


# --- the window ---


def test_a_full_window_stops_delivery_and_the_ack_reads_on() -> None:
    """P4.4."""
    driven = live_session(window_messages=2)
    driven.publish("a.b", "a.b", "a.b", "a.b", "a.b")
    assert driven.told() == ["event 1", "event 2"]
    assert driven.phase() is Phase.LAGGING
    assert driven.ack(1) == [Save()]
    assert driven.told() == ["replay 3"]
    driven.ack(3)
    assert driven.told() == ["replay 4", "replay 5", "live 5"]
    assert driven.phase() is Phase.LIVE
    driven.ack(5)
    driven.publish("a.b")
    assert driven.told() == ["event 6"]


def test_a_window_of_one_takes_one_event_an_ack() -> None:
    driven = published(3, window_messages=1)
    driven.session.start()
    assert driven.told() == ["welcome 0", "replay 1"]
    for seq in (1, 2):
        driven.ack(seq)
        assert driven.told()[0] == f"replay {seq + 1}"
        assert driven.session.outstanding[0] == 1


def test_bytes_outstanding_stay_within_the_window() -> None:
    """P4.4."""
    size = size_of(event(1))
    driven = published(5, window_bytes=2 * size)
    driven.session.start()
    assert driven.told() == ["welcome 0", "replay 1", "replay 2"]
    assert driven.session.outstanding == (2, 2 * size)
    driven.ack(2)
    driven.ack(4)
    assert driven.told() == ["replay 3", "replay 4", "replay 5", "live 5"]


def test_a_window_one_byte_too_small_takes_one_event_less() -> None:
    driven = published(3, window_bytes=2 * size_of(event(1)) - 1)
    driven.session.start()
    assert driven.told() == ["welcome 0", "replay 1"]


def test_a_live_session_lags_by_bytes() -> None:
    driven = live_session(window_bytes=2 * size_of(event(1)) - 1)
    driven.publish("a.b", "a.b")
    assert driven.told() == ["event 1", "event 2"], "a live frame is shorter than a replayed one"
    driven.publish("a.b")
    assert (driven.told(), driven.phase()) == ([], Phase.LAGGING)


def test_an_event_larger_than_the_window_goes_alone() -> None:
    """P4.4."""
    driven = live_session(window_bytes=300)
    driven.publish("a.b")
    driven.publish("a.b", payload=b'"' + b"x" * 1_000 + b'"')
    driven.publish("a.b")
    assert driven.told() == ["event 1"]
    driven.ack(1)
    assert driven.told() == ["replay 2"]
    driven.ack(2)
    assert driven.told() == ["replay 3", "live 3"]


def test_a_blocked_socket_makes_a_session_lag_and_it_reads_on_when_it_is_free() -> None:
    driven = live_session()
    driven.session.set_blocked(is_blocked=True)
    driven.publish("a.b", "a.b")
    assert driven.phase() is Phase.LAGGING
    assert driven.session.pump() == []
    assert driven.told() == []
    driven.session.set_blocked(is_blocked=False)
    driven.session.pump()
    assert driven.told() == ["replay 1", "replay 2", "live 2"]


# --- acks and the cursor ---


def test_through_never_passes_an_event_that_is_not_acknowledged() -> None:
    """P2.16."""
    driven = live_session()
    driven.publish("c.d", "a.b", "c.d", "a.b", "c.d")
    assert (driven.session.acked, driven.session.through) == (0, 1)
    driven.ack(2)
    assert (driven.session.acked, driven.session.through) == (2, 3)
    driven.ack(4)
    assert (driven.session.acked, driven.session.through) == (4, 5)


def test_through_of_a_lagging_session_stops_before_what_was_not_sent() -> None:
    driven = live_session(window_messages=1)
    driven.publish("a.b", "c.d", "a.b", "a.b")
    assert driven.session.through == 0
    driven.session.set_blocked(is_blocked=True)
    driven.ack(1)
    assert driven.session.through == 2
    driven.session.end()
    assert driven.session.through == 2
    driven.recent.append(event(5))
    assert driven.session.through == 2, "an ended session stands still"


@pytest.mark.parametrize("how", ["close", "end"])
def test_through_of_a_live_session_is_kept_when_it_ends(how: str) -> None:
    driven = live_session()
    driven.publish("a.b", "c.d")
    driven.ack(1)
    if how == "close":
        driven.session.close(close_codes.DRAINING)
    else:
        driven.session.end()
    driven.recent.append(event(3))
    assert driven.session.through == 2


def test_an_ack_beyond_what_was_told_closes() -> None:
    """P2.17."""
    driven = live_session()
    driven.publish("a.b", "c.d")
    assert driven.ack(2) == [Close(4400)]
    assert driven.told() == ["event 1", "goodbye 4400"]
    assert driven.session.acked == 0
    assert driven.ack(1) == []


def test_live_seq_and_welcome_from_may_be_acknowledged() -> None:
    """P2.17, P2.36."""
    driven = DrivenSession(position=1)
    driven.publish("a.b", "c.d", "c.d")
    driven.session.start()
    assert driven.told() == ["welcome 1", "live 3"]
    assert driven.ack(3) == [Save()]
    assert driven.session.acked == 3
    waits = DrivenSession(position=9, acked=4, floor=5)
    waits.session.start()
    assert waits.ack(9) == [Save()]
    assert waits.ack(10) == [Close(4400)]


def test_an_ack_between_two_events_frees_those_below_it() -> None:
    """P2.17."""
    driven = live_session()
    driven.publish("a.b", "c.d", "a.b")
    driven.ack(2)
    assert driven.session.outstanding[0] == 1
    assert driven.session.acked == 2


@pytest.mark.parametrize("seq", [0, 1, 2, -5])
def test_an_old_ack_is_harmless(seq: int) -> None:
    """P2.17."""
    driven = live_session()
    driven.publish("a.b", "a.b", "a.b")
    driven.ack(2)
    assert driven.ack(seq) == []
    assert (driven.session.acked, driven.session.outstanding[0]) == (2, 1)


# --- gaps ---


def test_the_gap_of_the_opening_comes_after_welcome_and_before_any_event() -> None:
    """P2.37."""
    driven = DrivenSession(position=4, outcome="gap", gap=Hole(1, 5, "expired"), floor=4)
    driven.publish("a.b")
    driven.session.start()
    first, second, *others = driven.frames()
    assert first["outcome"] == "gap"
    assert second == {"type": "gap", "after": 1, "before": 5, "reason": "expired"}
    assert [frame["type"] for frame in others] == ["event", "live"]
    assert driven.session.gap_reasons == ["expired"]


def test_a_hole_in_the_recent_window_is_told_between_its_neighbours() -> None:
    """P2.37."""
    driven = published(1)
    driven.lose(2)
    driven.publish("a.b")
    driven.lose(1)
    driven.session.start()
    frames_ = driven.frames()
    assert frames_[0]["outcome"] == "gap"
    assert [frame["type"] for frame in frames_[1:]] == ["event", "gap", "event", "gap", "live"]
    assert [frames_[2]["after"], frames_[2]["before"]] == [1, 4]
    assert frames_[-1]["seq"] == 5


def test_a_hole_before_all_patterns_is_nobodys_loss() -> None:
    driven = DrivenSession(patterns={"a.>": 3})
    driven.publish("a.b")
    driven.lose(1)
    driven.publish("a.b", "a.b")
    driven.session.start()
    assert driven.frames()[0]["outcome"] == "resumed", "outcome gap promises a gap frame"
    assert driven.session.gap_reasons == []


def test_a_live_session_is_told_of_a_hole_at_once() -> None:
    driven = live_session()
    driven.publish("a.b")
    driven.lose(3)
    driven.publish("a.b")
    assert driven.told() == ["event 1", "gap 1-5", "event 5"]


def test_a_lagging_session_meets_the_hole_as_it_reads_on() -> None:
    driven = live_session(window_messages=1)
    driven.publish("a.b", "a.b")
    driven.lose(1)
    driven.publish("a.b")
    assert driven.told() == ["event 1"]
    driven.ack(1)
    driven.ack(2)
    assert driven.told() == ["replay 2", "gap 2-4", "replay 4", "live 4"]


def test_a_hole_is_told_once_though_the_event_behind_it_has_to_wait() -> None:
    large = b'"' + b"x" * 200 + b'"'
    driven = live_session(window_bytes=500)
    driven.session.set_blocked(is_blocked=True)
    driven.publish("a.b", "a.b")
    driven.lose(1)
    driven.publish("a.b", payload=large)
    driven.publish("a.b", payload=large)
    driven.session.set_blocked(is_blocked=False)
    driven.session.pump()
    assert driven.told() == ["replay 1", "replay 2", "gap 2-4"]
    driven.ack(1)
    driven.ack(2)
    driven.ack(4)
    assert driven.told() == ["replay 4", "replay 5", "live 5"]


# --- the durable ---


def lagging_behind(keep: int = 2) -> DrivenSession:
    """A session whose next event, 2, has left the recent window: it holds 5 and 6."""
    driven = live_session(window_messages=1, keep=keep)
    driven.publish(*["a.b"] * 6)
    assert driven.told() == ["event 1"]
    assert driven.recent.floor == 4
    return driven


def test_a_session_that_the_recent_window_has_left_behind_reads_its_durable() -> None:
    driven = lagging_behind()
    ask = ReadDurable(1, 1, 1_048_576 + MESSAGE_OVERHEAD_BYTES, 0, 524_288)
    assert driven.ack(1) == [Save(), ask]
    assert driven.session.pump() == [], "one read at a time"
    assert driven.session.read(Read([event(2)], 2, []), driven.now_s) == []
    assert driven.told() == ["replay 2"]
    assert driven.ack(2) == [Save(), ReadDurable(2, 1, ask.max_bytes, 0, 524_288)]
    driven.session.read(Read([event(3)], 4, []), driven.now_s)
    driven.ack(3)
    driven.ack(5)
    assert driven.told() == ["replay 3", "replay 5", "replay 6", "live 6"]
    driven.ack(6)
    driven.publish("a.b")
    assert driven.told() == ["event 7"]


def test_a_read_asks_for_what_the_window_has_room_for() -> None:
    driven = live_session(window_messages=700, window_bytes=1_000, keep=1, batch_events=30)
    driven.publish("a.b")
    driven.session.set_blocked(is_blocked=True)
    driven.publish(*["a.b"] * 5)
    driven.session.set_blocked(is_blocked=False)
    used = driven.session.outstanding[1]
    assert driven.session.pump() == [ReadDurable(1, 30, 1_000 - used + MESSAGE_OVERHEAD_BYTES, 349, 500 - used)]


def test_what_a_read_lost_is_told_before_the_events_after_it() -> None:
    """P2.37, P4.12."""
    driven = DrivenSession(position=1, floor=9)
    driven.session.start()
    holes = [Hole(1, 4, "expired"), Hole(5, 8, "deleted")]
    driven.session.read(Read([event(4), event(5), event(8)], 9, holes), driven.now_s)
    assert driven.told() == ["welcome 1", "gap 1-4", "replay 4", "replay 5", "gap 5-8", "replay 8", "live 9"]
    assert driven.session.gap_reasons == ["expired", "deleted"]


def test_a_read_that_brings_more_than_there_is_room_for_is_read_again_from_there() -> None:
    size = size_of(event(4))
    driven = DrivenSession(position=1, floor=9, window_bytes=size)
    driven.session.start()
    assert driven.session.read(Read([event(4), event(5)], 9, []), driven.now_s) == []
    assert driven.told() == ["welcome 1", "replay 4"]
    effects = driven.ack(4)
    assert effects[0] == Save()
    assert isinstance(effects[1], ReadDurable)
    assert effects[1].after == 4


def test_a_late_answer_reaches_no_ended_session() -> None:
    driven = lagging_behind()
    driven.ack(1)
    driven.session.close(close_codes.TAKEN_OVER)
    assert driven.told() == ["goodbye 4509"]
    assert driven.session.read(Read([event(2)], 2, []), driven.now_s) == []
    assert driven.session.read(Failed("x"), driven.now_s) == []
    assert driven.told() == []
    assert driven.session.through == 1


def test_a_read_drops_what_was_unsubscribed_meanwhile() -> None:
    """P2.21."""
    driven = DrivenSession(position=1, floor=9, patterns={"a.>": 0, "b.>": 0})
    driven.session.start()
    driven.receive(frames.Unsubscribe(1, ["b.>"]))
    driven.session.read(Read([event(4, "b.x"), event(5, "a.x")], 9, []), driven.now_s)
    assert driven.told() == ["welcome 1", "replay 5", "live 9"]


def test_a_failed_read_is_tried_again_ever_later_and_at_once_after_a_success() -> None:
    driven = DrivenSession(position=1, floor=9, window_messages=1, ping_every_s=1_000)
    first = driven.session.start()
    waits: list[float] = []
    for _ in range(8):
        began_s = driven.now_s
        assert driven.session.read(Failed("no leader"), driven.now_s) == []
        assert driven.session.pump() == [], "not before its time"
        assert driven.ack(0) == []
        waits.append(driven.session.due_s - began_s)
        assert driven.advance(waits[-1] - 0.125) == []
        assert driven.advance(0.125 + 1e-9) == first
    assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])
    assert pytest.approx((waits[0], waits[-1])) == READ_RETRY_S
    driven.session.read(Read([event(4)], 4, []), driven.now_s)
    driven.ack(4)
    driven.session.read(Failed("no leader"), driven.now_s)
    assert driven.session.due_s - driven.now_s == pytest.approx(READ_RETRY_S[0])

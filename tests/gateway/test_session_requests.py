"""What a client asks of its session: subscribe, unsubscribe, refresh, and what is not there yet."""

from typing import Any

import pytest

from gateway import close_codes, frames
from gateway.effects import Close, Effect, Hold, ReadDurable, Release, Save, VerifyToken
from gateway.frames import SUBPROTOCOLS
from replay.catchup import Read
from security.permissions import Permissions
from tests.gateway.driven_session import LIFE_S, UNIX_S, DrivenSession, claims, live_session


def reply_of(driven: DrivenSession, effects: list[Effect]) -> dict[str, Any]:
    """The reply that waits in the last effect for the record to be stored."""
    last = effects[-1]
    assert isinstance(last, Save)
    assert last.reply is not None
    assert driven.frames() == [], "nothing is answered before it is stored"
    driven.session.reply(last.reply)
    (reply,) = driven.frames()
    return reply


def refused(driven: DrivenSession, frame: frames.Frame) -> dict[str, Any]:
    """The error that a frame is answered with at once, nothing else happening."""
    before = dict(driven.session.interest.since)
    assert driven.receive(frame) == []
    assert driven.session.interest.since == before
    (reply,) = driven.frames()
    assert reply["id"] == getattr(frame, "id", None)
    assert "data" not in reply
    error: dict[str, Any] = reply["error"]
    return error


# --- subscribe ---


@pytest.mark.parametrize("encoding", SUBPROTOCOLS)
def test_a_new_pattern_holds_from_the_newest_event_and_is_answered_once_stored(encoding: str) -> None:
    """P2.18, P2.19."""
    driven = live_session(encoding=encoding)
    driven.publish("b.x", "b.x")
    effects = driven.receive(frames.Subscribe("s1", ["b.>", "b.>"]))
    assert effects[:-1] == [Hold("b.>")]
    assert driven.session.interest.since == {"a.>": 0, "b.>": 2}
    assert reply_of(driven, effects) == {"type": "reply", "id": "s1", "data": {"seq": 2}}
    driven.publish("b.x")
    assert driven.told() == ["event 3"]


def test_a_pattern_held_already_keeps_its_position() -> None:
    """P2.18."""
    driven = live_session()
    driven.publish("a.b")
    driven.frames()
    effects = driven.receive(frames.Subscribe(1, ["a.>", "c.>"]))
    assert effects[:-1] == [Hold("c.>")]
    assert driven.session.interest.since == {"a.>": 0, "c.>": 1}


def test_patterns_that_are_not_permitted_are_listed_and_the_others_hold() -> None:
    """P2.20."""
    driven = live_session()
    effects = driven.receive(frames.Subscribe(1, ["x.y", "b.x", ">"]))
    assert effects[:-1] == [Hold("b.x")]
    assert reply_of(driven, effects)["data"] == {"seq": 0, "denied": ["x.y", ">"]}


def test_nothing_permitted_is_forbidden() -> None:
    """P2.20."""
    assert refused(live_session(), frames.Subscribe(1, ["x.y", "$JS.>"]))["code"] == "forbidden"


def test_what_is_no_pattern_refuses_the_whole() -> None:
    """P2.20."""
    assert refused(live_session(), frames.Subscribe(1, ["b.x", "b..x"]))["code"] == "invalid_subject"
    assert refused(live_session(), frames.Subscribe(1, ["b.x", "\ud800"]))["code"] == "invalid_subject"


def test_a_session_holds_128_patterns_and_not_129() -> None:
    """P2.20, P7.1."""
    driven = live_session()
    held = [f"b.{number}" for number in range(127)]
    reply_of(driven, driven.receive(frames.Subscribe(1, held)))
    assert len(driven.session.interest.since) == 128
    assert refused(driven, frames.Subscribe(2, ["b.127"]))["code"] == "limit"
    effects = driven.receive(frames.Subscribe(3, [*held, "a.>"]))
    assert reply_of(driven, effects)["data"] == {"seq": 0}, "what it holds already costs nothing"


def test_129_at_once_are_refused_as_a_whole() -> None:
    driven = live_session(patterns={})
    assert refused(driven, frames.Subscribe(1, [f"b.{number}" for number in range(129)]))["code"] == "limit"
    effects = driven.receive(frames.Subscribe(1, [f"b.{number}" for number in range(128)]))
    assert len(effects) == 129


@pytest.mark.parametrize("start", ["all", {"seq": 5}, {"time": "2026-01-01T00:00:00Z"}, None, 5, "Now"])
def test_any_start_but_now_is_not_supported(start: object) -> None:
    """P2.18."""
    assert refused(live_session(), frames.Subscribe(1, ["b.x"], start))["code"] == "not_supported"


def test_a_session_ahead_of_its_feed_is_promised_no_event_that_it_will_not_get() -> None:
    """P2.18, P4.8: the newest event that session knows of may be one that this gateway has not read yet."""
    driven = DrivenSession(position=12, floor=10)
    driven.session.start()
    driven.frames()
    effects = driven.receive(frames.Subscribe(1, ["b.x"]))
    assert reply_of(driven, effects)["data"] == {"seq": 12}
    driven.publish("b.x", "b.x", "b.x")
    driven.session.pump()
    assert driven.told() == ["replay 13", "live 13"]


def test_a_lagging_session_gets_only_what_comes_after_the_new_pattern() -> None:
    driven = live_session(window_messages=1)
    driven.publish("a.b", "a.b", "b.x")
    driven.receive(frames.Subscribe(1, ["b.x"]))
    driven.publish("b.x")
    assert driven.told() == ["event 1"]
    driven.ack(1)
    driven.ack(2)
    assert driven.told() == ["replay 2", "replay 4", "live 4"]


# --- unsubscribe ---


def test_what_is_let_go_of_is_released_and_the_rest_listed() -> None:
    """P2.21."""
    driven = live_session(patterns={"a.>": 0, "b.>": 0, "d": 0})
    effects = driven.receive(frames.Unsubscribe(7, ["b.>", "never", "b.>", "d"]))
    assert effects[:-1] == [Release("b.>"), Release("d")]
    assert reply_of(driven, effects) == {"type": "reply", "id": 7, "data": {"subjects": ["a.>"]}}
    driven.publish("b.x", "a.x", "d")
    assert driven.told() == ["event 2"]


def test_nothing_held_is_nothing_released() -> None:
    driven = live_session()
    effects = driven.receive(frames.Unsubscribe(7, ["never"]))
    assert len(effects) == 1
    assert reply_of(driven, effects)["data"] == {"subjects": ["a.>"]}


def test_a_lagging_session_gets_nothing_more_of_what_it_let_go_of() -> None:
    """P2.21."""
    driven = live_session(patterns={"a.>": 0, "b.>": 0}, window_messages=1)
    driven.publish("a.b", "b.x", "a.b")
    driven.receive(frames.Unsubscribe(1, ["b.>"]))
    driven.frames()
    driven.ack(1)
    assert driven.told() == ["replay 3", "live 3"]


# --- refresh ---


def test_a_token_is_handed_to_the_shell_and_shown_nowhere() -> None:
    """P2.23."""
    (effect,) = live_session().receive(frames.Refresh("s3cret", "r1"))
    assert effect == VerifyToken("s3cret", "r1")
    assert "s3cret" not in repr(effect)


@pytest.mark.parametrize("id_", ["r1", 0, None])
def test_a_refreshed_session_lives_on(id_: str | int | None) -> None:
    """P2.23."""
    driven = live_session()
    expires_at = UNIX_S + 2 * LIFE_S
    renewed = claims(expires_at)
    assert driven.session.refreshed(renewed, driven.permissions, id_, driven.now_s, driven.unix_s) == []
    (reply,) = driven.frames()
    expected: dict[str, Any] = {"type": "reply", "data": {"expires": int(expires_at)}}
    assert reply == (expected if id_ is None else expected | {"id": id_})
    assert driven.session.expires_at == expires_at


def test_a_refresh_that_permits_less_ends_those_patterns() -> None:
    """P2.23."""
    driven = live_session(patterns={"a.>": 0, "b.x": 0, "d": 0})
    less = Permissions(read=("a.>",))
    effects = driven.session.refreshed(claims(), less, "r", driven.now_s, driven.unix_s)
    assert effects[:-1] == [Release("b.x"), Release("d")]
    assert reply_of(driven, effects)["data"] == {"expires": int(UNIX_S + LIFE_S), "denied": ["b.x", "d"]}
    driven.publish("b.x", "d", "a.x")
    assert driven.told() == ["event 3"]


def test_a_refresh_that_permits_nothing_leaves_a_session_without_patterns() -> None:
    driven = live_session()
    effects = driven.session.refreshed(claims(), Permissions(), 1, driven.now_s, driven.unix_s)
    assert effects[0] == Release("a.>")
    driven.publish("a.x")
    assert reply_of(driven, effects)["data"]["denied"] == ["a.>"]


def test_an_answer_for_an_ended_session_changes_nothing() -> None:
    driven = live_session(patterns={"a.>": 0, "b.x": 0})
    driven.session.close(close_codes.TAKEN_OVER)
    assert driven.session.refreshed(claims(), Permissions(), 1, driven.now_s, driven.unix_s) == []
    driven.session.reply(b"{}")
    assert driven.told() == ["goodbye 4509"]


# --- everything else ---


@pytest.mark.parametrize("frame", [frames.Request("r", "s.x"), frames.Publish(5, "s.x")])
def test_request_and_publish_are_not_supported(frame: frames.Frame) -> None:
    """P2.22."""
    assert refused(live_session(), frame)["code"] == "not_supported"


def test_an_unknown_type_is_answered_and_the_session_goes_on() -> None:
    """P2.3, P2.41."""
    driven = live_session()
    assert driven.receive(frames.Unknown()) == []
    (error,) = driven.frames()
    assert (error["type"], error["code"], error["retry"]) == ("error", "unknown_type", False)
    driven.publish("a.b")
    assert driven.told() == ["event 1"]


def test_a_second_connect_closes() -> None:
    """P2.4."""
    driven = live_session()
    assert driven.receive(frames.Connect(session="s", token="t")) == [Close(4400)]
    assert driven.told() == ["goodbye 4400"]


def test_an_ended_session_takes_no_frame() -> None:
    driven = live_session()
    driven.publish("a.b")
    driven.session.close(close_codes.DRAINING)
    driven.frames()
    for frame in (frames.Ack(1), frames.Subscribe(1, ["b.x"]), frames.Unknown(), frames.Refresh("t"), frames.Ack(99)):
        assert driven.receive(frame) == []
    assert driven.receive(frames.Ping()) == []
    assert driven.frames() == []
    assert driven.session.acked == 0


def test_a_session_whose_last_pattern_goes_while_its_durable_is_read_is_live() -> None:
    driven = DrivenSession(position=1, floor=9)
    (ask,) = driven.session.start()
    assert isinstance(ask, ReadDurable)
    driven.receive(frames.Unsubscribe(1, ["a.>"]))
    driven.session.read(Read([], 9, []), driven.now_s)
    assert driven.told() == ["welcome 1", "live 9"]

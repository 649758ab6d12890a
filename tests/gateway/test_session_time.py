"""A session's clock, and its ends: pings, the token's end, and goodbye."""

import re
from pathlib import Path

import pytest

from gateway import close_codes, frames
from gateway.close_codes import REASONS, may_return
from gateway.effects import Close
from gateway.frames import SUBPROTOCOLS
from gateway.phase import Phase
from tests.gateway.driven_session import LIFE_S, UNIX_S, DrivenSession, claims, live_session

PING_S = 25.0
ANSWER_S = 10.0
ROW = re.compile(r"^\| (\d{4}) \| ([a-z, ]+) \| (.+) \|$", re.MULTILINE)
"""A row of the page's table of close codes: code, reason, what the client does."""


# --- pings ---


def test_a_silent_client_is_pinged_to_the_second_and_closed_when_it_does_not_answer() -> None:
    """P2.38."""
    driven = live_session()
    assert driven.session.due_s == driven.now_s + PING_S
    assert driven.advance(PING_S - 0.001) == []
    assert driven.told() == []
    driven.advance(0.001)
    assert driven.told() == ["ping"]
    assert driven.session.due_s == driven.now_s + ANSWER_S
    assert driven.advance(ANSWER_S - 0.001) == []
    assert driven.advance(0.001) == [Close(4003)]
    assert driven.told() == ["goodbye 4003"]


@pytest.mark.parametrize("frame", [frames.Pong(), frames.Ping(), frames.Ack(0), frames.Unknown(), frames.Refresh("t")])
def test_any_frame_is_a_sign_of_life(frame: frames.Frame) -> None:
    """P2.24, P2.38."""
    driven = live_session()
    driven.advance(PING_S + 5)
    assert driven.told() == ["ping"]
    driven.receive(frame)
    driven.frames()
    assert driven.advance(PING_S - 0.001) == []
    assert driven.told() == []
    driven.advance(0.001)
    assert driven.told() == ["ping"]


def test_a_client_that_speaks_is_not_pinged() -> None:
    driven = live_session()
    for _ in range(40):
        driven.advance(PING_S - 1)
        driven.receive(frames.Pong())
    assert driven.told() == []


@pytest.mark.parametrize("encoding", SUBPROTOCOLS)
def test_a_ping_of_the_client_is_answered_at_once_also_where_no_event_may_be_sent(encoding: str) -> None:
    """P2.25."""
    driven = live_session(encoding=encoding, window_messages=1)
    assert driven.receive(frames.Ping()) == []
    assert driven.frames() == [{"type": "pong"}]
    driven.publish("a.b", "a.b")
    assert driven.told() == ["event 1"]
    driven.receive(frames.Ping())
    driven.receive(frames.Ping())
    assert driven.told() == ["pong", "pong"]
    driven.ack(1)
    assert driven.told() == ["replay 2", "live 2"]


def test_a_ping_of_the_client_does_not_answer_one_of_the_gateway_twice() -> None:
    """P2.25, P2.38: it is a sign of life, and gets its own answer."""
    driven = live_session()
    driven.advance(PING_S)
    driven.receive(frames.Ping())
    assert driven.told() == ["ping", "pong"]
    assert driven.advance(ANSWER_S) == []
    assert driven.told() == []


def test_events_to_the_client_are_no_sign_of_life_of_it() -> None:
    """P2.38."""
    driven = live_session()
    driven.advance(PING_S - 1)
    driven.publish("a.b")
    driven.frames()
    driven.advance(1)
    assert driven.told() == ["ping"]


def test_a_late_clock_does_not_shorten_the_time_to_answer() -> None:
    """P2.38."""
    driven = live_session()
    driven.advance(PING_S + 300)
    assert driven.told() == ["ping"]
    assert driven.advance(ANSWER_S - 0.001) == []
    assert driven.advance(0.001) == [Close(4003)]


def test_a_ping_is_in_time_though_an_answer_may_take_longer_than_pings_are_apart() -> None:
    """P2.38."""
    driven = live_session(ping_every_s=2.0, ping_answer_s=30.0)
    driven.advance(2.0)
    assert driven.told() == ["ping"]
    driven.receive(frames.Pong())
    assert driven.session.due_s == driven.now_s + 2.0
    driven.advance(2.0)
    assert driven.told() == ["ping"]


# --- the token's end ---


def talk(driven: DrivenSession, seconds: float) -> None:
    """Let time pass in small steps, the client giving signs of life."""
    end_s = driven.now_s + seconds
    while driven.now_s < end_s:
        assert driven.advance(min(10.0, end_s - driven.now_s)) == []
        driven.receive(frames.Pong())


def test_the_client_is_warned_a_minute_before_the_end_once() -> None:
    """P2.39."""
    driven = live_session()
    talk(driven, LIFE_S - 61)
    assert driven.frames() == []
    talk(driven, 1)
    assert driven.frames() == [{"type": "expiring", "in": 60}]
    talk(driven, 59)
    assert driven.frames() == []


@pytest.mark.parametrize(("life_s", "warned_s"), [(121, 61), (120, 60), (40, 20), (3, 1.5)])
def test_a_short_token_is_warned_of_at_half_its_life(life_s: float, warned_s: float) -> None:
    """P2.39."""
    driven = live_session(expires_at=UNIX_S + life_s)
    talk(driven, warned_s - 0.25)
    assert driven.frames() == []
    talk(driven, 0.25)
    assert driven.frames() == [{"type": "expiring", "in": int(life_s - warned_s)}]


def test_nothing_is_taken_once_the_token_has_ended() -> None:
    """P4.7."""
    driven = live_session(expires_at=UNIX_S + 20)
    driven.advance(19.5)
    driven.frames()
    driven.publish("a.b")
    driven.unix_s = UNIX_S + 20
    assert driven.frames() == []
    driven.unix_s = UNIX_S + 19.999
    assert driven.told() == ["event 1"]


def test_the_end_of_the_token_closes_and_what_was_not_written_is_not_delivered() -> None:
    """P4.7."""
    driven = live_session(expires_at=UNIX_S + 20)
    driven.advance(19.75)
    driven.frames()
    driven.publish("a.b")
    assert driven.advance(0.25) == [Close(4004)]
    assert driven.told() == ["goodbye 4004"]
    assert driven.session.through == 0, "it comes again after the next connect"


@pytest.mark.parametrize("code", [4001, 4509, 4400])
def test_another_end_after_the_tokens_delivers_no_event_either(code: int) -> None:
    """P4.7."""
    driven = live_session(expires_at=UNIX_S + 20)
    driven.publish("a.b")
    driven.unix_s = UNIX_S + 20.1
    driven.session.close(code)
    assert driven.told() == [f"goodbye {code}"]


def test_a_wall_clock_set_back_does_not_lengthen_a_tokens_life() -> None:
    driven = live_session(expires_at=UNIX_S + 20)
    driven.unix_s -= 1_000
    driven.advance(10)
    driven.frames()
    assert driven.advance(10) == [Close(4004)]


def test_a_wall_clock_set_forward_ends_it() -> None:
    driven = live_session(expires_at=UNIX_S + 20)
    driven.unix_s += 19
    assert driven.session.tick(driven.now_s + 1, driven.unix_s + 1) == [Close(4004)]


def test_a_refresh_moves_the_end_and_the_warning() -> None:
    """P2.23, P2.39."""
    driven = live_session(expires_at=UNIX_S + 100)
    talk(driven, 99)
    assert driven.told() == ["expiring"]
    renewed = claims(UNIX_S + 300)
    driven.session.refreshed(renewed, driven.permissions, None, driven.now_s, driven.unix_s)
    assert driven.told() == ["reply"]
    talk(driven, 140)
    assert driven.told() == []
    talk(driven, 60)
    assert driven.told() == ["expiring"]
    talk(driven, 0.5)
    driven.unix_s, driven.now_s = UNIX_S + 299.75, 500 + 299.75
    assert driven.advance(0.25) == [Close(4004)]


def test_a_refresh_just_after_the_end_and_before_the_clock_saves_what_was_not_written() -> None:
    driven = live_session(expires_at=UNIX_S + 20)
    driven.publish("a.b")
    driven.unix_s = UNIX_S + 20.1
    assert driven.frames() == []
    driven.session.refreshed(claims(), driven.permissions, None, driven.now_s, driven.unix_s)
    assert driven.told() == ["event 1", "reply"]


# --- goodbye ---


def test_codes_and_reasons_are_those_of_the_page() -> None:
    """P3.1, P3.2."""
    rows = ROW.findall((Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8"))
    assert {int(code): reason for code, reason, _ in rows} == REASONS
    assert {code for code in REASONS if may_return(code)} == {int(code) for code, _, does in rows if "stop" not in does}
    assert {code for code in REASONS if not may_return(code)} == {4501, 4503, 4509, 4510}


@pytest.mark.parametrize("code", sorted(REASONS))
def test_each_end_says_goodbye_with_its_code_and_reason(code: int) -> None:
    """P2.42, P3.4."""
    driven = live_session()
    driven.publish("a.b")
    assert driven.session.close(code, after_ms=250) == [Close(code)]
    *events, goodbye = driven.frames()
    assert len(events) == (code != 4004)
    assert goodbye == {
        "type": "goodbye",
        "code": code,
        "reason": REASONS[code],
        "reconnect": may_return(code),
        "after": 250,
    }
    assert driven.phase() is Phase.ENDED


def test_goodbye_without_a_time_to_wait_names_none() -> None:
    driven = live_session()
    driven.session.close(close_codes.DRAINING)
    (goodbye,) = driven.frames()
    assert "after" not in goodbye


def test_the_first_end_counts() -> None:
    driven = live_session()
    driven.session.close(close_codes.TAKEN_OVER)
    assert driven.session.close(close_codes.DRAINING) == []
    driven.session.end()
    assert driven.session.close(close_codes.DEAD) == []


def test_a_session_whose_connection_is_gone_says_nothing_more() -> None:
    driven = live_session()
    driven.publish("a.b")
    driven.session.end()
    driven.publish("a.b")
    driven.lose()
    assert driven.advance(LIFE_S) == []
    assert driven.session.close(close_codes.DRAINING) == []
    assert driven.session.pump() == []
    assert not driven.waits_for_feed()
    assert driven.frames() == []
    assert driven.session.events_sent == 1

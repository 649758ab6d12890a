"""The token of a session: fetched, refreshed in time, replaced after a refusal, and never another user's."""

from tidewire_client.effects import FetchToken, Open, Stop
from tidewire_client.frames import Expiring, Live, Refresh, Resume

from tests.client.core_bench import UNIX_S, A, Bench, welcome


def test_a_token_fetched_for_an_older_connection_changes_nothing() -> None:
    bench = Bench()
    bench.live()
    number = bench.get(Expiring(60)).only(FetchToken).number
    bench.cut()
    assert bench.core.token_fetched(number, "late", "u", bench.now) == []
    assert bench.core.token_failed(number, bench.now, final=True) == []
    assert bench.core.state == "waiting"


def test_a_late_token_neither_opens_a_second_socket_nor_is_used() -> None:
    bench = Bench()
    bench.live()
    late = bench.get(Expiring(60)).only(FetchToken).number
    number = bench.cut(4004).wait_for(FetchToken).only(FetchToken).number
    assert bench.core.token_fetched(late, "late", "u", bench.now) == []
    assert bench.do(bench.core.token_fetched(number, "t2", "u", bench.now)).all(Open) == [Open(2)]
    assert bench.core.token_fetched(number, "t2", "u", bench.now) == []
    assert bench.open().token == "t2"


def test_a_fixed_token_that_was_refused_or_ended_stops_the_client() -> None:
    for code in (4501, 4004):
        bench = Bench(renewable=False)
        bench.live()
        assert bench.cut(code).only(Stop) == Stop("unauthorized", code)
        assert bench.core.due == float("inf")


def test_a_refused_token_is_replaced_once_then_the_client_stops() -> None:  # P6.7
    bench = Bench()
    bench.get_token().open()
    bench.cut(4501).wait_for(FetchToken).get_token("t2")
    assert bench.open().token == "t2"
    assert bench.cut(4501).only(Stop) == Stop("unauthorized", 4501)


def test_an_expiring_token_is_renewed_on_the_connection() -> None:
    """P2.39."""
    bench = Bench()
    bench.live()
    number = bench.get(Expiring(60)).only(FetchToken).number
    assert bench.get(Expiring(50)).out == [], "asked once"
    bench.do(bench.core.token_failed(number, bench.now, final=False))
    number = bench.wait_for(FetchToken).only(FetchToken).number
    bench.do(bench.core.token_fetched(number, "t2", "u", bench.now))
    assert bench.sent() == [Refresh("1", "t2")]
    bench.cut().wait_for(Open)
    assert bench.open().token == "t2"


def test_a_token_is_renewed_before_its_end_by_the_clock() -> None:
    bench = Bench()
    bench.get_token().open()
    bench.get(welcome(expires=UNIX_S + 40), Live(10))
    bench.later(9.0)
    assert bench.all(FetchToken) == []
    assert bench.later(1.5).all(FetchToken)


def test_a_wrong_clock_does_not_ask_for_tokens_in_a_loop() -> None:
    bench = Bench()
    bench.get_token().open()
    bench.get(welcome(expires=UNIX_S - 3600))
    for _ in range(3):
        assert bench.later(5.0).all(FetchToken) == []


def test_a_token_that_ended_is_replaced_and_the_session_resumed() -> None:  # P6.7
    bench = Bench()
    bench.live().cut(4004)
    bench.wait_for(FetchToken).get_token("t2")
    connect = bench.open()
    assert (connect.token, connect.resume) == ("t2", Resume(A, 10))


def test_a_token_that_ended_meanwhile_is_not_sent_again_unless_there_is_no_other() -> None:
    """P6.7."""
    for renewable in (True, False):
        bench = Bench(renewable=renewable)
        bench.get_token().open()
        bench.get(welcome(expires=UNIX_S + 40), Live(10))
        bench.cut().wait_for(Open)
        bench.cut()
        bench.now += 40
        bench.do(bench.core.wake(bench.now))
        assert bool(bench.all(FetchToken)) is renewable
        assert bool(bench.all(Open)) is not renewable


def test_a_token_of_another_user_stops_the_client() -> None:
    bench = Bench()
    bench.live()
    number = bench.get(Expiring(60)).only(FetchToken).number
    assert bench.do(bench.core.token_fetched(number, "t2", "other", bench.now)).only(Stop).kind == "user_changed"


def test_a_token_that_only_ended_is_no_refusal() -> None:
    bench = Bench()
    bench.get_token().open()
    for token in ("t2", "t3"):
        bench.cut(4004).wait_for(FetchToken).get_token(token)
        assert bench.open().token == token


def test_a_welcome_forgives_a_refusal() -> None:
    bench = Bench()
    bench.get_token().open()
    for token in ("t2", "t3"):
        bench.cut(4501).wait_for(FetchToken).get_token(token)
        assert bench.open().token == token
        bench.get(welcome())


def test_a_callable_that_fails_is_asked_again_after_longer_and_longer_waits() -> None:
    bench = Bench(draw=0.5)
    bench.live()
    bench.get(Expiring(60))
    waits = []
    for _ in range(3):
        number = bench.only(FetchToken).number
        bench.do(bench.core.token_failed(number, bench.now, final=False))
        asked_at = bench.now
        while not bench.all(FetchToken):
            bench.do(bench.core.heard(1, bench.now)).wait()
        waits.append(round(bench.now - asked_at, 3))
    assert waits == [0.75, 1.0, 1.5]

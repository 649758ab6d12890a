"""Coming back after a lost connection, and staying away."""

from tidewire_client.backoff import Backoff
from tidewire_client.effects import Open, Stop, Store, TellError
from tidewire_client.frames import Ack, Error, Goodbye, Live
from tidewire_client.position import Position

from tests.client.core_bench import A, Bench, event, welcome
from tests.client.fixed_random import FixedRandom


def test_a_refusal_after_opening_waits_longer_and_longer() -> None:
    """P6.6."""
    bench = Bench(draw=0.5)
    bench.get_token().open()
    waits = []
    for _ in range(9):
        bench.cut(4006)
        waits.append(bench.core.due - bench.now)
        bench.wait_for(Open).open()
    assert [round(wait, 3) for wait in waits] == [0.75, 1.0, 1.5, 2.5, 4.5, 8.5, 10.5, 10.5, 10.5]


def test_live_for_less_than_ten_seconds_does_not_reset_the_backoff() -> None:
    """P6.6."""
    bench = Bench(draw=0.5)
    bench.live()
    waits = []
    for _ in range(4):
        bench.cut()
        waits.append(bench.core.due - bench.now)
        bench.wait_for(Open).open()
        bench.get(welcome(), Live(10)).later(9.9)
    assert [round(wait, 3) for wait in waits] == [0.125, 1.0, 1.5, 2.5]
    bench.later(0.2).cut()
    assert round(bench.core.due - bench.now, 3) == 0.125, "after 10 s of live it is at once again"


def test_the_first_retry_is_spread_too() -> None:
    """P6.6."""
    waits = []
    for draw in (0.0, 0.25, 0.99):
        bench = Bench(draw=draw)
        bench.live().cut()
        waits.append(round(bench.core.due - bench.now, 3))
    assert waits == [0.0, 0.062, 0.248]


def test_codes_that_must_not_come_back_stop_the_client() -> None:  # P3.1
    kinds = {4503: "forbidden", 4509: "taken_over", 4510: "revoked", 4777: "refused"}
    for code, kind in kinds.items():
        bench = Bench()
        bench.live(event(20))
        bench.process(20).cut(code)
        assert bench.only(Stop) == Stop(kind, code)  # type: ignore[arg-type]
        assert bench.all(Store) == [Store(Position(A, 20))]
        assert (bench.core.state, bench.core.due) == ("closed", float("inf"))
        assert bench.core.subscribe(9, ("x",), bench.now) == []


def test_a_bug_is_retried_once_then_the_client_stops() -> None:  # P3.2, 4400 and 4413
    bench = Bench()
    bench.live().cut(4413)
    assert bench.core.state == "waiting"
    bench.wait_for(Open).open()
    assert bench.do(bench.core.misread(2, bench.now)).only(Stop) == Stop("protocol", None)


def test_the_gateways_wish_to_wait_is_obeyed() -> None:
    """P2.41, P2.42, P6.6."""
    bench = Bench(draw=0.5)
    bench.live(event(20))
    bench.process(20).get(Goodbye(code=4001, reason="draining", after=7000))
    assert bench.sent() == [Ack(20)], "what is processed is said before leaving"
    assert round(bench.core.due - bench.now, 3) == 8.75
    bench.wait_for(Open).open()
    bench.get(Error(code="rate_limited", retry=True, after=3000))
    assert bench.only(TellError).error.code == "rate_limited"
    bench.cut(4429)
    assert round(bench.core.due - bench.now, 3) == 3.75


def test_one_loss_makes_one_reconnect_whatever_else_is_told_about_it() -> None:
    """P6.5."""
    bench = Bench()
    bench.live()
    bench.get(Goodbye(code=4001, after=1000))
    due = bench.core.due
    bench.cut(4001)
    assert bench.out == []
    assert bench.core.due == due
    bench.wait()
    assert bench.all(Open) == [Open(2)]
    assert bench.later(3.0).all(Open) == []


def test_backoff_stays_under_its_cap_with_jitter_at_it() -> None:
    """P6.6."""
    backoff = Backoff()
    at_cap = {backoff.delay_s(1000, FixedRandom(draw)) for draw in (0.0, 0.1, 0.5, 0.9)}
    assert len(at_cap) == 4
    assert max(at_cap) <= 20.0
    assert backoff.delay_s(30, FixedRandom(0.999)) == 20.0
    assert backoff.told_delay_s(-5, FixedRandom(0.0)) == 0.0


def test_a_wish_to_wait_holds_for_one_loss_only() -> None:
    bench = Bench(draw=0.5)
    bench.live().get(Goodbye(code=4001, after=7000))
    bench.wait_for(Open).open()
    bench.cut()
    assert round(bench.core.due - bench.now, 3) == 1.0


def test_live_told_again_does_not_put_the_calm_off() -> None:
    bench = Bench(draw=0.5)
    bench.live().cut()
    bench.wait_for(Open).open()
    bench.get(welcome(), Live(10)).later(6.0)
    bench.get(Live(11)).later(4.1)
    bench.cut()
    assert round(bench.core.due - bench.now, 3) == 0.125


def test_a_bug_is_forgiven_after_a_calm_time() -> None:
    bench = Bench()
    bench.live().cut(4413)
    bench.wait_for(Open).open()
    bench.get(welcome(), Live(10)).later(10.1)
    bench.cut(4413)
    assert bench.core.state == "waiting"

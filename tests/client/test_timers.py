"""What a session waits for."""

from tidewire_client.timers import Timers


def test_what_is_due_comes_earliest_first_and_once() -> None:
    timers = Timers()
    timers.set("probe", 7.0)
    timers.set("ack", 5.0)
    timers.set("calm", 9.0)
    assert timers.due == 5.0
    assert list(timers.take(8.0)) == [("ack", 5.0), ("probe", 7.0)]
    assert list(timers.take(8.0)) == []
    assert timers.due == 9.0


def test_what_an_earlier_timer_stops_or_sets_anew_does_not_come() -> None:
    timers = Timers()
    timers.set("silence", 1.0)
    timers.set("ack", 2.0)
    timers.set("calm", 3.0)
    taken = timers.take(4.0)
    assert next(taken) == ("silence", 1.0)
    timers.stop("ack")
    timers.set("calm", 10.0)
    assert list(taken) == []
    assert timers.due == 10.0


def test_a_running_timer_keeps_its_time_unless_it_is_set() -> None:
    timers = Timers()
    timers.set_unless_set("ack", 1.0)
    timers.set_unless_set("ack", 2.0)
    assert timers.due == 1.0
    timers.set("ack", 3.0)
    assert timers.due == 3.0


def test_all_but_one_can_be_stopped() -> None:
    timers = Timers()
    timers.set("ack", 2.0)
    timers.set("retry", 1.0)
    timers.stop_all(but="ack")
    assert (timers.due, timers.is_set("retry")) == (2.0, False)
    timers.stop_all()
    assert timers.due == float("inf")


def test_a_timer_can_be_hastened_and_not_put_off() -> None:
    timers = Timers()
    timers.hasten("silence", 1.0, 4.0)
    timers.hasten("silence", 1.0, 6.0)
    assert timers.due == 5.0
    timers.hasten("silence", 1.0, 2.0)
    assert timers.due == 3.0
    assert not timers.is_due("silence", 2.9)
    assert timers.is_due("silence", 3.0)
    timers.hasten("silence", 3.0, 4.0)
    assert timers.due == 7.0, "what is past is not waited for any more"

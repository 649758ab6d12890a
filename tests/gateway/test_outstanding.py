"""What is outstanding, at the window's limits and one beyond."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.outstanding import Outstanding
from tests.examples import examples

sends = st.tuples(st.just("send"), st.integers(1, 12))
acks = st.tuples(st.just("ack"), st.integers(0, 12))


def test_the_number_of_events_is_bounded() -> None:
    window = Outstanding(2, 100)
    assert window.admit(5, 1)
    assert window.is_half_free
    assert window.admit(9, 1)
    assert (len(window), window.takes_more, window.admit(10, 1), window.is_half_free) == (2, False, False, False)
    window.acknowledge(5)
    assert (window.first, window.messages_left, window.bytes) == (9, 1, 1)


def test_bytes_are_bounded_and_a_large_event_goes_alone() -> None:
    window = Outstanding(10, 100)
    assert window.admit(1, 60)
    assert (window.admit(2, 41), window.admit(2, 40)) == (False, True)
    assert not window.is_half_free
    window.acknowledge(2)
    assert window.admit(3, 1_000)
    assert not window.takes_more
    window.acknowledge(7)
    assert (len(window), window.bytes, window.first, window.takes_more) == (0, 0, None, True)


@examples(200)
@given(messages=st.integers(1, 5), size=st.integers(1, 20), steps=st.lists(sends | acks, max_size=30))
def test_a_window_is_a_plain_list_with_two_limits(messages: int, size: int, steps: list[tuple[str, int]]) -> None:
    """P4.4: never more than agreed, but one event when nothing is outstanding."""
    window = Outstanding(messages, size)
    sent: list[tuple[int, int]] = []
    newest = 0
    for step, number in steps:
        if step == "ack":
            seq = newest - number
            window.acknowledge(seq)
            sent = [each for each in sent if each[0] > seq]
        else:
            total = sum(each for _, each in sent)
            is_free = not sent or (len(sent) < messages and total + number <= size)
            assert window.takes_more is (not sent or (len(sent) < messages and total < size))
            newest += 2
            assert window.admit(newest, number) is is_free
            if is_free:
                sent.append((newest, number))
        assert (len(window), window.bytes) == (len(sent), sum(each for _, each in sent))
        assert window.first == (sent[0][0] if sent else None)
        assert window.messages_left == messages - len(sent)
        assert window.is_half_free is ((len(sent) * 2 <= messages and window.bytes * 2 <= size) or not sent)
        assert len(sent) == 1 or window.bytes <= size
        assert window.until_half == (max(0, messages // 2 - len(sent)), max(0, size // 2 - window.bytes))

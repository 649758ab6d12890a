"""What is outstanding, at the window's limits and one beyond."""

from gateway.outstanding import Outstanding


def test_the_number_of_events_is_bounded() -> None:
    window = Outstanding(2, 100)
    assert window.fits(1)
    window.add(5, 1)
    assert window.is_half_free
    window.add(9, 1)
    assert (len(window), window.takes_more, window.fits(1), window.is_half_free) == (2, False, False, False)
    window.acknowledge(5)
    assert (window.first, window.messages_left, window.bytes) == (9, 1, 1)


def test_bytes_are_bounded_and_a_large_event_goes_alone() -> None:
    window = Outstanding(10, 100)
    assert window.fits(1_000)
    window.add(1, 60)
    assert (window.fits(40), window.fits(41)) == (True, False)
    assert not window.is_half_free
    window.acknowledge(1)
    window.add(2, 1_000)
    assert not window.takes_more
    window.acknowledge(7)
    assert (len(window), window.bytes, window.first, window.takes_more) == (0, 0, None, True)

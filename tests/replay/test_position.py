"""A position names its stream."""

from replay.position import Position


def test_the_same_sequence_of_two_streams_is_two_positions() -> None:
    assert Position("EVENTS:1", 7) == Position("EVENTS:1", 7)
    assert len({Position("EVENTS:1", 7), Position("EVENTS:2", 7), Position("EVENTS:1", 8)}) == 3

"""What follows what: a repeat, a hole in the stream, a loss on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.contiguity import Broken, Contiguity, Hole
from tests.examples import examples

FIRST_SEQ = 5
Step = tuple[int, int, Hole | Broken | None]


@pytest.mark.parametrize(
    ("steps", "head"),
    [
        ([(11, 1, None), (12, 2, None)], 12),
        ([(11, 1, None), (14, 2, Hole(11, 14, "deleted")), (15, 3, None)], 15),
        ([(13, 1, Hole(10, 13, "deleted"))], 13),
        ([(11, 1, None), (11, 1, Broken.REPEAT), (12, 2, None)], 12),
        ([(11, 1, None), (12, 3, Broken.LOST)], 11),
        ([(11, 2, Broken.LOST)], 10),
        ([(11, 1, None), (13, 3, Broken.LOST), (12, 2, None), (13, 3, None)], 13),
        ([(9, 1, Broken.REPEAT), (10, 2, Broken.REPEAT), (11, 3, None)], 11),
        ([(11, 0, Broken.LOST)], 10),
        ([(11, 1, None), (12, 2, None), (13, 1, Broken.LOST)], 12),
    ],
)
def test_each_delivery_is_judged(steps: list[Step], head: int) -> None:
    contiguity = Contiguity(10)
    contiguity.restart(FIRST_SEQ)
    assert [contiguity.step(seq, consumer_seq) for seq, consumer_seq, _ in steps] == [judged for *_, judged in steps]
    assert contiguity.head == head


@pytest.mark.parametrize(("first_seq", "reason"), [(19, "deleted"), (20, "expired"), (21, "expired")])
def test_a_hole_has_expired_when_the_stream_begins_behind_it(first_seq: int, reason: str) -> None:
    contiguity = Contiguity(10)
    contiguity.restart(first_seq)
    assert contiguity.gone_before(20) == Hole(10, 20, reason)
    assert contiguity.gone_before(11) is None
    assert contiguity.head == 10


def test_a_new_consumer_counts_from_one_and_the_head_stays() -> None:
    contiguity = Contiguity(0)
    contiguity.restart(1)
    assert [contiguity.step(n, n) for n in (1, 2, 3)] == [None] * 3
    contiguity.restart(1)
    assert contiguity.step(5, 2) is Broken.LOST
    contiguity.restart(1)
    assert contiguity.step(3, 1) is Broken.REPEAT
    assert contiguity.step(5, 2) == Hole(3, 5, "deleted")


@examples(100)
@given(
    stored=st.sets(st.integers(1, 60), max_size=30),
    after=st.integers(0, 30),
    faults=st.lists(st.sampled_from(["ok", "lose", "repeat", "restart"]), max_size=80),
)
def test_whatever_is_lost_on_the_way_every_sequence_is_delivered_or_told_once(
    stored: set[int], after: int, faults: list[str]
) -> None:
    """A reader over a bad road: it takes what is judged good and begins anew at ``head`` + 1 after a loss."""
    contiguity = Contiguity(after)
    events: list[int] = []
    told: list[int] = []

    def consumer() -> list[tuple[int, int]]:
        contiguity.restart(0)
        before.clear()
        return [(seq, n) for n, seq in enumerate(sorted(s for s in stored if s > contiguity.head), 1)]

    before: list[tuple[int, int]] = []
    road = consumer()
    while road:
        fault = faults.pop() if faults else "ok"
        if fault == "restart":
            road = consumer()
            continue
        if fault == "repeat" and before:
            assert contiguity.step(*before[-1]) is Broken.REPEAT
            continue
        delivery = road.pop(0)
        if fault == "lose":
            if not road:
                road = consumer()  # nothing behind it shows the loss: heartbeats and the leader do
            continue
        judged = contiguity.step(*delivery)
        if judged is Broken.LOST:
            road = consumer()
            continue
        assert judged is not Broken.REPEAT
        if isinstance(judged, Hole):
            told += range(judged.after + 1, judged.before)
        before.append(delivery)
        events.append(delivery[0])
    assert events == sorted(s for s in stored if s > after)
    assert sorted(events + told) == list(range(after + 1, max(events, default=after) + 1))

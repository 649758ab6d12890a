"""Events offered together leave a session exactly as the same events offered one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Batch
from gateway.frames import JSON, MSGPACK
from gateway.phase import Phase
from gateway.websocket_frame import websocket_messages
from tests.examples import examples
from tests.gateway.driven_session import DrivenSession, event

SIZES = st.sampled_from([1, 40, 400])
EVENTS = st.lists(st.tuples(SIZES, st.booleans()), min_size=1, max_size=12)


def live_session(encoding: str, messages: int, size: int) -> DrivenSession:
    driven = DrivenSession(encoding=encoding, window_messages=messages, window_bytes=size)
    driven.session.start()
    driven.frames()
    assert driven.phase() is Phase.LIVE
    return driven


def state(driven: DrivenSession) -> tuple[object, ...]:
    session = driven.session
    return (
        *(session.phase, session.position, session.told, session.through, session.outstanding, session.untold),
        *(session.events_sent, driven.frames()),
    )


@examples(200)
@given(
    encoding=st.sampled_from([JSON, MSGPACK]),
    batches=st.lists(EVENTS, min_size=1, max_size=4),
    messages=st.integers(1, 30),
    size=st.integers(150, 6_000),
    blocked=st.booleans(),
    acks=st.booleans(),
)
def test_together_is_as_one_by_one(
    encoding: str,
    batches: list[list[tuple[int, bool]]],
    messages: int,
    size: int,
    blocked: bool,  # noqa: FBT001
    acks: bool,  # noqa: FBT001
) -> None:
    """P4.4: the window holds for both."""
    together, single = live_session(encoding, messages, size), live_session(encoding, messages, size)
    for sizes in batches:
        events = [
            event(together.recent.head + 1 + place, payload=b'"%s"' % (b"x" * length))
            for place, (length, _) in enumerate(sizes)
        ]
        for stored, (_, is_withheld) in zip(events, sizes, strict=True):
            if is_withheld and stored.seq % 3 == 0:
                stored.withhold()
            together.recent.append(stored)
            single.recent.append(stored)
        for driven in (together, single):
            driven.session.set_blocked(is_blocked=blocked)
        batch = Batch(events)
        written = together.session.admit(batch, together.unix_s)
        was_taken = written is not None or together.session.offer_all(batch)
        assert was_taken is (sum(single.session.offer(stored) for stored in events) > 0)
        if written is not None:  # written at once, in the place of an outbox that is empty
            assert written == websocket_messages(single.session.take(single.unix_s), encoding)
        assert state(together) == state(single)
        if acks:
            for driven in (together, single):
                driven.ack(driven.session.told)
            assert state(together) == state(single)


@pytest.mark.parametrize(("told", "failed_at"), [(0, 5), (5, 7), (7, 9), (9, 9)])
def test_the_event_at_which_a_session_failed_is_the_first_it_was_not_told_of(told: int, failed_at: int) -> None:
    assert Batch([event(5), event(7), event(9)]).failed_at(told) == failed_at


def test_what_waits_in_the_outbox_goes_first_and_nothing_goes_after_the_end() -> None:
    driven = live_session(JSON, 10, 10_000)
    stored = event(1)
    driven.recent.append(stored)
    assert driven.session.admit(Batch([stored]), driven.session.expires_at) is None
    driven.session.outbox.append(b"{}")
    assert driven.session.admit(Batch([stored]), driven.unix_s) is None
    driven.session.outbox.clear()
    assert driven.session.admit(Batch([stored]), driven.unix_s) is not None
    assert driven.session.outstanding[0] == 1

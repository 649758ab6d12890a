"""What is published has its size, and is recognised by the clients that get it."""

import msgspec

from bench.dialects.event_text import EVENT
from bench.plan import PAYLOAD_BYTES, payload


def test_a_payload_has_its_size_whatever_it_counts() -> None:
    assert {len(payload(session, n, 10**18)) for session in (0, 9_999) for n in (0, 10**6)} == {PAYLOAD_BYTES}
    assert msgspec.json.decode(payload(7, 3, 5))["n"] == 3


def test_a_payload_is_recognised_as_a_whole_and_not_when_it_is_cut() -> None:
    told = payload(7, 3, 5)
    found = EVENT.fullmatch(told)
    assert found is not None
    assert found.groups() == (b"7", b"3", b"5")
    assert EVENT.search(told[:-1]) is None

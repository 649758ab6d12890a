"""Sessions at rest are what the gateway and the load client know them by."""

import msgspec

from bench.dialects.dialect import Reader
from bench.dialects.tidewire import Tidewire
from bench.parked import owner_of, parked
from bench.plan import session_name, subject
from replay.record import Record, decode_record, session_key

LEFT = Record("EVENTS:1:2", 7, 9, {subject(0): 4}, owner_of(0), "claim", gateway="gw-1", saved_s=1_700_000_000)


def test_each_session_at_rest_has_its_own_key_and_subject_and_what_the_first_has_processed() -> None:
    stored = dict(parked(LEFT, 1, 4))
    assert list(stored) == [session_key(owner_of(number)) for number in (1, 2, 3)]
    record = decode_record(stored[session_key(owner_of(2))])
    assert record is not None
    assert (record.stream, record.acked, record.through) == ("EVENTS:1:2", 7, 9)
    assert record.patterns == {subject(2): 4}
    assert record.gateway == "", "nobody serves it"


def test_its_device_opens_it_by_the_same_name() -> None:
    hello = Tidewire(Reader(2, subject(2), "token")).hello()
    frame = msgspec.json.decode(hello[hello.index(b"{") :])
    assert frame["session"] == session_name(2) == owner_of(2).session

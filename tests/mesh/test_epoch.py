"""Which epoch of a stream stands, and what an event that was read proves."""

import msgspec
import pytest

from mesh.epoch import EPOCH_KEY, Epoch, Witness, current_epoch, decode_epoch, encode_epoch, identity_of, new_epoch
from replay.record import Owner, decode_record, is_session_key, session_key

BORN = "2026-11-23T08:00:00.123456789Z"
BORN_LATER = "2026-11-23T09:00:00Z"
BORN_NS = 1_795_420_800_123_456_789
READ = Witness(7, BORN_NS + 5)
FURTHER = Witness(9, BORN_NS + 7)


def epoch(began_ns: int, witness: Witness | None = None, created: str = BORN) -> Epoch:
    return Epoch(created, began_ns, witness)


@pytest.mark.parametrize(
    ("created", "birth"),
    [
        ("2026-11-19T01:06:40Z", 1795050400_000000000),
        ("2026-11-19T01:06:40.1Z", 1795050400_100000000),
        ("2026-11-19T01:06:40.123456789Z", 1795050400_123456789),
        ("2026-11-19T01:06:40.000000001Z", 1795050400_000000001),
        ("2026-11-19T01:06:40.12345678Z", 1795050400_123456780),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_the_identity_of_a_stream_is_its_name_and_birth_in_nanoseconds(created: str, birth: int) -> None:
    assert identity_of("EVENTS", created) == f"EVENTS:{birth}"


def test_an_epoch_is_part_of_the_streams_identity() -> None:
    assert epoch(5).identity("EVENTS") == f"EVENTS:{BORN_NS}:5"
    assert epoch(5, READ).identity("EVENTS") == epoch(5).identity("EVENTS") != epoch(6).identity("EVENTS")


@pytest.mark.parametrize(
    ("seq", "time", "other"),
    [
        (7, "2026-11-23T08:00:00.123456794Z", False),
        (7, "2026-11-23T08:00:00.123456795Z", True),
        (8, "2026-11-23T08:00:00.123456795Z", False),  # it was deleted: nothing is known
    ],
)
def test_another_event_at_a_sequence_that_was_read_contradicts(seq: int, time: str, other: bool) -> None:  # noqa: FBT001
    assert READ.is_contradicted(seq, time) is other


@pytest.mark.parametrize("written", [epoch(5), epoch(5, READ)])
def test_an_epoch_is_read_as_it_was_written(written: Epoch) -> None:
    assert decode_epoch(encode_epoch(written)) == written
    assert decode_record(encode_epoch(written)) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"created":"2026-11-23T08:00:00Z"}',
        b'{"created":"yesterday","began_ns":5}',
        b'{"created":"2026-11-23T08:00:00Z","began_ns":0}',
        b'{"created":"2026-11-23T08:00:00Z","began_ns":9223372036854775808}',
        b'{"created":"2026-11-23T08:00:00Z","began_ns":5,"witness":{"seq":0,"time_ns":1}}',
        b'{"created":"2026-11-23T08:00:00Z","began_ns":5,"witness":{"seq":1}}',
    ],
)
def test_what_we_have_not_written_is_no_epoch(value: bytes) -> None:
    assert decode_epoch(value) is None


def test_the_key_of_the_epoch_is_no_sessions() -> None:
    assert not is_session_key(EPOCH_KEY)
    assert is_session_key(session_key(Owner("issuer", "c1", "pixel")))


@pytest.mark.parametrize(
    ("found", "mine", "over_ns", "expected"),
    [
        # the bucket has one
        (epoch(5, READ), None, 0, epoch(5, READ)),
        (epoch(5), epoch(5, READ), 0, epoch(5, READ)),
        (epoch(5, FURTHER), epoch(5, READ), 0, epoch(5, FURTHER)),
        # another gateway has begun a newer one
        (epoch(6), epoch(5, READ), 0, epoch(6)),
        (epoch(6), epoch(5), 5, epoch(6)),
        # the bucket has lost it, or an older copy of it was put back
        (None, epoch(5, READ), 0, epoch(5, READ)),
        (epoch(4, FURTHER), epoch(5, READ), 0, epoch(5, READ)),
        (epoch(4, created=BORN_LATER), epoch(5), 0, epoch(5)),
        # nothing is known, it is over, or it is another stream's
        (None, None, 0, None),
        (epoch(5), None, 5, None),
        (epoch(5), epoch(5), 5, None),
        (epoch(4), epoch(5), 5, None),
        (epoch(5, created=BORN_LATER), None, 0, None),
        (epoch(6, created=BORN_LATER), epoch(5), 0, None),
        (None, epoch(5, created=BORN_LATER), 0, None),
        (epoch(4), epoch(5, created=BORN_LATER), 0, None),
    ],
)
def test_the_newest_epoch_of_this_stream_stands_until_it_is_over(
    found: Epoch | None, mine: Epoch | None, over_ns: int, expected: Epoch | None
) -> None:
    assert current_epoch(found, mine, BORN, over_ns) == expected


@pytest.mark.parametrize(("now_ns", "began_ns"), [(100, 100), (9, 10), (3, 10)])
def test_a_new_epoch_is_newer_than_all_that_are_known_whatever_the_clock_says(now_ns: int, began_ns: int) -> None:
    made = new_epoch(BORN, (epoch(9, READ), None, epoch(4)), 5, now_ns)
    assert made == epoch(began_ns)
    assert new_epoch(BORN, (), 20, now_ns).began_ns == max(now_ns, 21)


def test_a_witness_is_kept_only_when_it_is_newer() -> None:
    assert epoch(5).with_witness(READ).with_witness(FURTHER).with_witness(READ).with_witness(None).witness == FURTHER
    assert msgspec.structs.replace(epoch(5), witness=READ).with_witness(Witness(7, 1)).witness == READ

"""The plan from what exists to what is wanted."""

from typing import Any

import msgspec
import pytest

from mesh.topology import (
    RECORD_MOST_BYTES,
    BucketSpec,
    Config,
    Create,
    Keep,
    Refuse,
    StreamSpec,
    Topology,
    Update,
    plan,
    record_bytes,
)

WANTED = Topology()


def existing(**changes: Any) -> dict[str, Config]:
    """What exists: everything as wanted, and ``changes`` in the event stream."""
    events, cursors = WANTED.configs()
    return {"EVENTS": {**events, **changes}, "KV_cursors": cursors}


def wanted(**changes: Any) -> Topology:
    return Topology(events=msgspec.structs.replace(WANTED.events, **changes))


def test_nothing_there_creates_everything() -> None:
    made = plan(WANTED, {})
    assert [type(step) for step in made.steps] == [Create, Create]
    assert not made.is_refused
    assert not made.is_done


def test_everything_as_wanted_keeps_everything() -> None:
    made = plan(WANTED, existing())
    assert made.is_done
    assert made.text() == "keep   EVENTS\nkeep   KV_cursors"


def test_fields_that_a_server_adds_or_leaves_out_are_no_difference() -> None:
    events = {key: value for key, value in existing()["EVENTS"].items() if key not in ("allow_msg_ttl", "max_bytes")}
    assert plan(WANTED, {**existing(), "EVENTS": {**events, "compression": "none", "first_seq": 7}}).is_done


def test_the_order_of_subjects_is_no_difference() -> None:
    assert plan(WANTED, existing(subjects=["events.>", "orders.>"])).is_done


def test_an_update_carries_what_the_server_has_beside_our_fields() -> None:
    made = plan(wanted(max_age_s=8 * 86_400), existing(compression="s2"))
    assert isinstance(step := made.steps[0], Update)
    assert step.config["compression"] == "s2"
    assert step.config["max_age"] == 8 * 86_400 * 10**9
    assert "max_age: 7 days -> 8 days" in made.text()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_age_s": 86_400}, "max_age"),
        ({"max_bytes": 10**9}, "max_bytes"),
        ({"max_msgs": 1_000}, "max_msgs"),
        ({"subjects": ("orders.>",)}, "subjects"),
    ],
)
def test_what_would_delete_events_is_refused_unless_loss_is_allowed(changes: dict[str, Any], field: str) -> None:
    made = plan(wanted(**changes), existing())
    assert made.is_refused
    assert isinstance(step := made.steps[0], Refuse)
    assert [change.field for change in step.changes if change.refused] == [field]
    assert "REFUSED" in made.text()
    assert isinstance(plan(wanted(**changes), existing(), allow_loss=True).steps[0], Update)


@pytest.mark.parametrize(
    ("changes", "now"),
    [
        ({"max_age_s": 30 * 86_400}, {}),
        ({"max_bytes": -1}, {"max_bytes": 10**9}),
        ({"subjects": ("orders.>", "events.>", "news.>")}, {}),
        ({"deny_purge": True}, {}),
        ({"replicas": 3}, {}),
        ({}, {"max_consumers": -1}),
        ({}, {"max_msgs_per_subject": 5}),
        ({}, {"allow_rollup_hdrs": True}),
    ],
)
def test_what_keeps_all_events_is_an_update(changes: dict[str, Any], now: dict[str, Any]) -> None:
    assert [type(step) for step in plan(wanted(**changes), existing(**now)).steps] == [Update, Keep]


@pytest.mark.parametrize(
    "now",
    [{"storage": "memory"}, {"retention": "interest"}, {"deny_delete": True}, {"deny_purge": True}],
)
def test_what_a_living_stream_cannot_change_is_refused_always(now: dict[str, Any]) -> None:
    assert plan(WANTED, existing(**now)).is_refused
    assert plan(WANTED, existing(**now), allow_loss=True).is_refused


def test_fewer_replicas_are_refused() -> None:
    assert plan(wanted(replicas=1), existing(num_replicas=3)).is_refused


def test_the_event_stream_takes_more_consumers_than_the_server_would_by_itself() -> None:
    assert StreamSpec().config()["max_consumers"] == 100_000


def test_a_publishers_header_can_neither_purge_nor_expire_events() -> None:
    config = StreamSpec().config()
    assert config["allow_rollup_hdrs"] is False
    assert config["allow_msg_ttl"] is False


def test_a_bucket_for_smaller_values_is_updated() -> None:
    cursors = {**WANTED.cursors.config(), "max_msg_size": 16_384}
    made = plan(WANTED, {**existing(), "KV_cursors": cursors})
    assert [type(step) for step in made.steps] == [Keep, Update]
    assert f"max_msg_size: 16,384 -> {BucketSpec().max_value_bytes:,}" in made.text()


def test_room_for_a_record_grows_with_the_limits_up_to_a_bound() -> None:
    default = BucketSpec().max_value_bytes
    assert record_bytes(1, 1) == record_bytes(128, 256) == default, "a lowered limit leaves room for older records"
    assert default < record_bytes(129, 256) < RECORD_MOST_BYTES
    assert record_bytes(10_000, 256) == RECORD_MOST_BYTES

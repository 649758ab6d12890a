"""A verdict follows from medians of one run, and from nothing else."""

import pytest

from bench.results import Medians
from bench.targets import TARGETS, Verdict, broken_bounds


def verdict(case: str, of: Medians) -> Verdict:
    (target,) = (each for each in TARGETS if each.case == case)
    return target.verdict(of)


def us(value: float) -> dict[str, float]:
    return {"server_us": value}


@pytest.mark.parametrize(("ours", "rival", "reached"), [(115, 116, True), (116, 120, False), (115, 114, False)])
def test_broadcast_is_held_against_the_floor_and_every_rival(ours: float, rival: float, *, reached: bool) -> None:
    of = {("broadcast", "floor"): us(100), ("broadcast", "tidewire"): us(ours), ("broadcast", "centrifugo"): us(rival)}
    assert verdict("broadcast", of).reached is reached


@pytest.mark.parametrize(("rival", "reached"), [(121, True), (119, False)])
def test_a_rival_that_acknowledges_by_nature_is_held_against_delivery_as_our_clients_take_it(
    rival: float, *, reached: bool
) -> None:
    of = {
        ("broadcast", "floor"): us(100),
        ("broadcast", "tidewire"): us(100),
        ("broadcast, acks gathered", "tidewire"): us(120),
        ("broadcast acked", "tidewire"): us(200),
        ("broadcast acked", "mosquitto"): us(rival),
    }
    assert verdict("broadcast", of).reached is reached
    assert (
        f"acknowledge each event by itself as its must, mosquitto is {rival / 200:.2f} x ours"
        in verdict("broadcast", of).seen
    )


def test_without_its_figures_a_verdict_names_what_is_not_there() -> None:
    with pytest.raises(KeyError):
        verdict("broadcast", {})


def test_bounds_have_slack_and_what_was_not_measured_breaks_none() -> None:
    assert broken_bounds({}) == []
    of = {("broadcast", "floor"): us(100), ("broadcast", "tidewire"): us(200)}
    assert broken_bounds(of) == []
    assert broken_bounds(of | {("broadcast", "tidewire"): us(201)}) == [
        "broadcast, CPU of a delivery to the floor's: 2.01, the bound is 2.0"
    ]


def test_a_consumer_call_in_a_replay_from_the_recent_window_breaks_a_bound() -> None:
    assert broken_bounds({("replay, recent window", "tidewire"): {"consumer_calls": 0.0}}) == []
    assert broken_bounds({("replay, recent window", "tidewire"): {"consumer_calls": 1.0}}) != []


SATURATION = {
    ("saturation", "tidewire"): us(15) | {"events_per_write": 10.0, "per_core": 15_000.0},
    ("saturation", "floor"): us(10),
    ("saturation, ten at a time", "tidewire"): us(99),
    ("saturation, ten at a time", "floor"): us(10) | {"per_core": 26_000.0},
}
PRIVATE = {
    ("private", "floor"): us(30),
    ("private", "tidewire"): us(60) | {"broker_us": 50.0},
    ("private", "per-session"): us(100) | {"broker_us": 540.0},
    ("private", "publishing"): {"broker_us": 40.0},
    ("private acked", "floor"): us(50),
    ("private acked", "tidewire"): us(90) | {"broker_us": 70.0},
    ("private acked", "per-session"): us(120) | {"broker_us": 940.0},
}
LATENCY = {
    ("latency", "tidewire"): {"p99_ms": 8.0, "rate": 3_000.0},
    ("latency", "plain subscription"): {"p99_ms": 3.0, "rate": 3_000.0},
    ("latency when idle", "tidewire"): {"p99_ms": 6.0},
    ("latency when idle", "plain subscription"): {"p99_ms": 1.0},
}
IDLE = {
    ("idle", "tidewire"): {"rss_kb": 33.0, "idle_us_per_s": 4.0},
    ("idle", "floor"): {"rss_kb": 30.0, "idle_us_per_s": 0.0},
    ("idle", "mosquitto"): {"rss_kb": 23.0, "idle_us_per_s": 1.0},
}


STORM = {
    ("storm", "floor"): {"seconds": 8.0},
    ("storm", "tidewire"): {
        "seconds": 10.0,
        "server_busy": 0.9,
        "consumer_calls": 0.0,
        "another_before_p99_ms": 2.0,
        "another_p99_ms": 6.0,
        "survivor_before_p99_ms": 2.0,
        "survivor_p99_ms": 40.0,
    },
}
ABSENCE = {
    ("absence", "floor"): {"seconds": 8.0},
    ("absence", "tidewire"): {"seconds": 18.0, "read_once_s": 1.0, "api_queue": 500.0},
}
WEEK = {
    ("week", "tidewire"): {
        "events_per_s": 20_000.0,
        "growth_kb": 32 * 1024.0,
        "others_before_p99_ms": 2.0,
        "others_p99_ms": 6.0,
    }
}
ONE_CORE = {
    ("workers", "1 worker"): {"server_us": 40.0, "events_per_s": 100.0, "cores": 1.0},
    ("workers", "2 workers"): {"server_us": 44.0, "events_per_s": 90.0, "cores": 1.0},
}
TWO_CORES = {
    ("workers", "1 worker"): {"server_us": 40.0, "events_per_s": 100.0, "cores": 2.0},
    ("workers", "2 workers"): {"server_us": 60.0, "events_per_s": 170.0, "cores": 2.0},
}
PUBLISHING = {
    ("publishing", "tidewire"): {"events_per_s": 10_000.0},
    ("publishing", "tidewire, two sealed classes"): {"events_per_s": 5_000.0},
    ("publishing", "nats-py"): {"events_per_s": 15_000.0},
}
SLEEP = {
    ("sleep", "tidewire"): dict.fromkeys(
        ("nats_started_kb", "nats_before_kb", "disk_mb", "stop_s", "start_s", "p50_ms", "p99_ms"), 1.0
    )
    | {"consumers": 99_999.0}
}


@pytest.mark.parametrize(
    ("of", "way", "worse"),
    [
        (SATURATION, "tidewire", {"server_us": 15.1}),
        (SATURATION, "tidewire", {"per_core": 14_999.0}),
        (PRIVATE, "tidewire", {"server_us": 60.1}),
        (LATENCY, "tidewire", {"p99_ms": 8.1}),
        (IDLE, "tidewire", {"rss_kb": 33.1}),
        (STORM, "tidewire", {"seconds": 10.1}),
        (STORM, "tidewire", {"consumer_calls": 1.0}),
        (STORM, "tidewire", {"another_p99_ms": 6.1}),
        (ABSENCE, "tidewire", {"seconds": 18.1}),
        (ABSENCE, "tidewire", {"api_queue": 501.0}),
        (WEEK, "tidewire", {"events_per_s": 19_999.0}),
        (WEEK, "tidewire", {"growth_kb": 33 * 1024.0}),
        (WEEK, "tidewire", {"others_p99_ms": 6.1}),
        (ONE_CORE, "2 workers", {"server_us": 44.1}),
        (TWO_CORES, "2 workers", {"events_per_s": 169.0}),
        (PUBLISHING, "tidewire", {"events_per_s": 9_999.0}),
        (PUBLISHING, "tidewire, two sealed classes", {"events_per_s": 4_999.0}),
        (SLEEP, "tidewire", {"consumers": 100_000.0}),
    ],
)
def test_what_is_just_reached_is_missed_when_a_little_worse(of: Medians, way: str, worse: dict[str, float]) -> None:
    case = next(iter(of))[0]
    assert verdict(case, of).reached
    assert not verdict(case, of | {(case, way): of[case, way] | worse}).reached


def test_what_storing_costs_is_no_part_of_the_comparison_with_a_consumer_for_each_session() -> None:
    seen = verdict("private", PRIVATE).seen
    assert "nats-server 10.0 us beside storing, a consumer per session 500 us (1/50)" in seen
    of = PRIVATE | {("private", "per-session"): us(100) | {"broker_us": 539.0}}
    assert not verdict("private", of).reached


def test_what_no_reader_of_nats_can_do_without_stands_beside_and_so_does_saturation() -> None:
    of = PRIVATE | {("private", "plain subscription"): {"broker_us": 65.0}}
    assert "one plain subscription 25.0 us beside it" in verdict("private", of).seen
    of |= {
        ("private at saturation", "floor"): us(25),
        ("private at saturation", "tidewire"): us(70) | {"broker_us": 30.0},
        ("private at saturation", "per-session"): us(100) | {"broker_us": 220.0},
        ("private at saturation", "publishing"): {"broker_us": 20.0},
    }
    seen = verdict("private", of).seen
    assert "at saturation: gateway 2.80 x, 70 us; nats-server 10.0 us beside storing" in seen
    assert "a consumer per session 200 us" in seen


def test_idle_latency_is_held_against_the_plain_subscriptions_own() -> None:
    assert not verdict("latency", LATENCY | {("latency when idle", "tidewire"): {"p99_ms": 6.1}}).reached


def test_idle_names_what_every_rival_keeps() -> None:
    assert "mosquitto 23.0 KiB" in verdict("idle", IDLE).seen

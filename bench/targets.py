"""Pure: what is to be reached, and whether medians reach it. Ratios in one run hold on any machine."""

from collections.abc import Callable

import msgspec

from bench.results import Medians


class Verdict(msgspec.Struct, frozen=True):
    """One row of the table."""

    reached: bool | None
    """None: it cannot be told here."""
    seen: str
    """What was measured, in words."""


class Target(msgspec.Struct, frozen=True):
    """One thing to reach. ``verdict`` raises ``KeyError`` when a figure is not there."""

    case: str
    reach: str
    verdict: Callable[[Medians], Verdict]


CONSUMERS = 100_000
"""What the stream takes: ``stream.max_consumers`` as it is by default."""
RIVALS = ("per-session", "centrifugo", "centrifugo-redis", "socketio", "nats-websocket", "mosquitto")


def _broadcast(of: Medians) -> Verdict:
    """A rival is held against us at its promise: mosquitto has events acknowledged; so have we, as our clients do."""
    ours, floor = of["broadcast", "tidewire"]["server_us"], of["broadcast", "floor"]["server_us"]
    rivals = {way: of["broadcast", way]["server_us"] / ours for way in RIVALS if ("broadcast", way) in of}
    more = ""
    if ("broadcast acked", "mosquitto") in of:
        theirs = of["broadcast acked", "mosquitto"]["server_us"]
        rivals["mosquitto"] = theirs / of["broadcast, acks gathered", "tidewire"]["server_us"]
        single = theirs / of["broadcast acked", "tidewire"]["server_us"]
        more = f"; where our clients acknowledge each event by itself as its must, mosquitto is {single:.2f} x ours"
    told = "".join(f", {way} {times:.2f} x ours" for way, times in sorted(rivals.items(), key=lambda pair: pair[1]))
    to_floor = [
        f"{times:.2f} x {how}"
        for case, how in (
            ("broadcast, acks gathered", "with acknowledgements gathered"),
            ("broadcast acked", "with each"),
        )
        if (times := _ratio(of, case, "tidewire", "floor", "server_us")) > 0
    ]
    seen = f"{ours / floor:.2f} x the floor" + (f" ({', '.join(to_floor)})" if to_floor else "")
    return Verdict(ours / floor <= 1.15 and all(times > 1 for times in rivals.values()), seen + told + more)


def _saturation(of: Medians) -> Verdict:
    ours, floor = of["saturation", "tidewire"], of["saturation", "floor"]
    ten, floor_ten = (of["saturation, ten at a time", way] for way in ("tidewire", "floor"))
    ratio = ours["server_us"] / floor["server_us"]
    told = (
        f"{ratio:.2f} x the floor at {ours['events_per_write']:.0f} events a write "
        f"({ten['server_us'] / floor_ten['server_us']:.2f} x at ten); {ours['per_core']:,.0f} deliveries/s per core "
        f"where the floor gives {floor_ten['per_core']:,.0f} at ten a write"
    )
    return Verdict(ratio <= 1.5 and ours["per_core"] >= floor_ten["per_core"] * 150 / 260, told)


def _private(of: Medians) -> Verdict:
    storing = of["private", "publishing"]["broker_us"]
    told, ratios = [], []
    for case in ("private", "private acked"):
        ours, floor, rival = (of[case, way] for way in ("tidewire", "floor", "per-session"))
        ratio = ours["server_us"] / floor["server_us"]
        # what is left beside storing may be nothing within what can be measured
        beside, rivals = max(ours["broker_us"] - storing, 0.0), max(rival["broker_us"] - storing, 0.0)
        ratios.append((ratio, beside, rivals))
        told.append(
            f"gateway {ratio:.2f} x the floor's write; nats-server {beside:.1f} us beside storing, "
            f"a consumer per session {rivals:.0f} us" + (f" (1/{rivals / beside:.0f})" if beside else "")
        )
    ratio, beside, rivals = ratios[0]
    seen = f"{told[0]}; each event acknowledged: {told[1]}; storing costs {storing:.0f} us"
    if ("private", "plain subscription") in of:
        plain = of["private", "plain subscription"]["broker_us"] - storing
        seen += f", one plain subscription {plain:.1f} us beside it: less than that no reader costs"
    full = "private at saturation"
    if (times := _ratio(of, full, "tidewire", "floor", "server_us")) > 0:
        least = of[full, "publishing"]["broker_us"]
        ours_us, theirs_us = (of[full, way]["broker_us"] - least for way in ("tidewire", "per-session"))
        seen += (
            f"; at saturation: gateway {times:.2f} x, {of[full, 'tidewire']['server_us']:.0f} us; "
            f"nats-server {ours_us:.1f} us beside storing, a consumer per session {theirs_us:.0f} us"
        )
    return Verdict(ratio <= 2 and beside * 50 <= rivals, seen)


def _latency(of: Medians) -> Verdict:
    ours, plain = of["latency", "tidewire"], of["latency", "plain subscription"]
    idle, plain_idle = of["latency when idle", "tidewire"], of["latency when idle", "plain subscription"]
    most_ms = 2 * plain["p99_ms"] + 2
    added_ms = idle["p99_ms"] - plain_idle["p99_ms"]
    told = (
        f"p99 {ours['p99_ms']:.1f} ms at {ours['rate']:,.0f} events/s, plain {plain['p99_ms']:.1f} ms; "
        f"idle {idle['p99_ms']:.1f} ms, plain {plain_idle['p99_ms']:.1f} ms"
    )
    return Verdict(ours["p99_ms"] <= most_ms and added_ms <= 5, told)


def _idle(of: Medians) -> Verdict:
    ours, floor = of["idle", "tidewire"], of["idle", "floor"]
    ratio = ours["rss_kb"] / floor["rss_kb"]
    rivals = "".join(f", {way} {of['idle', way]['rss_kb']:.1f} KiB" for way in RIVALS if ("idle", way) in of)
    told = (
        f"{ours['rss_kb']:.1f} KiB, {ratio:.2f} x the floor's {floor['rss_kb']:.1f}{rivals}; "
        f"{ours['idle_us_per_s']:.1f} us of CPU a second, pings included"
    )
    return Verdict(ratio <= 1.1, told)


def _storm(of: Medians) -> Verdict:
    ours, floor = of["storm", "tidewire"], of["storm", "floor"]
    ratio, calls = ours["seconds"] / floor["seconds"], ours["consumer_calls"]
    slower = ours["another_p99_ms"] / ours["another_before_p99_ms"]
    told = (
        f"{ours['seconds']:.1f} s, {ratio:.2f} x the handshakes, the gateway's core {ours['server_busy']:.0%} busy; "
        f"{calls:.0f} consumer calls; p99 on another worker "
        f"{slower:.1f} x ({ours['another_before_p99_ms']:.1f} to {ours['another_p99_ms']:.1f} ms), on the one that "
        f"takes the storm {ours['survivor_before_p99_ms']:.1f} to {ours['survivor_p99_ms']:.1f} ms"
    )
    return Verdict(ratio <= 1.25 and calls == 0 and slower <= 3, told)


def _absence(of: Medians) -> Verdict:
    ours, handshakes = of["absence", "tidewire"], of["absence", "floor"]["seconds"]
    ratio, queue = ours["seconds"] / (handshakes + ours["read_once_s"]), ours["api_queue"]
    told = (
        f"{ours['seconds']:.1f} s, {ratio:.2f} x bare handshakes ({handshakes:.1f} s) and reading the range once "
        f"({ours['read_once_s']:.1f} s); queue at most {queue:.0f}, nothing dropped"
    )
    return Verdict(ratio <= 2 and queue <= 500, told)


def _week(of: Medians) -> Verdict:
    ours = of["week", "tidewire"]
    before, during, growth = ours["others_before_p99_ms"], ours["others_p99_ms"], ours["growth_kb"] / 1024
    told = (
        f"{ours['events_per_s']:,.0f} events/s; the gateway grew by {growth:.1f} MiB, the client's window is 8; "
        f"p99 of the others {before:.1f} to {during:.1f} ms"
    )
    return Verdict(ours["events_per_s"] >= 20_000 and growth <= 4 * 8 and during <= 2 * before + 2, told)


def _workers(of: Medians) -> Verdict:
    one, two = of["workers", "1 worker"], of["workers", "2 workers"]
    more, dearer = two["events_per_s"] / one["events_per_s"], two["server_us"] / one["server_us"]
    if two["cores"] < 2:
        return Verdict(dearer <= 1.1, f"both on one core: CPU per delivery {dearer:.2f} x that of one worker")
    return Verdict(more >= 1.7, f"{more:.2f} x the deliveries of one worker, CPU per delivery {dearer:.2f} x")


def _publishing(of: Medians) -> Verdict:
    plain, rival = of["publishing", "tidewire"], of["publishing", "nats-py"]
    sealed = of["publishing", "tidewire, two sealed classes"]["events_per_s"]
    told = (
        f"{plain['events_per_s']:,.0f} events/s plain, {sealed:,.0f} sealed; "
        f"nats-py alone {rival['events_per_s']:,.0f} plain"
    )
    return Verdict(plain["events_per_s"] >= 10_000 and sealed >= 5_000, told)


def _sleep(of: Medians) -> Verdict:
    ours = of["sleep", "tidewire"]
    told = (
        f"nats-server {ours['nats_started_kb'] / 1024:.0f} MiB ({ours['nats_before_kb'] / 1024:.0f} without them), "
        f"{ours['disk_mb']:.0f} MB on disk, stops in {ours['stop_s']:.1f} s, starts in {ours['start_s']:.1f} s; "
        f"a session is back in {ours['p50_ms']:.1f} ms (p99 {ours['p99_ms']:.1f}); {ours['consumers']:.0f} consumers"
    )
    return Verdict(ours["consumers"] < CONSUMERS, told)


TARGETS = (
    Target(
        "broadcast",
        "at most 1.15 x the floor per delivery, below every rival",
        _broadcast,
    ),
    Target(
        "saturation",
        "at most 1.5 x the floor at the same batch size; 150,000/s per core where the floor gives 260,000",
        _saturation,
    ),
    Target(
        "private",
        "gateway at most 2 x the floor's single write; nats-server at most 1/50 of one consumer per session",
        _private,
    ),
    Target(
        "latency",
        "p99 at half of saturation at most 2 x a plain NATS subscription plus 2 ms; idle at most 5 ms more",
        _latency,
    ),
    Target("idle", "RSS at most 1.1 x the floor's bare connection; mosquitto is the goal", _idle),
    Target(
        "storm",
        "live within 1.25 x the time of bare handshakes; no consumer call; p99 on another worker within 3 x",
        _storm,
    ),
    Target(
        "absence",
        "paced, API queue at most 500, no drops, within 2 x of bare handshakes and reading the range once",
        _absence,
    ),
    Target("week", "20,000 events/s, memory bounded by the window, p99 of the others within 2 x and 2 ms", _week),
    Target("workers", "two carry 1.7 x one; where cores do not permit: CPU per delivery equal (1.1 x)", _workers),
    Target("publishing", "10,000 events/s acknowledged; 5,000 with two sealed classes", _publishing),
    Target("sleep", "RSS, disk, start, stop and resume told; consumers below the stream's cap", _sleep),
)


def broken_bounds(of: Medians) -> list[str]:
    """What is far off: ratios that hold on a shared, noisy machine too, with wide slack. Empty: all is well."""
    bounds = {
        "broadcast, CPU of a delivery to the floor's": (_ratio(of, "broadcast", "tidewire", "floor", "server_us"), 2.0),
        "private, CPU of a delivery to the floor's": (_ratio(of, "private", "tidewire", "floor", "server_us"), 3.5),
        "private, nats-server's CPU to that with a consumer per session": (
            _ratio(of, "private", "tidewire", "per-session", "broker_us"),
            0.4,  # storing is in both, and is most of ours
        ),
        "consumer calls of a replay from the recent window": (
            of.get(("replay, recent window", "tidewire"), {}).get("consumer_calls", 0.0),
            0.0,
        ),
    }
    return [f"{name}: {ratio:.2f}, the bound is {most}" for name, (ratio, most) in bounds.items() if ratio > most]


def _ratio(of: Medians, case: str, way: str, to: str, value: str) -> float:
    """A ratio of two ways; 0 when one was not measured, since a failure is told by itself."""
    try:
        return of[case, way][value] / of[case, to][value]
    except KeyError:
        return 0.0

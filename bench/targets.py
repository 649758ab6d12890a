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


RIVALS = ("per-session", "centrifugo", "centrifugo-redis", "socketio", "nats-websocket", "mosquitto")


def _broadcast(of: Medians) -> Verdict:
    ours, floor = of["broadcast", "tidewire"]["server_us"], of["broadcast", "floor"]["server_us"]
    ratio = ours / floor
    rivals = {way: of["broadcast", way]["server_us"] / ours for way in RIVALS if ("broadcast", way) in of}
    if ("broadcast acked", "mosquitto") in of:  # it cannot do without acknowledgements
        acked = of["broadcast acked", "tidewire"]["server_us"]
        rivals["mosquitto"] = of["broadcast acked", "mosquitto"]["server_us"] / acked
    told = ", ".join(f"{way} {times:.2f} x ours" for way, times in sorted(rivals.items(), key=lambda pair: pair[1]))
    return Verdict(ratio <= 1.15 and all(times > 1 for times in rivals.values()), f"{ratio:.2f} x the floor; {told}")


TARGETS = (
    Target(
        "broadcast",
        "at most 1.15 x the floor per delivery, below every rival",
        _broadcast,
    ),
)


def broken_bounds(of: Medians) -> list[str]:
    """What is far off: ratios that hold on a shared, noisy machine too, with wide slack. Empty: all is well."""
    bounds = {
        "broadcast, tidewire's CPU to the floor's": (_ratio(of, "broadcast", "tidewire", "floor", "server_us"), 2.5),
    }
    return [f"{name}: {ratio:.2f}, the bound is {most}" for name, (ratio, most) in bounds.items() if ratio > most]


def _ratio(of: Medians, case: str, way: str, to: str, value: str) -> float:
    """A ratio of two ways; 0 when one was not measured, since a failure is told by itself."""
    try:
        return of[case, way][value] / of[case, to][value]
    except KeyError:
        return 0.0

"""Pure: what was measured, and the tables that show it."""

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one way, as measured: nothing subtracted."""

    way: str
    """``floor``, ``tidewire``, ``consumer per session`` or ``nobody``."""
    case: str
    """What the step is, the same word for every way."""
    text: str
    """The step in words."""
    events: int = 0
    """Events delivered in it."""
    sessions: int = 0
    """Sessions opened in it."""
    seconds: float = 0.0
    """Seconds of wall time until the last event, or the last session live."""
    gateway_cpu_s: float = 0.0
    """Seconds of CPU of the process that holds the sockets."""
    nats_cpu_s: float = 0.0
    """Seconds of CPU of nats-server."""
    rss_kb: float = 0.0
    """KiB resident per connection, where it was measured."""
    p50_ms: float = 0.0
    """Milliseconds from publishing to the client, median; 0: not measured."""
    p99_ms: float = 0.0
    """The same, 99th percentile."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with what it ran."""

    cpu: str
    cores: int
    kernel: str
    python: str
    versions: dict[str, str]
    commit: str
    load_before: float
    """Load average of the last minute, before."""
    load_after: float
    """The same, after; the run itself is in it."""
    pinned: bool
    """Whether the measured process had a core of its own."""


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    at: str
    seconds: float
    plan: dict[str, float]
    machine: Machine
    rows: list[Row]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """A row per delivered event, in microseconds of CPU."""

    row: Row
    gateway_us: float
    nats_us: float


def costs(rows: list[Row]) -> list[Cost]:
    """The rows that deliver events, each without what is not delivery.

    Live: storing the event (the row ``publish``) is taken off nats-server. Replay: coming back with nothing missed (the
    same way's row ``resume``) is taken off both.
    """
    publish = next((row.nats_cpu_s / row.events for row in rows if row.case == "publish"), 0.0)
    found: list[Cost] = []
    for row in rows:
        if not row.events or row.case == "publish":
            continue
        gateway_s, nats_s = row.gateway_cpu_s, row.nats_cpu_s
        opened = next((each for each in rows if each.way == row.way and each.case == "resume"), None)
        if row.case.startswith("replay") and opened is not None:
            gateway_s -= opened.gateway_cpu_s * row.sessions / opened.sessions
            nats_s -= opened.nats_cpu_s * row.sessions / opened.sessions
        elif row.case.startswith("live") and nats_s:
            nats_s -= publish * row.events
        found.append(Cost(row=row, gateway_us=_us(gateway_s, row.events), nats_us=_us(nats_s, row.events)))
    return found


def tables(results: Results) -> str:
    """The tables, in Markdown that reads well in a terminal."""
    machine, rows = results.machine, results.rows
    plan = results.plan
    head = [
        f"{machine.cpu}, {machine.cores} cores, Linux {machine.kernel}, Python {machine.python}, "
        + ", ".join(f"{name} {text}" for name, text in machine.versions.items()),
        f"commit {machine.commit}; load {machine.load_before:.2f} before, {machine.load_after:.2f} after; "
        + ("measured process on a core of its own" if machine.pinned else "one core for everything"),
        f"{plan['sessions']:.0f} TLS sessions, each on a private subject, 300-byte events; live at "
        f"{plan['rate']:.0f} events/s, {plan['missed_each']:.0f} events a session in replay; {results.seconds:.0f} s",
    ]
    each = [
        [
            cost.row.text,
            cost.row.way,
            f"{cost.row.events:,}",
            f"{cost.gateway_us:.1f}",
            f"{cost.nats_us:.1f}" if cost.row.nats_cpu_s else "",
            f"{cost.row.events / cost.row.seconds:,.0f}",
            f"{cost.row.p50_ms:.1f} / {cost.row.p99_ms:.1f}" if cost.row.p99_ms else "",
        ]
        for cost in sorted(costs(rows), key=lambda cost: _ORDER.get(cost.row.case, 9))
    ]
    opened = [
        [
            row.text,
            row.way,
            f"{row.sessions:,}",
            f"{row.gateway_cpu_s / row.sessions * 1e3:.2f}",
            f"{row.nats_cpu_s / row.sessions * 1e3:.2f}" if row.nats_cpu_s else "",
            f"{row.rss_kb:.1f}" if row.rss_kb else "",
        ]
        for row in rows
        if row.sessions
    ]
    # a replay is whole here: token, claim on the session and what was missed
    return "\n\n".join(
        [
            "\n".join(f"- {line}" for line in head),
            "CPU per delivered event:",
            _table(["case", "way", "events", "server us", "nats us", "events/s", "p50 / p99 ms"], each),
            "Per session, all included:",
            _table(["case", "way", "sessions", "server ms", "nats ms", "RSS KiB"], opened),
            _notes(rows),
        ]
    )


_ORDER = {"live acked": 0, "live": 1, "replay window": 2, "replay durable": 3, "replay": 4}


def _notes(rows: list[Row]) -> str:
    publish = next((row.nats_cpu_s / row.events * 1e6 for row in rows if row.case == "publish"), 0.0)
    return (
        f"Storing an event costs nats-server {publish:.1f} us (nobody reads); it is taken off the live rows. Coming "
        "back with nothing\nmissed is taken off the replay rows. "
        '"server" is the process that holds the sockets: the gateway, the server with a consumer per\nsession, or the '
        "floor, which writes ready frames and does nothing else. Acknowledgements are stored in JetStream by both ways."
    )


def _us(seconds: float, events: int) -> float:
    return seconds / events * 1e6


def _table(head: list[str], lines: list[list[str]]) -> str:
    widths = [max(len(line[place]) for line in [head, *lines]) for place in range(len(head))]

    def row(cells: list[str]) -> str:
        aligned = [
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(aligned)} |"

    rule = [("-" * width if place < 2 else "-" * (width - 1) + ":") for place, width in enumerate(widths)]
    return "\n".join([row(head), row(rule), *(row(line) for line in lines)])

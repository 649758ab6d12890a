"""Compares what the devices of one session did with what the stream held.

Everything that an era held and the session subscribes to was processed, or a gap named it: one with its sequence in
between, told while that era or the next was there, or ``stream_replaced``, told after the last era that held it. What
an older copy of the store took away together with the end of an era may go untold to a session that had not come so
far; it is counted.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import msgspec

from tests.chaos import trace
from tests.chaos.oracle import Era, Oracle, Stored
from tests.chaos.trace import DIED, LEFT

TELLING_S = 60.0
"""Seconds after the end of an era in which a gateway may still tell what was taken out in it."""


class Gaps(msgspec.Struct):
    """How often a gap was told on the wire, and whether there was a reason."""

    told: int = 0
    justified: int = 0
    again: int = 0
    """Of the justified ones: the same once more, since the gateway could not see that it had been read."""
    unjustified: int = 0


class Verdict(msgspec.Struct):
    """One session."""

    session: str
    due: int = 0
    processed: int = 0
    by_gap: int = 0
    """Not processed, named by a gap."""
    fell_back: int = 0
    """Gone with the end of an era, untold to a session that was not yet there."""
    again: int = 0
    """Processed once more after a crash that kept the position from its file, or by another device of the session."""
    gaps: Gaps = msgspec.field(default_factory=Gaps)
    lost: list[str] = []
    wrong: list[str] = []


def judge(session: str, devices: Sequence[Sequence[trace.Line]], patterns: Sequence[str], oracle: Oracle) -> Verdict:
    """Judge the traces of a session's devices. ``patterns`` are literal subjects."""
    verdict = Verdict(session, lost=[], wrong=[])
    for lines in devices:
        _once_in_effect(lines, verdict, oracle, patterns)
        _justify(lines, verdict, oracle)
    lines = sorted((line for each in devices for line in each), key=lambda line: line.at_s)
    done = {line.number for line in lines if isinstance(line, trace.Done)}
    verdict.processed = len(done)
    told = [line for line in lines if isinstance(line, trace.ToldGap)]
    holders: dict[int, list[tuple[Era, Stored]]] = {}
    wanted = set(patterns)
    for era in oracle.eras:
        for event in era.held.values():
            if event.subject in wanted:
                holders.setdefault(event.number, []).append((era, event))
    verdict.due = len(holders)
    for number, held in holders.items():
        if number in done:
            continue
        if any(_is_named(era, event.seq, told) for era, event in held) or _is_replaced(held[-1][0], told):
            verdict.by_gap += 1
        elif held[-1][0] is not oracle.era:
            verdict.fell_back += 1
        else:
            era, event = held[-1]
            state = " (taken out)" if era.is_gone(event.seq) else ""
            verdict.lost.append(f"event {number} = {era.number}:{event.seq} on {event.subject}{state}")
    return verdict


def _is_named(era: Era, seq: int, told: Iterable[trace.ToldGap]) -> bool:
    return any(
        gap.after < seq < gap.before
        and gap.reason != "stream_replaced"
        and era.begun_s <= gap.at_s <= era.ended_s + TELLING_S
        for gap in told
    )


def _is_replaced(last: Era, told: Iterable[trace.ToldGap]) -> bool:
    return any(gap.reason == "stream_replaced" and gap.at_s >= last.ended_s for gap in told)


def _once_in_effect(  # noqa: C901, PLR0912  # one case for each kind of line
    lines: Sequence[trace.Line], verdict: Verdict, oracle: Oracle, patterns: Sequence[str]
) -> None:
    """Per device: rising, none twice, until the stream is another one or a crash lost what was not stored."""
    stream, stored_seq, newest, steps_back = "", 0, 0, 0
    seen: set[int] = set()
    ever: set[int] = set()
    for line in lines:
        match line:
            case trace.Begin():
                seen, newest, steps_back = set(), 0, 0
                stream, stored_seq = line.stream, line.seq
            case trace.WireGap() if line.reason == "stream_replaced":
                seen, stored_seq, steps_back = set(), 0, 1
            case trace.Welcomed() if line.stream != stream:
                if stream:
                    seen, stored_seq, steps_back = set(), 0, 1
                stream = line.stream
            case trace.Done():
                where = f"{line.at_s:.3f}: event {line.number} at {line.seq}"
                if oracle.offered.get(line.number) != line.subject or line.subject not in patterns:
                    verdict.wrong.append(f"{where} was not published like that, or not asked for")
                if line.number in seen or line.seq <= stored_seq:
                    verdict.wrong.append(f"{where} was processed twice")
                if line.seq <= newest:
                    steps_back -= 1
                    seen.clear()  # up to here came what was left of the stream before
                    if steps_back < 0:
                        verdict.wrong.append(f"{where} came after {newest}")
                verdict.again += line.number in ever
                newest = line.seq
                seen.add(line.number)
                ever.add(line.number)
            case trace.Away() if line.why not in (LEFT, DIED) and "." not in line.name:
                verdict.wrong.append(f"{line.at_s:.3f}: it ended: {line.why}")
            case trace.Wrong():
                verdict.wrong.append(f"{line.at_s:.3f}: on one connection {line.what}")
            case _:
                pass


def _justify(lines: Sequence[trace.Line], verdict: Verdict, oracle: Oracle) -> None:
    """Each gap on the wire: something there was taken out, or the stream was another one before."""
    here, told_before = oracle.eras[0], set[tuple[int, int, int, str]]()
    for line in lines:
        if not isinstance(line, trace.WireGap):
            continue
        verdict.gaps.told += 1
        now = oracle.era_at(line.at_s)
        what = (now.number, line.after, line.before, line.reason)
        if line.reason == "stream_replaced":
            is_justified = now is not here
            here = now
        else:
            around = (now, oracle.eras[max(0, now.number - 1)])
            is_justified = any(era.lost_between(line.after, line.before) for era in around)
        if is_justified or what in told_before:
            verdict.gaps.justified += 1
            verdict.gaps.again += what in told_before
            told_before.add(what)
        else:
            verdict.gaps.unjustified += 1
            verdict.wrong.append(f"{line.at_s:.3f}: a gap from {line.after} to {line.before} ({line.reason}), why?")


class Silence(msgspec.Struct, frozen=True):
    """The longest that events were due to a device that was there, no fault was active, and none came."""

    seconds: float = 0.0
    name: str = ""
    at_s: float = 0.0


def silence(name: str, lines: Sequence[trace.Line], oracle: Oracle, calm: Sequence[tuple[float, float]]) -> Silence:
    """The longest silence of one device in the calm stretches, which are (from, to)."""
    done_s: dict[int, float] = {}
    for line in lines:
        if isinstance(line, trace.Done):
            done_s.setdefault(line.number, line.at_s)
    arrivals = sorted(done_s.values())
    waits = sorted((at_s, oracle.acked_s[number]) for number, at_s in done_s.items() if number in oracle.acked_s)
    earliest = list(accumulate((acked_s for _, acked_s in reversed(waits)), min))[::-1]
    ends = [at_s for at_s, _ in waits]
    longest = Silence()
    for calm_from, calm_to in calm:
        for here_from, here_to in _presence(lines):
            begin, end = max(calm_from, here_from), min(calm_to, here_to)
            if begin >= end:
                continue
            points = [begin, *arrivals[bisect_left(arrivals, begin) : bisect_left(arrivals, end)], end]
            for left, right in pairwise(points):
                place = bisect_left(ends, right)
                if place < len(ends) and right - max(left, earliest[place]) > longest.seconds:
                    longest = Silence(right - max(left, earliest[place]), name, right)
    return longest


def _presence(lines: Sequence[trace.Line]) -> Iterable[tuple[float, float]]:
    """When the device was there: from the making of a client to its end."""
    begun_s: float | None = None
    for line in lines:
        if isinstance(line, trace.Begin):
            begun_s = line.at_s
        elif isinstance(line, trace.Away) and begun_s is not None:
            yield begun_s, line.at_s
            begun_s = None
    if begun_s is not None:
        yield begun_s, float("inf")

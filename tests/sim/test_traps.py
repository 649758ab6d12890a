"""Bugs of resuming that others had in production, numbered as in docs/proof.md: each in a world made to meet it.

The oracle fails such a world when an event is lost, repeated or passed off as told, and when somebody is not live in
the end. The floors say that the world was where the bug is.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from mesh.api import Api
from mesh.contiguity import Hole
from mesh.event import StoredEvent
from mesh.feed import Feed, FeedSettings
from tests.sim import clock
from tests.sim.nats import Nats
from tests.sim.options import Options
from tests.sim.world import run

CALM = Options(
    gateways=2,
    devices=3,
    twins=0,
    subjects=3,
    recent_events=10,
    window_messages=5,
    window_bytes=1_048_576,
    batch_events=3,
    replays=2,
    api_in_flight=4,
    save_within_ms=50,
    park_after_s=1.0,
    inactive_threshold_s=30,
    session_idle_s=3_600,
    ping_every_s=5,
    token_life_s=3_600,
    latency_s=0.02,
    slowness_s=0.0,
    work_s=0.02,
    publish_every_s=0.1,
    max_age_s=0,
    chaos_s=15.0,
    write_high_bytes=262_144,
    sweep_events=0,
    sharers=1,
    many=250,
    pull_events=3,
    ahead_events=200_000,
    faults={},
)
"""A world in which nothing goes wrong."""

SEEDS = (1, 2)
SILENT_S = 30
"""A feed that hears nothing has read on after so many seconds, also when its next consumer is on a dead server too."""


def worlds(
    floors: dict[str, int],
    *,
    seeds: tuple[int, ...] = SEEDS,
    say: Callable[[str], None] | None = None,
    **changes: Any,
) -> Counter[str]:
    """Run the calm world with changes, once for each seed; what they met together, at least the floors."""
    options = msgspec.structs.replace(CALM, **changes)
    seen: Counter[str] = Counter()
    for seed in seeds:
        seen += run(seed, say=say, options=options).seen
    assert {state: seen[state] for state, floor in floors.items() if seen[state] < floor} == {}
    return seen


def test_trap_1_nothing_falls_between_the_end_of_a_replay_and_live() -> None:
    """P4.5."""
    faults = {"device cut": 0.3, "device crashed": 1.0}
    floors = {"outcome resumed": 20, "live after a durable": 5, "published while a durable is read": 15}
    worlds(floors, faults=faults, recent_events=3, publish_every_s=0.05, window_messages=2)


def test_trap_2_a_position_whose_event_is_not_there_is_a_place_to_go_on_from() -> None:
    """P4.2, P4.12."""
    faults = {"deleted": 0.3, "purged": 2.0, "device crashed": 0.5, "device cut": 0.5}
    floors = {"outcome resumed": 12, "outcome gap": 10, "gap deleted": 20, "gap expired": 8}
    worlds(floors, faults=faults, recent_events=3)


def test_trap_3_a_position_ahead_of_the_gateway_or_of_a_replica_is_waited_for() -> None:
    """P4.2, P4.10."""
    faults = {"server lags": 0.3, "events step down": 3.0, "device cut": 0.2}
    floors = {"waits for the feed": 5, "outcome resumed": 20}
    quick: dict[str, Any] = {"window_messages": 100, "work_s": 0.0, "latency_s": 0.001, "publish_every_s": 0.05}
    seen = worlds(floors, seeds=(2, 3, 5), gateways=3, subjects=1, recent_events=100, faults=faults, **quick)
    assert not seen["gap stream_replaced"]


def test_trap_4_a_position_of_a_stream_or_session_that_is_gone_is_told() -> None:
    """P4.8, P4.10."""
    faults = {"recreated": 6.0, "session ended": 4.0, "device crashed": 0.5, "device cut": 0.5}
    worlds({"gap stream_replaced": 8, "gap dealt with": 8, "outcome gap": 8}, devices=4, faults=faults)


def test_trap_5_a_stream_that_falls_back_under_its_name_is_told_and_nothing_new_is_missed() -> None:
    """P2.7, P4.10."""
    faults = {"fell back": 15.0, "fell back with cursors": 15.0, "device crashed": 2.0, "device cut": 1.0}
    worlds({"gap stream_replaced": 6, "gap dealt with": 6}, chaos_s=40.0, faults=faults)


def test_trap_6_a_change_of_leader_makes_no_replay_skip_an_event() -> None:
    """P4.5."""
    faults = {"events step down": 2.0, "server lags": 0.5, "device cut": 0.5}
    floors = {"reads a durable": 40, "published while a durable is read": 60, "live after a durable": 5}
    worlds(floors, faults=faults, recent_events=1, window_messages=2, work_s=0.2, publish_every_s=0.05)


def test_trap_7_a_feed_whose_consumer_falls_silent_reads_on_with_another() -> None:
    """Its server has died, the link to another one is well: nothing says so but the silence."""

    async def read_on(random: Random) -> None:
        nats = Nats(random)
        link = nats.link("gateway")
        await link.start()
        seqs: list[int] = []
        holes: list[Hole] = []

        def take(events: list[StoredEvent]) -> None:
            seqs.extend(event.seq for event in events)

        feed = Feed(link, Api(link), FeedSettings(), deliver=take, hole=holes.append)
        reading = asyncio.ensure_future(feed.run(lambda _: 1))
        while not nats.stream.consumers or list(nats.stream.consumers.values())[-1].server == link.server:
            link.cut()
            await asyncio.sleep(2)
        nats.kill(list(nats.stream.consumers.values())[-1].server)
        for _ in range(40):
            nats.publish("orders.c1.o1", b"{}")
            await asyncio.sleep(1)
        assert nats.last_seq > 20
        await asyncio.sleep(SILENT_S)  # virtual
        reading.cancel()
        assert (seqs, holes) == (list(range(1, nats.last_seq + 1)), [])

    for seed in SEEDS:
        clock.run(read_on(Random(seed)), Random(seed))


def test_trap_8_what_was_published_while_the_link_to_nats_was_gone_reaches_everyone() -> None:
    """P4.2."""
    faults = {"link cut": 0.5, "link stalled": 1.5}
    worlds({"fault: link cut": 30, "feed made again": 15, "lagging": 5}, faults=faults, recent_events=30)


def test_trap_12_every_way_to_a_session_gives_the_sequence_under_which_it_was_stored() -> None:
    """P2.6, P4.1: with withheld and deleted events between; by the feed, the recent window and the durable."""
    faults = {"leak": 1.0, "deleted": 1.0, "device cut": 0.5}
    floors = {"gap deleted": 50, "reads a durable": 30, "outcome resumed": 15, "live after a durable": 4}
    worlds(floors, faults=faults, recent_events=3, window_messages=2, work_s=0.2, publish_every_s=0.05)


MAX_AGE_S = 4
EVENT = re.compile(r" *([\d.]+) service +event (\d+) ")
REPLAYED = re.compile(r" *([\d.]+) \S+ +< event {'seq': (\d+), 'replay': True")


def test_trap_16_nothing_is_replayed_that_the_stream_has_let_go_of() -> None:
    """P4.12: not from the memory of a gateway either, where little comes and much would have room."""
    trace: list[str] = []
    faults = {"device crashed": 0.5, "device away": 0.5}
    roomy: dict[str, Any] = {"recent_events": 1_000, "window_messages": 100, "publish_every_s": 0.3}
    worlds({"gap expired": 2, "outcome resumed": 3}, say=trace.append, max_age_s=MAX_AGE_S, faults=faults, **roomy)
    stored_s: dict[str, float] = {}
    ages_s: list[float] = []
    for line in trace:
        if event := EVENT.match(line):
            stored_s[event[2]] = float(event[1])
        elif replayed := REPLAYED.match(line):
            ages_s.append(float(replayed[1]) - stored_s[replayed[2]])
    assert len(ages_s) >= 10
    assert max(ages_s) <= MAX_AGE_S + 1, "it is looked four times a second, and a frame takes its time"

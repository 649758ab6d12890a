"""Shell: what a process shows at ``/metrics``: plain integers, read when somebody asks.

Counters live where the counting is done (the exchange, the feed, sessions); this module reads them. No label has a
value that a client can choose.
"""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.exchange import Exchange
from gateway.house import House
from gateway.phase import Phase


class _Census:
    """All sessions in one pass: with ten thousand of them nobody is served meanwhile."""

    def __init__(self, exchange: Exchange | None) -> None:
        self.connections = self.live = self.replaying = self.lagging = 0
        self.outstanding_events = self.outstanding_bytes = self.sent = self.replayed = 0
        live, replaying, lagging = Phase.LIVE, Phase.REPLAYING, Phase.LAGGING
        for connection in exchange.by_key.values() if exchange is not None else ():
            session = connection.session
            phase = session.phase
            self.connections += 1
            self.live += phase is live
            self.replaying += phase is replaying
            self.lagging += phase is lagging
            self.sent += session.events_sent
            self.replayed += session.events_replayed
            events, size = session.outstanding
            self.outstanding_events += events
            self.outstanding_bytes += size


class HouseCollector(Collector):
    """Reads a house at scrape time."""

    def __init__(self, house: House) -> None:
        self._house = house

    def collect(self) -> Iterator[Metric]:
        """All metrics, named ``tidewire_*``."""
        yield from self._connections()
        yield from self._events()
        yield from self._jetstream()
        yield from self._keys()

    def _connections(self) -> Iterator[Metric]:
        house, counters = self._house, self._house.counters
        census = _Census(house.open_exchange)
        by_phase = GaugeMetricFamily("tidewire_sessions", "Connected sessions by phase", labels=["phase"])
        for phase, count in (
            (Phase.REPLAYING, census.replaying),
            (Phase.LIVE, census.live),
            (Phase.LAGGING, census.lagging),
        ):
            by_phase.add_metric([phase.value], count)
        yield by_phase
        yield _gauge("tidewire_connections", "WebSockets that were welcomed and are open", census.connections)
        yield _counter("tidewire_connects", "WebSockets that were welcomed", counters.connects)
        yield _labelled("tidewire_outcomes", "Answers to connect", "outcome", counters.outcomes)
        yield _labelled("tidewire_closes", "Connections that the gateway closed, by its code", "code", counters.closes)
        yield _labelled("tidewire_token_refused", "Tokens refused, by reason", "reason", counters.tokens_refused)
        yield _labelled("tidewire_gaps", "Gaps told to clients, by reason", "reason", counters.gaps)
        yield _labelled("tidewire_bad_frames", "Frames that were none, by kind", "kind", counters.bad_frames)
        yield _labelled(
            "tidewire_sockets_refused", "Sockets closed before a session, by limit", "limit", counters.refused_sockets
        )
        yield _gauge("tidewire_outstanding_events", "Events sent and not acknowledged", census.outstanding_events)
        yield _gauge("tidewire_outstanding_bytes", "Bytes sent and not acknowledged", census.outstanding_bytes)
        sent, replayed = counters.events_sent + census.sent, counters.events_replayed + census.replayed
        from_durable, from_sweep = counters.events_from_durables, counters.events_from_sweeps
        yield _counter("tidewire_events_out", "Events sent to clients, replayed ones included", sent)
        out = CounterMetricFamily("tidewire_events_replayed", "Replayed events by source", labels=["source"])
        out.add_metric(["durable"], from_durable)
        out.add_metric(["sweep"], from_sweep)
        out.add_metric(["window"], max(0, replayed - from_durable - from_sweep))
        yield out
        yield _counter(
            "tidewire_sweeps", "Older stretches of the stream read once for several sessions", counters.sweeps
        )
        yield _counter("tidewire_events_swept", "Events that sweeps have read", counters.events_swept)

    def _events(self) -> Iterator[Metric]:
        house, feed, exchange = self._house, self._house.feed, self._house.open_exchange
        if feed is None or exchange is None:
            return
        yield _counter("tidewire_events_in", "Events read from the stream", exchange.events_in)
        yield _counter("tidewire_events_damaged", "Events with a damaged subject or header block", feed.damaged)
        yield _counter(
            "tidewire_events_withheld", "Events withheld: in clear what must be sealed", exchange.guard.withheld
        )
        yield _counter("tidewire_stream_holes", "Holes met in the stream", exchange.holes)
        yield _counter("tidewire_feed_restarts", "How often the feed was made again", feed.restarts)
        yield _gauge("tidewire_feed_position", "Newest sequence read", feed.head)
        yield _gauge("tidewire_feed_lag_events", "Events stored and not yet read, when last heard of", feed.pending)
        yield _gauge(
            "tidewire_feed_age_seconds", "Seconds since the feed's last sign of life", feed.age_s(house.now_s())
        )
        yield _gauge("tidewire_recent_events", "Events in the recent window", len(exchange.recent))
        yield _gauge("tidewire_recent_bytes", "Bytes accounted to the recent window", exchange.recent.bytes)
        yield _gauge(
            "tidewire_recent_floor", "Sequence above which the recent window holds everything", exchange.recent.floor
        )

    def _jetstream(self) -> Iterator[Metric]:
        house = self._house
        calls = CounterMetricFamily("tidewire_jetstream_calls", "JetStream API calls by verb", labels=["verb"])
        for verb, count in sorted(house.api.calls.items()):
            calls.add_metric([verb], count)
        calls.add_metric(["CONSUMER.MSG.NEXT"], house.durables.puller.pulls)
        yield calls
        yield _gauge("tidewire_replays_running", "Reads of durables under way", house.replays.running)
        yield _gauge("tidewire_replays_waiting", "Sessions that wait for what they missed", house.replays.waiting)
        yield _gauge("tidewire_durables_pending", "Durables to be made or parked", len(house.parking))
        yield _counter(
            "tidewire_cursor_conflicts", "Cursor writes refused because another was newer", house.cursors.conflicts
        )
        yield _counter("tidewire_nats_connects", "Connections made to NATS", house.link.connects)
        yield _gauge("tidewire_ready", "Whether clients are served", int(house.is_ready))

    def _keys(self) -> Iterator[Metric]:
        house = self._house
        if house.tls is not None:
            yield _gauge(
                "tidewire_certificate_expires_seconds", "Unix time at which the certificate ends", house.tls.expires_at
            )
        ages = GaugeMetricFamily(
            "tidewire_jwks_age_seconds", "Seconds since an issuer's key set was fetched", labels=["issuer"]
        )
        for issuer, age_s in house.doorkeeper.key_ages().items():
            ages.add_metric([issuer], age_s)
        yield ages


def exposition(house: House) -> bytes:
    """All metrics in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HouseCollector(house))
    return generate_latest(registry)


def process_exposition() -> bytes:
    """Memory, CPU and file descriptors of this process, by Prometheus's own names, ``process_*``. Reads files."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, counts: Counter[str] | Counter[int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in sorted(counts.items(), key=str):
        family.add_metric([str(value)], count)
    return family

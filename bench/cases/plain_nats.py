"""Shell: one plain NATS subscription, without JetStream and without us: what NATS itself takes for each event."""

import contextlib
from collections.abc import AsyncIterator

import msgspec

from bench.process import Child
from bench.way import Site
from bench.ways.jetstream import JetStream
from mesh.embedded import EmbeddedServer, default_config


class Plain(msgspec.Struct, frozen=True):
    """What stands."""

    jetstream: JetStream
    """It stores what is published, too."""
    subscriber: Child
    """The process that reads it."""


@contextlib.asynccontextmanager
async def plain_nats(site: Site) -> AsyncIterator[Plain]:
    """A nats-server whose gateway user may read events without JetStream, and the process that does."""
    jetstream = JetStream(site)
    config = jetstream.folder / "nats-plain.conf"
    text = default_config().read_text(encoding="utf-8")
    config.write_text(text.replace('"_INBOX_gw.>"', '"_INBOX_gw.>", $ORDERS_SUBJECTS'), encoding="utf-8")
    jetstream.nats = EmbeddedServer(msgspec.structs.replace(jetstream.nats.settings, config=config))
    subscriber = Child("bench.plain_subscriber", on=site.measured_on, log=jetstream.folder / "subscriber.log")
    try:
        await jetstream.start()
        await subscriber.start()
        password = jetstream.nats.password("gateway").reveal()
        await subscriber.ask(30, do="subscribe", url=jetstream.nats.url, password=password)
        yield Plain(jetstream, subscriber)
    finally:
        await subscriber.stop()
        await jetstream.stop()

"""Shell: `tidewire publish`."""

import asyncio
import json
import secrets
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from gateway.commands import options
from gateway.commands.upstream import config_of, connected
from gateway.config import Config
from gateway.settings import policy
from gateway.state_folder import StateFolder
from mesh.envelope import Envelopes
from mesh.publisher import PublishAck, Publisher
from security import keyfile
from security.errors import TidewireError
from security.keyring import KeyRing

_WAITING = 1_000  # events whose answer has not been printed yet


@click.command(
    "publish",
    epilog=options.example(
        'tidewire publish orders.c42.o7 \'{"order": "o7", "status": "packed"}\'',
        "tidewire publish orders.c42.o7 < lines",
    ),
)
@click.argument("subject")
@click.argument("event", required=False, metavar="[JSON]")
@click.option("--id", "message_id", help="Message id of the one event; the same id is stored once.  [default: random]")
@click.option("--raw", is_flag=True, help="Publish the text as it is, JSON or not.")
@options.optional_config_file
@click.option(
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Sealing keys.  [default: up's]",
)
@options.as_json
@options.state_dir
def command(
    *,
    subject: str,
    event: str | None,
    message_id: str | None,
    raw: bool,
    config_file: Path | None,
    keys: Path | None,
    as_json: bool,
    state_dir: Path,
) -> None:
    """Publish one event on SUBJECT, or each line of standard input as one; seal the fields that are declared.

    NATS is the one of `tidewire up`, or that of --config. Each event is stored when its line is printed.
    """
    if event is None and message_id is not None:
        raise click.UsageError("--id is for one event: give it as JSON after the subject")
    config = config_of(config_file, state_dir, "publisher")
    ring_file = keys or StateFolder(state_dir).sealing_keys
    ring = KeyRing(keyfile.load(ring_file)) if keys is not None or ring_file.exists() else KeyRing()
    events = _texts(event, is_raw=raw)
    asyncio.run(_publish(config, ring, subject, events, message_id, as_json=as_json))


def _texts(event: str | None, *, is_raw: bool) -> Iterator[bytes]:
    """Each payload to publish; empty lines are none."""
    lines = [event] if event is not None else sys.stdin
    for number, line in enumerate(lines, start=1):
        payload = line.rstrip("\n").encode(errors="surrogateescape")
        if not payload and event is None:
            continue
        if not is_raw:
            try:
                msgspec.json.decode(payload, type=msgspec.Raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                place = "the event" if event is not None else f"line {number}"
                raise click.UsageError(f"{place} is not JSON; put quotes around a text, or use --raw") from None
        yield payload


async def _publish(
    config: Config, ring: KeyRing, subject: str, payloads: Iterator[bytes], message_id: str | None, *, as_json: bool
) -> None:
    envelopes = Envelopes(policy(config), ring, payload_bytes=config.limits.payload_bytes)
    waiting: deque[tuple[str, asyncio.Future[PublishAck]]] = deque()
    async with connected(config, "tidewire publish") as link, Publisher(link, envelopes) as publisher:
        wrong: Exception | None = None
        try:
            for payload in payloads:
                ident = message_id or secrets.token_hex(16)
                waiting.append((ident, await publisher.hand_over(subject, payload, message_id=ident)))
                while waiting and (len(waiting) >= _WAITING or waiting[0][1].done()):
                    await _tell(subject, *waiting.popleft(), as_json=as_json)
        except (click.UsageError, TidewireError) as error:
            wrong = error  # told after the events before it, which are on their way
        while waiting:
            await _tell(subject, *waiting.popleft(), as_json=as_json)
    if wrong is not None:
        raise wrong


async def _tell(subject: str, ident: str, stored: asyncio.Future[PublishAck], *, as_json: bool) -> None:
    ack = await stored
    if as_json:
        click.echo(json.dumps({"seq": ack.seq, "subject": subject, "id": ident, "duplicate": ack.duplicate}))
    else:
        click.echo(f"{ack.seq}  {subject}{'  (was stored before)' if ack.duplicate else ''}")

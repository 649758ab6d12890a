"""Shell: `tidewire sessions`: what the cursor bucket and the durables say of each session, for an operator."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.claiming import CLAIMED_SUBJECT, Claim
from gateway.commands import options
from gateway.commands.upstream import config_of, connected
from gateway.config import Config
from mesh.api import CONSUMER_NOT_FOUND, Api, ApiError, ConsumerInfo
from mesh.kv import Bucket
from replay.record import Record, decode_record, is_session_key
from security.errors import ConfigurationError, TidewireError, UpstreamUnavailable


class _Gone(msgspec.Struct, frozen=True):
    success: bool = False


class _Store:
    """The bucket and the durables of one configuration."""

    def __init__(self, config: Config, api: Api, bucket: Bucket) -> None:
        self._stream = config.stream.name
        self._api = api
        self._bucket = bucket

    async def all(self) -> AsyncIterator[tuple[str, Record]]:
        """Each session that can be read, by key."""
        for key in sorted(filter(is_session_key, await self._bucket.keys())):
            entry = await self._bucket.get(key)
            record = decode_record(entry.value) if entry is not None else None
            if record is not None:
                yield key, record

    async def durable(self, key: str) -> ConsumerInfo | None:
        """The session's durable consumer; None when it has none."""
        found = await self._api.call("CONSUMER.INFO", f"{self._stream}.{key}", None, ConsumerInfo)
        if not isinstance(found, ApiError):
            return found
        if found.err_code != CONSUMER_NOT_FOUND:
            raise UpstreamUnavailable(f"consumer {key}: {found.description}")
        return None

    async def last_seq(self) -> int:
        """The newest sequence of the stream."""
        info = await self._api.stream_info(self._stream)
        if isinstance(info, ApiError):
            raise UpstreamUnavailable(f"stream {self._stream}: {info.description}")
        return info.state.last_seq

    async def end(self, key: str) -> None:
        """Forget the session: its cursor, then its connection, then the durable, which nobody makes again by then."""
        revision = await self._bucket.delete(key)
        await self._api.link.publish(CLAIMED_SUBJECT, msgspec.json.encode(Claim(key, "", revision)))
        gone = await self._api.call("CONSUMER.DELETE", f"{self._stream}.{key}", None, _Gone)
        if isinstance(gone, ApiError) and gone.err_code != CONSUMER_NOT_FOUND:
            raise UpstreamUnavailable(f"consumer {key}: {gone.description}")

    async def find(self, wanted: str, sub: str | None) -> tuple[str, Record]:
        """The one session with this key, or this name (of this ``sub``)."""
        found = [
            (key, record)
            async for key, record in self.all()
            if wanted == key or (wanted == record.owner.session and sub in {None, record.owner.subject})
        ]
        if not found:
            raise TidewireError(f"no session {wanted}; tidewire sessions list shows them")
        if len(found) > 1:
            raise ConfigurationError(f"{len(found)} sessions are named {wanted}; name one by --sub or by its key")
        return found[0]


@asynccontextmanager
async def _store(config: Config) -> AsyncIterator[_Store]:
    async with connected(config, "tidewire sessions") as link:
        api = Api(link)
        yield _Store(config, api, Bucket(link, api, config.cursors.bucket))


def _told(key: str, record: Record, durable: ConsumerInfo | None, last_seq: int) -> dict[str, Any]:
    """One session, with stable names."""
    owner = record.owner
    return {
        "key": key,
        "session": owner.session,
        "sub": owner.subject,
        "issuer": owner.issuer,
        "tenant": owner.tenant or None,
        "phase": "connected" if record.gateway else "parked",
        "gateway": record.gateway or None,
        "cursor": record.acked,
        "behind": durable.num_pending if durable is not None and not record.gateway else None,
        "stream_behind": max(0, last_seq - record.through),
        "durable": durable.name if durable is not None else None,
        "patterns": sorted(record.patterns),
        "saved_s_ago": max(0, int(time.time()) - record.saved_s) if record.saved_s else None,
    }


@click.group("sessions", epilog=options.example("tidewire sessions list", "tidewire sessions end phone --sub c42"))
def command() -> None:
    """Who is parked or connected, how far behind, with which durable consumer."""


@command.command("list", epilog=options.example("tidewire sessions list --json"))
@options.optional_config_file
@options.as_json
@options.state_dir
def list_sessions(*, config_file: Path | None, as_json: bool, state_dir: Path) -> None:
    """List every session.

    BEHIND counts the events that wait for a parked session in its durable; without a durable, the events of all
    sessions that were stored since (with ~).
    """
    asyncio.run(_list(config_of(config_file, state_dir, "operator"), as_json=as_json))


async def _list(config: Config, *, as_json: bool) -> None:
    async with _store(config) as store:
        last_seq = await store.last_seq()
        if not as_json:
            click.echo(f"{'SESSION':20} {'SUB':16} {'PHASE':10} {'CURSOR':>10} {'BEHIND':>9}  DURABLE")
        async for key, record in store.all():
            told = _told(key, record, await store.durable(key), last_seq)
            if as_json:
                click.echo(json.dumps(told))
                continue
            behind = f"{told['behind']}" if told["behind"] is not None else f"~{told['stream_behind']}"
            head = f"{told['session']:20} {told['sub']:16} {told['phase']:10} {told['cursor']:>10} {behind:>9}"
            click.echo(f"{head}  {told['durable'] or '-'}")


@command.command("show", epilog=options.example("tidewire sessions show phone --sub c42"))
@click.argument("session")
@click.option("--sub", help="The `sub` of its owner, when several have a session of this name.")
@options.optional_config_file
@options.as_json
@options.state_dir
def show(*, session: str, sub: str | None, config_file: Path | None, as_json: bool, state_dir: Path) -> None:
    """Show one session, by its name or key."""
    asyncio.run(_show(config_of(config_file, state_dir, "operator"), session, sub, as_json=as_json))


async def _show(config: Config, session: str, sub: str | None, *, as_json: bool) -> None:
    async with _store(config) as store:
        key, record = await store.find(session, sub)
        told = _told(key, record, await store.durable(key), await store.last_seq())
    if as_json:
        click.echo(json.dumps(told))
        return
    for name, value in told.items():
        shown = ", ".join(value) if isinstance(value, list) else "-" if value is None else value
        click.echo(f"{name:14} {shown}")


@command.command("end", epilog=options.example("tidewire sessions end phone --sub c42"))
@click.argument("session")
@click.option("--sub", help="The `sub` of its owner, when several have a session of this name.")
@options.optional_config_file
@options.as_json
@options.state_dir
def end(*, session: str, sub: str | None, config_file: Path | None, as_json: bool, state_dir: Path) -> None:
    """End one session, by its name or key: its cursor and durable are removed, it starts fresh when it comes back.

    A connected one is closed with 4510, at which a client drops its keys and stops. Its token is good until it expires.
    """
    asyncio.run(_end(config_of(config_file, state_dir, "operator"), session, sub, as_json=as_json))


async def _end(config: Config, session: str, sub: str | None, *, as_json: bool) -> None:
    async with _store(config) as store:
        key, record = await store.find(session, sub)
        await store.end(key)
    owner = record.owner
    if as_json:
        click.echo(json.dumps({"key": key, "session": owner.session, "sub": owner.subject, "ended": True}))
    else:
        click.echo(f"ended {owner.session} of {owner.subject}")

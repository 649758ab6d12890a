"""Shell: `tidewire epoch`: which epoch of the stream is served, and a new one when an operator knows it is over."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.commands import options
from gateway.commands.upstream import config_of, connected
from gateway.config import Config
from mesh.api import Api, ApiError, StreamInfo
from mesh.epoch import EPOCH_KEY, Epoch, decode_epoch
from mesh.epochs import Epochs
from mesh.kv import Bucket
from security.errors import TidewireError, UpstreamUnavailable


@click.group("epoch", epilog=options.example("tidewire epoch show", "tidewire epoch new"))
def command() -> None:
    """Tell clients that the stream is not what it was, when the servers cannot know it.

    Gateways notice by themselves that the stream lost its newest events. They cannot when the cursor bucket was put
    back to the same older state, as with a copy of a server's whole store.
    """


@command.command("show", epilog=options.example("tidewire epoch show --json"))
@options.optional_config_file
@options.as_json
@options.state_dir
def show(*, config_file: Path | None, as_json: bool, state_dir: Path) -> None:
    """Show the epoch that is kept, and the newest event that a gateway is known to have read."""
    asyncio.run(_show(config_of(config_file, state_dir, "operator"), as_json=as_json))


async def _show(config: Config, *, as_json: bool) -> None:
    async with connected(config, "tidewire epoch") as link:
        entry, _ = await Bucket(link, Api(link), config.cursors.bucket).get_from_leader(EPOCH_KEY)
    epoch = decode_epoch(entry.value) if entry is not None else None
    if epoch is None:
        raise TidewireError("no epoch has begun; the first gateway that reads the stream begins one")
    _tell(config, epoch, as_json=as_json)


@command.command("new", epilog=options.example("tidewire epoch new"))
@options.optional_config_file
@options.as_json
@options.state_dir
def new(*, config_file: Path | None, as_json: bool, state_dir: Path) -> None:
    """Begin a new epoch: every session is told a gap (`stream_replaced`), and gets all that the stream holds."""
    asyncio.run(_new(config_of(config_file, state_dir, "operator"), as_json=as_json))


async def _new(config: Config, *, as_json: bool) -> None:
    async with connected(config, "tidewire epoch") as link:
        api = Api(link)
        info = await _state(api, config)
        epoch = await Epochs(link, Bucket(link, api, config.cursors.bucket)).begin(info.created)
        await _state(api, config)  # answered behind the announcement: that has left, then
    _tell(config, epoch, as_json=as_json)


async def _state(api: Api, config: Config) -> StreamInfo:
    info = await api.stream_info(config.stream.name)
    if isinstance(info, ApiError):
        raise UpstreamUnavailable(f"stream {config.stream.name}: {info.description}")
    return info


def _tell(config: Config, epoch: Epoch, *, as_json: bool) -> None:
    began = datetime.fromtimestamp(epoch.began_ns / 1e9, UTC).isoformat(timespec="seconds")
    told = {
        "stream": epoch.identity(config.stream.name),
        "began": began,
        "read": epoch.witness.seq if epoch.witness is not None else None,
    }
    if as_json:
        click.echo(json.dumps(told))
        return
    for name, value in told.items():
        click.echo(f"{name:8} {'-' if value is None else value}")

"""Shell: `tidewire provision`: the streams and buckets of a configuration, compared with NATS, and made so."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.commands import options
from gateway.commands.upstream import config_of, connected
from gateway.config import Config, Nats
from gateway.exits import PlanRefused
from gateway.settings import topology
from mesh.api import Api
from mesh.embedded import USERS
from mesh.provision import provision, read
from mesh.topology import Config as StreamConfig
from mesh.topology import Create, Keep, Plan, Refuse, Step, Topology, Update, plan
from security.errors import ConfigurationError, UpstreamUnavailable

OPERATOR = "operator"
"""The NATS user of nats.conf that may make and change streams."""
MAY_IT = "if NATS is there, this NATS user may not change streams (it is told nothing): sign in as the operator"
ANSWER_S = 5.0
"""Seconds to wait for one answer of NATS."""
WITHIN_S = 10.0
"""Seconds a step may take, with what is tried again while a young cluster has no leader."""

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "provision",
    epilog=options.example(
        "tidewire provision --config tidewire.toml --user operator --password-file op.password",
        "tidewire provision --config tidewire.toml --credentials op.creds --apply",
    ),
)
@options.optional_config_file
@click.option("--apply", "is_applied", is_flag=True, help="Do what the plan says; without it nothing is changed.")
@click.option("--allow-loss", is_flag=True, help="Allow changes that delete events or store fewer copies of them.")
@click.option("--user", help="NATS user that may change streams; needs --password-file.  [default: as [nats] says]")
@click.option("--password-file", type=_FILE, metavar="FILE", help="File with the user's password, for its owner only.")
@click.option("--credentials", type=_FILE, metavar="FILE", help="NATS credentials instead of --user.")
@click.option(
    "--inbox-prefix",
    default=USERS[OPERATOR],
    show_default=True,
    help="Where answers to --user or --credentials come.",
)
@options.as_json
@options.state_dir
def command(
    *,
    config_file: Path | None,
    is_applied: bool,
    allow_loss: bool,
    user: str | None,
    password_file: Path | None,
    credentials: Path | None,
    inbox_prefix: str,
    as_json: bool,
    state_dir: Path,
) -> None:
    """Show what NATS needs to have the streams and buckets of a configuration; with --apply, do it.

    A plan that would delete stored events, or cannot be done on a living stream, is refused with exit code 3, and
    nothing is changed. A second --apply finds nothing to do.

    With --json there is one line for each stream: its step (create, update, keep or refuse) and its changes, in the
    units of the NATS API (durations in nanoseconds).
    """
    config = config_of(config_file, state_dir, OPERATOR)
    config = msgspec.structs.replace(
        config, nats=_as_operator(config.nats, user, password_file, credentials, inbox_prefix)
    )
    asyncio.run(_provision(config, is_applied=is_applied, allow_loss=allow_loss, as_json=as_json))


def _as_operator(
    nats: Nats, user: str | None, password_file: Path | None, credentials: Path | None, inbox_prefix: str
) -> Nats:
    """``[nats]`` with the NATS user of the command line, where it names one."""
    if (user is None) != (password_file is None):
        raise click.UsageError("--user and --password-file: both or neither")
    if user is not None and credentials is not None:
        raise click.UsageError("--user and --credentials: choose one")
    for option, path in (("--password-file", password_file), ("--credentials", credentials)):
        if path is not None and not path.is_file():
            raise ConfigurationError(f"{option}: {path} is no file; check the path")
    if user is None and credentials is None:
        return nats
    return msgspec.structs.replace(
        nats,
        user=user,
        password_file=str(password_file) if password_file is not None else None,
        credentials_file=str(credentials) if credentials is not None else None,
        inbox_prefix=inbox_prefix,
    )


async def _provision(config: Config, *, is_applied: bool, allow_loss: bool, as_json: bool) -> None:
    wanted = topology(config)
    async with connected(config, "tidewire provision") as link:
        api = Api(link, timeout_s=ANSWER_S)
        existing = await read(api, wanted, within_s=WITHIN_S)
        made = plan(wanted, existing, allow_loss=allow_loss)
        _show(made, as_json=as_json)
        if made.is_refused:
            raise PlanRefused(_refusal(made, wanted, existing))
        if is_applied:
            try:
                await provision(api, wanted, allow_loss=allow_loss, within_s=WITHIN_S)
            except UpstreamUnavailable as error:
                raise UpstreamUnavailable(f"{error}; {MAY_IT}") from None
    if not as_json:
        click.echo(_ending(made, is_applied=is_applied))


def _show(made: Plan, *, as_json: bool) -> None:
    if not as_json:
        click.echo(made.text())
        return
    for step in made.steps:
        click.echo(json.dumps(_told(step)))


def _told(step: Step) -> dict[str, Any]:
    """One step, with stable names."""
    match step:
        case Create(config):
            return {"stream": config["name"], "step": "create", "config": config}
        case Update(config, changes):
            return {"stream": config["name"], "step": "update", "changes": msgspec.to_builtins(changes)}
        case Refuse(name, changes):
            return {"stream": name, "step": "refuse", "changes": msgspec.to_builtins(changes)}
        case Keep(name):
            return {"stream": name, "step": "keep"}


def _refusal(made: Plan, wanted: Topology, existing: Mapping[str, StreamConfig]) -> str:
    """Each refused change with its reason, a line each, and whether anything lets it pass."""
    refused = [
        f"{step.name} {change.field}: {change.refused}"
        for step in made.steps
        if isinstance(step, Refuse)
        for change in step.changes
        if change.refused is not None
    ]
    would_pass = not plan(wanted, existing, allow_loss=True).is_refused
    remedy = "--allow-loss lets it pass" if would_pass else "change the configuration, or make a new stream"
    return "\n".join([*refused, f"refused, nothing was changed; {remedy}"])


def _ending(made: Plan, *, is_applied: bool) -> str:
    if made.is_done:
        return "everything is as wanted"
    return "applied" if is_applied else "nothing was changed; --apply does it"

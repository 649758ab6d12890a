"""Shell: `tidewire up`."""

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click

from gateway import logs
from gateway.commands import options
from gateway.config import Log
from gateway.shop import CUSTOMERS
from gateway.signals import stop_on_signals, until_stopped
from gateway.state_folder import Running, StateFolder, one_line
from gateway.up import Wanted, up

Level = Literal["debug", "info", "warning", "error"]
Ready = Callable[[Running], None]


@click.command("up", epilog=options.example("tidewire up", "tidewire up --port 0 --nats-port 0 --demo-port 0 --json"))
@click.option("--port", type=click.IntRange(0, 65_535), default=8_443, show_default=True, help="For clients; 0: any.")
@click.option("--nats-port", type=click.IntRange(0, 65_535), default=4_222, show_default=True, help="For NATS; 0: any.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Gateway processes.")
@click.option(
    "--demo-port",
    type=click.IntRange(0, 65_535),
    default=8_444,
    show_default=True,
    help="For the demo page, https://localhost:8444/; 0: any.",
)
@click.option("--no-demo", is_flag=True, help="No demo page.")
@click.option("--no-shop", is_flag=True, help="Publish nothing.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What is logged to standard error.",
)
@options.as_json
@options.state_dir
def command(
    *,
    port: int,
    nats_port: int,
    workers: int,
    demo_port: int,
    no_demo: bool,
    no_shop: bool,
    log_level: Level,
    as_json: bool,
    state_dir: Path,
) -> None:
    """Run everything on this machine: nats-server, the gateway with TLS, a small shop and the page of a customer.

    Keys, certificates and all data are kept in the state folder; starting again continues there. SIGTERM and Ctrl-C
    drain and leave no process behind. With --json one line says where everything is; it holds passwords.
    """
    wanted = Wanted(
        port=port,
        nats_port=nats_port,
        workers=workers,
        demo_port=None if no_demo else demo_port,
        shop=not no_shop,
        log=Log(level=log_level),
    )
    logs.start(log_level, "text")
    folder = StateFolder(state_dir).hold()

    def ready(running: Running) -> None:
        click.echo(one_line(running) if as_json else _told(running, state_dir, has_shop=wanted.shop))

    try:
        asyncio.run(_up(folder, wanted, ready_told=ready, is_quiet=as_json))
    finally:
        folder.release()


async def _up(folder: StateFolder, wanted: Wanted, *, ready_told: Ready, is_quiet: bool) -> None:
    stop = stop_on_signals()
    if not is_quiet:
        click.echo("starting nats-server and the gateway ...", err=True)
    await until_stopped(lambda: asyncio.create_task(up(folder, wanted, ready_told)), stop)
    if not is_quiet:
        click.echo("stopped; `tidewire up` goes on with the same data", err=True)


def _told(running: Running, state_dir: Path, *, has_shop: bool) -> str:
    """What a person does next."""
    program = _program()
    folder = "" if str(state_dir) == ".tidewire" else f" --state-dir {shlex.quote(str(state_dir))}"
    customer = CUSTOMERS[0].name
    keys = f" --keys {shlex.quote(_short(StateFolder(state_dir).device_keys(customer)))}" if has_shop else ""
    state = shlex.quote(_short(StateFolder(state_dir).path / f"phone-{customer}.json"))
    ca = shlex.quote(_short(Path(running.ca)))
    lines = []
    if running.page is not None:
        lines += [
            f"Open {running.page} and be customer {customer} in a browser.",
            f"It will warn once, for the certificate is this machine's own: go on, or let it trust {ca} first.",
            "",
        ]
    lines += [
        f"Tidewire runs at {running.url} (Ctrl-C stops it).",
        "",
        f"In another terminal, be the phone of customer {customer}:",
        "",
        f"  {program} listen 'orders.{customer}.>' --session phone --url {running.url} --ca {ca} \\",
        f'    --token "$({program} token --sub {customer}{folder})" --state {state}{keys}',
        "",
        "Then try:",
        "  - stop it with Ctrl-C, wait a little, start it again: what was missed comes first, then it is live",
        f"  - who is parked, and how far behind:  {program} sessions list{folder}",
        "  - an event of your own:",
        f'      {program} publish orders.{customer}.mine \'{{"order": "mine", "status": "placed"}}\'{folder}',
    ]
    if has_shop:
        lines.append("  - leave --keys out: address and phone stay sealed")
    else:
        lines.append("The shop is closed (--no-shop): nothing is published but what you publish.")
    return "\n".join(lines)


def _program() -> str:
    """How this program is called from here."""
    if shutil.which("tidewire") is not None:
        return "tidewire"
    beside = Path(sys.executable).with_name("tidewire")
    return shlex.quote(_short(beside)) if beside.exists() else f"{shlex.quote(_short(Path(sys.executable)))} -m gateway"


def _short(path: Path) -> str:
    """The path as seen from the current folder, when that is below."""
    here = os.path.relpath(path)
    return str(path) if here.startswith("..") else here

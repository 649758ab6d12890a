"""Shell: `tidewire serve`."""

import asyncio
import logging
import signal
from functools import partial
from pathlib import Path

import click

from gateway import logs
from gateway.commands import options
from gateway.config_file import load
from gateway.named_files import named_files
from gateway.signals import stop_on_signals, until_stopped
from gateway.supervisor import Supervisor
from security.errors import ConfigurationError

log = logging.getLogger(__name__)


@click.command("serve", epilog=options.example("tidewire serve --config /etc/tidewire/gateway.toml --workers 2"))
@options.config_file
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes on the one port.")
def command(*, config_file: Path, workers: int) -> None:
    """Run the gateway against the NATS servers of a configuration, until SIGTERM or Ctrl-C; then drain.

    A worker that dies is started again. A renewed certificate is taken up from its file while sockets are open.
    """
    config = load(config_file)
    problems = list(named_files(config))
    if problems:
        raise ConfigurationError("\n".join(problems))
    logs.start(config.log.level, config.log.format)
    asyncio.run(_serve(Supervisor(config, config_file, workers)))


async def _serve(supervisor: Supervisor) -> None:
    stop = stop_on_signals(on_hangup=partial(supervisor.signal, signal.SIGHUP))
    if await until_stopped(lambda: asyncio.create_task(supervisor.start()), stop):
        log.info("ready", extra={"host": supervisor.host, "port": supervisor.port, "workers": len(supervisor.pids())})
        await stop.wait()
        log.info("draining")
    await supervisor.stop()

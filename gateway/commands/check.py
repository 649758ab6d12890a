"""Shell: `tidewire check`."""

from pathlib import Path

import click

from gateway.commands import options
from gateway.config_file import load
from gateway.config_text import effective
from gateway.named_files import named_files
from security.errors import ConfigurationError


@click.command("check", epilog=options.example("tidewire check --config /etc/tidewire/gateway.toml"))
@options.config_file
def command(*, config_file: Path) -> None:
    """Print the effective configuration without secrets; name everything that is wrong with it, by path.

    Nothing is started and no server is asked. Exit code 2 when something is wrong.
    """
    config = load(config_file)
    click.echo(effective(config), nl=False)
    problems = list(named_files(config))
    if problems:
        raise ConfigurationError("\n".join(problems))

"""Shell: options that several commands share."""

from pathlib import Path

import click


def example(*lines: str) -> str:
    """The last part of a command's help: lines to paste, kept as they are."""
    return "\n".join(["\b", "Example:", *(f"  {line}" for line in lines)])


state_dir = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".tidewire"),
    show_default=True,
    envvar="TIDEWIRE_STATE_DIR",
    show_envvar=True,
    help="Folder in which `tidewire up` keeps everything.",
)
"""``state_dir: Path``."""

config_file = click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Configuration (TOML).",
)
"""``config_file: Path``."""

optional_config_file = click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Configuration (TOML) whose [nats] to use.  [default: tidewire up's]",
)
"""``config_file: Path | None``."""

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
"""``as_json: bool``."""

"""Shell: `tidewire token`."""

import re
import time
from pathlib import Path

import click
import msgspec

from gateway.commands import options
from gateway.state_folder import StateFolder
from security.development import DevelopmentState

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class _Duration(click.ParamType[int]):
    """`90s`, `15m`, `1h`, `1d`: seconds."""

    name = "duration"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", str(value))
        if found is None:
            self.fail("must be a number with s, m, h or d, as 15m", param, ctx)
        return int(found[1]) * _SECONDS[found[2] or "s"]


@click.command(
    "token",
    epilog=options.example(
        "tidewire token --sub c42", 'tidewire token --sub desk --claim \'tidewire={"read": ["orders.>"]}\''
    ),
)
@click.option("--sub", required=True, help="Whose token: 1 to 128 of A-Za-z0-9_-. May read orders.SUB.>")
@click.option("--ttl", type=_Duration(), default="1h", show_default=True, help="How long it is valid, at most 24h.")
@click.option("--session", help="Its `sid`: the sign-in that it belongs to.")
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="A further claim; JSON, or else a text.")
@options.state_dir
def command(*, sub: str, ttl: int, session: str | None, claims: tuple[str, ...], state_dir: Path) -> None:
    """Print a token from the development issuer in the state folder, for gateways in profile development."""
    for name, value in (("--sub", sub), ("--session", session)):
        if value is not None and re.fullmatch(r"[A-Za-z0-9_-]{1,128}", value) is None:
            raise click.UsageError(f"{name} must be 1 to 128 of A-Za-z0-9_-")
    further = dict(_claim(text) for text in claims)
    if session is not None:
        further["sid"] = session
    state = DevelopmentState(StateFolder(state_dir).development)
    state.prepare(time.time())
    click.echo(state.mint(sub, ttl, time.time(), further))


def _claim(text: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise click.UsageError(f"--claim must be NAME=VALUE; is {text}")
    try:
        return name, msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return name, value

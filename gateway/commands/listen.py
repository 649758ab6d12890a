"""Shell: `tidewire listen`: a client like any other, on the Python SDK."""

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import click
from tidewire_client import (
    Client,
    ClientError,
    ClientStopped,
    Event,
    FileState,
    Forbidden,
    GapFrame,
    MemoryState,
    ProtocolError,
)
from tidewire_client.keys import DeviceKeys

from gateway.commands import options
from gateway.config_file import read_secret
from gateway.exits import RefusedByGateway
from gateway.signals import stop_on_signals, until_stopped
from gateway.state_folder import StateFolder
from security.errors import ConfigurationError, TidewireError

_QUIET_TURNS = 250  # of 20 ms: `live` waits no longer for events to be printed, when they never pause
_DEFAULT_URL = "wss://127.0.0.1:8443/v1/session"


@click.command(
    "listen",
    epilog=options.example("tidewire listen 'orders.c42.>' --session phone --token \"$(tidewire token --sub c42)\""),
)
@click.argument("patterns", nargs=-1, required=True, metavar="SUBJECT...")
@click.option("--token", required=True, envvar="TIDEWIRE_TOKEN", show_envvar=True, help="A token, or @FILE.")
@click.option("--session", required=True, help="Name of this device's session: 1 to 64 of A-Za-z0-9_-.")
@click.option("--url", help=f"The gateway.  [default: tidewire up's, else {_DEFAULT_URL}]")
@click.option("--ca", help="File of the authority to trust.  [default: tidewire up's, else the system's]")
@click.option(
    "--state",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Position.  [default: at the gateway only]",
)
@click.option("--keys", type=click.Path(dir_okay=False), metavar="FILE", help="Keys that open sealed fields.")
@options.as_json
@options.state_dir
def command(
    *,
    patterns: tuple[str, ...],
    token: str,
    session: str,
    url: str | None,
    ca: str | None,
    state: str | None,
    keys: str | None,
    as_json: bool,
    state_dir: Path,
) -> None:
    """Print the events of some subjects as they come, first those that were missed since this session last listened.

    A printed event counts as processed. Stop it with Ctrl-C, wait, start it again: nothing is lost in between.
    """
    running = StateFolder(state_dir).running()
    if token.startswith("@"):
        token = read_secret(Path(token[1:]), "--token")
    if url is None:
        url = running.url if running else _DEFAULT_URL
    if ca is None and running is not None and url == running.url:
        ca = running.ca
    printer = _Printer(as_json=as_json)
    try:
        client = Client(
            url,
            token=token,
            session=session,
            ca=ca,
            state=FileState(state) if state else MemoryState(),
            keys=DeviceKeys.from_file(keys) if keys else None,
            on_gap=printer.gap,
            on_live=printer.live,
            on_state=printer.state,
            on_error=printer.error,
        )
        asyncio.run(_listen(client, patterns, printer))
    except ProtocolError as error:
        raise TidewireError(str(error)) from error
    except ClientStopped as error:
        subjects = f": {', '.join(error.subjects)}" if isinstance(error, Forbidden) and error.subjects else ""
        raise RefusedByGateway(f"{error}{subjects}") from error
    except (ClientError, ValueError, FileNotFoundError) as error:
        raise ConfigurationError(str(error)) from error


async def _listen(client: Client, patterns: tuple[str, ...], printer: "_Printer") -> None:
    stop = stop_on_signals()

    async def listen() -> None:
        async with client:
            async for event in client.subscribe(*patterns):
                printer.event(event)
                await event.ack()  # printed is processed, also when Ctrl-C comes before the next one

    await until_stopped(lambda: asyncio.create_task(listen()), stop)


class _Printer:
    """Events, gaps and `live` on standard output; how the connection does on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.printed = 0
        """Events so far."""

    def event(self, event: Event) -> None:
        self.printed += 1
        data = event.data
        if self._as_json:
            content = {"data_b64": base64.b64encode(data).decode()} if isinstance(data, bytes) else {"data": data}
            found = {
                "seq": event.seq,
                "subject": event.subject,
                "time": event.time,
                "replay": event.replay,
                "id": event.id,
            }
            self._line("event", found | content | {"opened": event.opened, "shut": event.shut})
            return
        missed = click.style("  missed", fg="yellow") if event.replay else ""
        sealed = click.style(f"  sealed: {', '.join(event.shut)}", fg="cyan") if event.shut else ""
        click.echo(f"{event.seq:>8}  {event.time[11:19]}  {_plain(event.subject)}  {_short(data)}{sealed}{missed}")

    def gap(self, gap: GapFrame) -> None:
        if self._as_json:
            self._line("gap", {"after": gap.after, "before": gap.before, "reason": gap.reason})
        else:
            told = f"gap: events after {gap.after} and before {gap.before} may be lost ({_plain(str(gap.reason))})"
            click.secho(told, fg="red")

    async def live(self, seq: int) -> None:
        """Said once the events before it are printed: the SDK tells of it when they have been received."""
        for _ in range(_QUIET_TURNS):
            printed = self.printed
            await asyncio.sleep(0.02)
            if printed == self.printed:
                break
        if self._as_json:
            self._line("live", {"seq": seq})
        else:
            click.secho(f"live, up to {seq}", fg="green", err=True)

    def state(self, state: str) -> None:
        if not self._as_json and state in {"connecting", "waiting"}:
            click.secho(state, dim=True, err=True)

    def error(self, error: ClientError) -> None:
        click.secho(f"tidewire: {_plain(str(error))}", err=True)

    def _line(self, kind: str, found: dict[str, Any]) -> None:
        click.echo(json.dumps({"type": kind, **found}))


def _short(data: object) -> str:
    if isinstance(data, bytes):
        return _plain(repr(data[:64])) + (f" and {len(data) - 64:,} bytes" if len(data) > 64 else "")
    if isinstance(data, dict):
        data = {name: value for name, value in data.items() if name != "$sealed"}
    return _plain(json.dumps(data, ensure_ascii=False))


def _plain(text: str) -> str:
    """Without control and direction characters: what a publisher wrote must not drive the terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", "\ufffd", text)

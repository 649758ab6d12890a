"""Shell: the command `tidewire`. It knows the commands' names, how errors are told, and which exit code each has.

A command's module is imported when it is called, so that ``--help`` is quick and a broken environment breaks one
command.
"""

import importlib
import logging
import sys
from collections.abc import Sequence

import click

from gateway.exits import Exit, exit_code
from security.errors import TidewireError

COMMANDS = {
    "up": "Everything on this machine: nats-server, gateway, shop and page.",
    "serve": "The gateway alone, against your NATS servers.",
    "check": "The effective configuration, and what is wrong with it.",
    "token": "A token from the development issuer.",
    "listen": "A client: print events, and what was missed.",
    "publish": "Publish events, sealing declared fields.",
    "sessions": "List, show or end sessions.",
    "epoch": "After a restore: tell every client that the stream is another one.",
    "provision": "The streams and buckets in NATS: what to change, and the change.",
}
"""Each command and what it is for. Its module is ``gateway.commands.NAME``, its click command ``command`` there."""
CLIENT = "tidewire_client"
"""What one of them needs and a gateway does not: a package of its own."""


class _Commands(click.Group):
    """Finds commands by name; lists them without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            found = importlib.import_module(f"gateway.commands.{cmd_name}").command
        except ModuleNotFoundError as error:
            if error.name != CLIENT:
                raise
            raise click.UsageError(f"{cmd_name} is a client: install the package in clients/python, too") from None
        assert isinstance(found, click.Command), "each module of gateway.commands has a command"
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_EXAMPLE = """\b
Start everything on this machine, then listen as a customer of the shop (two terminals):
  tidewire up
  tidewire listen 'orders.c42.>' --session phone --token "$(tidewire token --sub c42)"
"""


@click.group(cls=_Commands, epilog=_EXAMPLE, context_settings=_SETTINGS)
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
@click.version_option(package_name="tidewire", message="%(prog)s %(version)s")
def command(*, debug: bool) -> None:
    """Durable replay from NATS JetStream to clients that come and go.

    Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused, 4 upstream unreachable.
    """
    del debug  # read by main, which tells errors


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, with one line on standard error that says why when it is not 0."""
    if not __debug__:
        sys.stderr.write("tidewire: python runs with -O, which strips assertions that guard delivery; run without it\n")
        return Exit.USAGE
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given[:1]
    try:
        result = command.main(given, prog_name="tidewire", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return Exit.DONE
    except TidewireError as error:
        if debug:
            raise
        return _told(str(error), exit_code(error))
    except BrokenPipeError:  # who read our output has gone, as `head` does
        sys.stderr.close()
        return Exit.DONE
    except Exception as error:  # the top of the process: one line for a person, the rest with --debug
        if debug:
            raise
        logging.getLogger(__name__).debug("command failed", exc_info=True)
        return _told(f"internal fault ({type(error).__name__}); run tidewire --debug COMMAND to see where", Exit.FAILED)
    return result if isinstance(result, int) else Exit.DONE


def _told(message: str, code: Exit) -> Exit:
    """Say why on standard error; a message of several lines names several problems."""
    for line in message.split("\n"):
        click.echo(click.style("tidewire: ", fg="red") + line, err=True)
    return code

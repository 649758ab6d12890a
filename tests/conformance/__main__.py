"""Shell: the command ``python -m tests.conformance``: tries a gateway, prints a line per scenario."""
# ruff: noqa: T201 (it is a command)

import argparse
import asyncio
import contextlib
import json
import shlex
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tests.conformance import frame_vectors
from tests.conformance.connection import Closed, Connection, Target
from tests.conformance.encoding import JSON, MSGPACK, Deviation
from tests.conformance.play import Stage, encodings, needs, play
from tests.conformance.publishing import Publisher, publisher

VECTORS = Path(__file__).parents[1] / "vectors"
WIRE: dict[str, Any] = json.loads((VECTORS / "gateway_wire.json").read_text(encoding="utf-8"))
FRAMES: dict[str, Any] = json.loads((VECTORS / "frames.json").read_text(encoding="utf-8"))
EXAMPLE = """example, against `make up` of this repository:
  .venv/bin/python -m tests.conformance wss://127.0.0.1:8443/v1/session --ca CA_FILE \\
      --token-command ".venv/bin/tidewire token --sub c42" --subject-prefix orders.c42 \\
      --nats @FILE_WITH_THE_ADDRESS --nats-inbox _INBOX_pub

The token must permit to read SUBJECT_PREFIX.>, and the stream must take what is published there. Every run leaves
sessions behind, named conformance-...: try a gateway that nobody needs. Exit code 0: nothing deviates; 1: something
does, or nothing could be tried."""
REASONS = {
    "publisher": "publishes: give --nats",
    "other-token": "give --other-token-file",
    "short-token": "give --short-token-command",
    "time": "give --slow",
    "limits": "give --limits",
}


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found out about one scenario in one encoding."""

    scenario: str
    encoding: str
    status: str
    clauses: list[str]
    seconds: float = 0.0
    why: str = ""

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return f"{self.status:8}{self.encoding:8} {self.scenario}  ({', '.join(self.clauses)}){why}"


class Play(msgspec.Struct, frozen=True):
    """One scenario, or one part of the frame vectors, in one encoding."""

    name: str
    encoding: str
    clauses: list[str]
    scenario: dict[str, Any] | None
    """None: frame vectors."""

    @property
    def needs(self) -> list[str]:
        """What it cannot do without."""
        return [] if self.scenario is None else needs(self.scenario)


def plays(only: list[str], encoding: str | None = None) -> list[Play]:
    """Everything there is, or that whose name begins with one of ``only``, or that of one encoding."""
    found = [
        Play(scenario["name"], encoding, scenario["clauses"], scenario)
        for scenario in WIRE["scenarios"]
        for encoding in encodings(scenario)
    ]
    found += [
        Play(f"frame vectors, {part}: {says}", encoding, frame_vectors.clauses(FRAMES, part), None)
        for part, says in frame_vectors.PARTS.items()
        for encoding in (JSON, MSGPACK)
    ]
    chosen = [each for each in found if not only or each.name.startswith(tuple(only))]
    return [each for each in chosen if encoding in (None, each.encoding)]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description="Try a gateway against the session protocol, docs/protocol.md.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("url", nargs="?", metavar="URL", help="where the gateway is: wss://HOST/v1/session")
    token = made.add_mutually_exclusive_group()
    token.add_argument("--token-file", type=Path, metavar="FILE", help="file with a good token")
    token.add_argument("--token-command", metavar="COMMAND", help="command that prints one, without a shell")
    made.add_argument("--other-token-file", type=Path, metavar="FILE", help="file with a token of another principal")
    made.add_argument("--short-token-command", metavar="COMMAND", help="command for one that ends within a minute")
    made.add_argument("--ca", type=Path, metavar="FILE", help="certificates to trust; default: the system's")
    made.add_argument(
        "--subject-prefix", default="orders.c42", metavar="SUBJECT", help="what the token may read below (%(default)s)"
    )
    made.add_argument("--nats", metavar="URL", help="where to publish; @FILE reads the URL from a file")
    made.add_argument("--nats-inbox", default="_INBOX", metavar="PREFIX", help="the publisher's inbox (%(default)s)")
    made.add_argument("--only", action="append", default=[], metavar="NAME", help="scenarios whose names begin so")
    made.add_argument("--encoding", choices=(JSON, MSGPACK), help="only this one")
    made.add_argument("--limits", action="store_true", help="also those about the default limits of the page (P7.1)")
    made.add_argument("--slow", action="store_true", help="also those about time: they take as long as the page says")
    made.add_argument(
        "--pace", type=float, default=15.0, metavar="N", help="connections a second, 0: any (%(default)g)"
    )
    made.add_argument("--jobs", type=int, default=1, metavar="N", help="scenarios at once (%(default)s)")
    made.add_argument("--patience", type=float, default=5.0, metavar="S", help="seconds to wait (%(default)g)")
    made.add_argument("--json", action="store_true", help="a JSON object per line instead of a text")
    made.add_argument("--list", action="store_true", help="print the scenarios and what they need, and try nothing")
    return made


async def tried(options: argparse.Namespace, token: str, show: Any) -> list[Line]:
    """Try everything that was asked for, in order; ``show`` gets each line as it is known."""
    lines: list[Line] = []
    places = asyncio.Semaphore(options.jobs)
    wanted = plays(options.only, options.encoding)
    together = [each for each in wanted if "limits" not in each.needs]
    alone = [each for each in wanted if "limits" in each.needs]  # they count what others of the principal do
    async with stage_for(options, token) as stage:
        await greet(stage)
        for some in (together, *([each] for each in alone)):
            async with asyncio.TaskGroup() as group:
                for trying in [group.create_task(try_one(stage, each, options, places)) for each in some]:
                    lines.append(await trying)
                    show(lines[-1])
    return lines


async def try_one(stage: Stage, each: Play, options: argparse.Namespace, places: asyncio.Semaphore) -> Line:
    """Play it when there is a place, and tell how it went."""
    missing = [what for what in each.needs if what not in given(options)]
    if missing:
        why = ", ".join(REASONS[what] for what in missing)
        return Line(each.name, each.encoding, "skipped", each.clauses, why=why)
    why = ""
    async with places:
        begun = time.monotonic()
        try:
            if each.scenario is None:
                part = each.name.removeprefix("frame vectors, ").partition(":")[0]
                await frame_vectors.play_part(stage, FRAMES, part, each.encoding)
            else:
                await play(stage, each.scenario, each.encoding)
        except Deviation as deviation:
            why = str(deviation)
    took_s = round(time.monotonic() - begun, 3)
    return Line(each.name, each.encoding, "failed" if why else "ok", each.clauses, took_s, why)


async def greet(stage: Stage) -> None:
    """See that there is a gateway which lets us in; raises ``Deviation`` with what to look at when not."""
    world = stage.world(JSON)
    connection = Connection("a", stage.target, world)
    try:
        status = await connection.open()
        if status != 101:
            raise Deviation(f"the upgrade was answered with HTTP {status}")
        connect = {"type": "connect", "token": stage.token, "session": world.texts["session"]}
        await connection.send(connect | {"subscribe": [f"{stage.prefix}.>"]})
        await connection.frame()
    except Closed as end:
        hint = {4501: "look at the token", 4503: "look at --subject-prefix and what the token permits"}
        raise Deviation(f"the gateway {end}: {hint.get(end.code, 'is it ready?')}") from None
    finally:
        await connection.leave()


def given(options: argparse.Namespace) -> set[str]:
    """Which needs are met."""
    found = {"publisher"} if options.nats else set()
    found |= {"other-token"} if options.other_token_file else set()
    found |= {"short-token"} if options.short_token_command else set()
    found |= {"time"} if options.slow else set()
    return found | ({"limits"} if options.limits else set())


@contextlib.asynccontextmanager
async def stage_for(options: argparse.Namespace, token: str) -> AsyncIterator[Stage]:
    """What the scenarios share; raises ``Deviation`` when it cannot be had."""
    try:
        tls = ssl.create_default_context(cafile=options.ca) if options.url.startswith("wss:") else None
    except OSError as failure:
        raise Deviation(f"{options.ca}: {failure}") from None
    target = Target(options.url, tls, options.patience, WIRE["frames"], WIRE["reasons"])
    other = read(options.other_token_file) if options.other_token_file else None
    due_s = 0.0

    async def pace() -> None:
        nonlocal due_s
        now_s = time.monotonic()
        due_s = max(due_s, now_s) + (1 / options.pace if options.pace else 0.0)
        await asyncio.sleep(max(0.0, due_s - now_s) if options.pace else 0.0)

    async with contextlib.AsyncExitStack() as stack:
        publish: Publisher | None = None
        if options.nats:
            url = read(Path(options.nats[1:])) if options.nats.startswith("@") else options.nats
            publish = await stack.enter_async_context(publisher(url, options.nats_inbox, options.ca))
        yield Stage(
            target=target,
            document=WIRE,
            token=token,
            other_token=other,
            short_token=partial(printed, options.short_token_command) if options.short_token_command else None,
            prefix=options.subject_prefix,
            publish=publish,
            pace=pace,
        )


def read(path: Path) -> str:
    """A file's text; raises ``Deviation`` for one that cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as failure:
        raise Deviation(f"{path}: {failure}") from None


def token_of(options: argparse.Namespace) -> str:
    """The token; raises ``Deviation`` when it cannot be had."""
    if options.token_file:
        return read(options.token_file)
    return printed(options.token_command)


def printed(command: str) -> str:
    """What a command prints; raises ``Deviation`` when it fails."""
    try:
        made = subprocess.run(shlex.split(command), check=True, capture_output=True, timeout=30, text=True)
    except (OSError, ValueError, subprocess.SubprocessError) as failure:
        raise Deviation(f"the command for a token: {failure}") from None
    return made.stdout.strip()


def listed(options: argparse.Namespace) -> None:
    """Print what there is."""
    for each in plays(options.only, options.encoding):
        need = each.needs
        if options.json:
            made = {"scenario": each.name, "encoding": each.encoding, "clauses": each.clauses, "needs": need}
            print(json.dumps(made))
        else:
            print(f"{each.encoding:8} {each.name}  ({', '.join(each.clauses)})" + (f" needs {need}" if need else ""))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    made = parser()
    options = made.parse_args(arguments)
    if not plays(options.only, options.encoding):
        made.error("no scenario has a name that begins so: see --list")
    if options.list:
        listed(options)
        return 0
    if not options.url or not (options.token_file or options.token_command):
        made.error("give URL and --token-file or --token-command, or --list")

    def show(line: Line) -> None:
        print(msgspec.json.encode(line).decode() if options.json else line, flush=True)

    try:
        lines = asyncio.run(tried(options, token_of(options), show))
    except Deviation as deviation:
        print(f"nothing could be tried: {deviation}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    counts = {status: sum(line.status == status for line in lines) for status in ("ok", "failed", "skipped")}
    print(json.dumps(counts) if options.json else ", ".join(f"{count} {status}" for status, count in counts.items()))
    return 0 if counts["ok"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())

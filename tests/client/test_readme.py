"""The examples of the READMEs, run as they are printed there, against a real gateway."""

import asyncio
import json
import os
import re
import sys
import textwrap
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import tidewire_client

from mesh.embedded import EmbeddedServer
from tests.gateways import Gateway, running_gateway
from tests.system.publishing import publish
from tests.until import until

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "clients" / "python" / "README.md"
# What the examples leave to the reader's program.
READER = """
import asyncio, os

url = os.environ["URL"]
show = print

def fetch_token():
    return os.environ["TOKEN"]

def reload_everything(gap):
    raise AssertionError(gap)
"""


def first_example(page: Path) -> str:
    """The first Python on a page."""
    found = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert found is not None
    return found[1]


def replaced(text: str, old: str, new: str) -> str:
    """The text with what is another for every reader put in; it must be there."""
    assert old in text, old
    return text.replace(old, new)


def stored(path: Path) -> int | None:
    """The sequence of the position in a file of ``FileState``; None while there is none."""
    if not path.exists():
        return None
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return int(document["position"]["seq"])


async def start(program: str, folder: Path, gateway: Gateway) -> Process:
    """Run a program in a folder; the authority of the development certificates is the machine's there."""
    reader = {"URL": gateway.url, "TOKEN": gateway.token("c42"), "SSL_CERT_FILE": str(gateway.state.ca)}
    environment = dict(os.environ) | reader | {"PYTHONUNBUFFERED": "1"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", program, cwd=folder, env=environment, stdout=PIPE
    )


async def lines(process: Process, count: int) -> list[str]:
    """The next lines that a program prints."""
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return [(await process.stdout.readline()).decode().rstrip("\n") for _ in range(count)]


async def kill(process: Process) -> None:
    """End a program at once, as the power does."""
    if process.returncode is None:
        process.kill()
    await process.wait()


async def check(program: str, folder: Path, state: Path, nats_server: EmbeddedServer, told: str) -> None:
    """Run a program, kill it, publish, run it again: it prints ``told`` of every event once."""
    async with running_gateway(nats_server, folder / "gateway") as gateway:
        process = await start(program, folder, gateway)
        try:
            await until(lambda: gateway.house.exchange.by_key or process.returncode is not None, 20)
            seqs = await publish(nats_server, "orders.c42.o7", 3)
            assert await lines(process, 3) == [told.format(seq=seq, n=n) for n, seq in enumerate(seqs)]
            await until(lambda: stored(state) == seqs[-1])
        finally:
            await kill(process)
        missed = await publish(nats_server, "orders.c42.o7", 2, start=3)
        process = await start(program, folder, gateway)
        try:
            assert await lines(process, 2) == [told.format(seq=seq, n=n) for n, seq in enumerate(missed, 3)]
        finally:
            await kill(process)


async def test_the_first_example_of_the_clients_readme_runs_and_resumes(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    example = replaced(first_example(README), '"wss://gateway.example/v1/session"', "url")
    program = READER + replaced(example, 'session="pixel-7"', 'session="readme-of-the-client"')
    await check(program, tmp_path, tmp_path / "pixel-7.json", nats_server, "{seq} orders.c42.o7 {{'n': {n}}}")


async def test_the_client_in_the_readme_of_the_house_runs_and_resumes(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    example = replaced(first_example(ROOT / "README.md"), 'session="pixel-7"', 'session="readme-of-the-house"')
    program = f"{READER}\nasync def main():\n{textwrap.indent(example, '    ')}\nasyncio.run(main())\n"
    await check(program, tmp_path, tmp_path / "position.json", nats_server, "{{'n': {n}}}")


def test_the_readme_tells_of_every_error_that_a_program_can_meet() -> None:
    section = README.read_text(encoding="utf-8").partition("## What is raised, what is told")[2].partition("\n## ")[0]
    errors = {
        name
        for name in tidewire_client.__all__
        if isinstance(kind := getattr(tidewire_client, name), type) and issubclass(kind, Exception)
    }
    roots = {"ClientError", "ClientStopped"}
    named = set(re.findall(r"`([A-Z]\w+)`", section))
    assert named == errors - roots - {"ClientClosed"}, "ClientClosed is the program's own doing"


def test_every_file_that_the_readme_names_is_there() -> None:
    section = README.read_text(encoding="utf-8").partition("## How it is built")[2]
    named = set(re.findall(r"`(\w+\.py)`", section))
    assert "reconnect.py" in named
    assert [name for name in named if not (README.parent / "tidewire_client" / name).exists()] == []

"""`tidewire listen` as a user runs it, and what it says when it is refused."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system.running_up import Up, publish, up

EVENTS = "orders.c42.>"


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    async with up(tmp_path_factory.mktemp("state"), "--no-shop") as found:
        yield found


async def listen(running: Up, *arguments: str) -> asyncio.subprocess.Process:
    command = ("-m", "gateway", "listen", *arguments, "--session", "phone", "--state-dir", running.told["state_dir"])
    return await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def lines(process: asyncio.subprocess.Process, until_type: str, count: int = 1) -> list[dict[str, object]]:
    """Its lines of JSON up to so many of one type; then it is told to stop, and ends well."""
    assert process.stdout is not None
    found: list[dict[str, object]] = []
    async with asyncio.timeout(20):
        while len([line for line in found if line["type"] == until_type]) < count:
            line = await process.stdout.readline()
            assert line, "it ended by itself"
            found.append(json.loads(line))
        process.terminate()
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return found


async def test_what_was_missed_comes_first_then_it_says_live(running: Up, tmp_path: Path) -> None:
    options = (EVENTS, "--token", running.token(), "--json", "--state", str(tmp_path / "position"))
    assert [line["type"] for line in await lines(await listen(running, *options), "live")] == ["live"]
    missed = [await publish(running, f"o{number}") for number in range(3)]
    found = await lines(await listen(running, *options), "live")
    assert [(line["type"], line["seq"]) for line in found[:-1]] == [("event", seq) for seq in missed]
    assert [line["replay"] for line in found[:-1]] == [True] * 3
    assert [line["type"] for line in await lines(await listen(running, *options), "live")] == ["live"]


async def test_being_refused_ends_with_3_and_says_why(running: Up, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(running.token())
    for arguments, told in (
        ((EVENTS, "orders.c43.>", "--token", f"@{token}"), "orders.c43.>"),
        ((EVENTS, "--token", "not-a-token"), "accepts no token"),
    ):
        process = await listen(running, *arguments)
        async with asyncio.timeout(20):
            output, errors = await process.communicate()
        assert (process.returncode, output) == (3, b"")
        assert told in errors.decode().splitlines()[-1]


async def test_wrong_files_and_names_end_with_2(running: Up, tmp_path: Path) -> None:
    token = running.token()
    for arguments in (
        (EVENTS, "--token", f"@{tmp_path}/none"),
        (EVENTS, "--token", token, "--keys", f"{tmp_path}/none"),
        (EVENTS, "--token", token, "--ca", f"{tmp_path}/none"),
        (EVENTS, "--token", token, "--url", "ws://gateway.example/v1/session"),
        ("orders..x", "--token", token),
    ):
        process = await listen(running, *arguments)
        _, errors = await process.communicate()
        assert process.returncode == 2, errors.decode()
        assert errors.decode().splitlines()[-1].startswith("tidewire: ")

"""The conformance command: our gateway passes every scenario, and a gateway with a fault does not."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mesh.embedded import EmbeddedServer
from tests.conformance.__main__ import WIRE, main, plays
from tests.conformance.play import needs
from tests.conformance.wrong_gateway import FAULTS, TRIED, wrong_gateway
from tests.gateways import Gateway, running_gateway

ROOT = Path(__file__).resolve().parents[2]
TIMED = (["time"], ["short-token"], ["limits"])
"""What the second test's gateway and tokens are for."""


def options_for(gateway: Gateway, folder: Path) -> list[str]:
    """How to reach a gateway, with a token of c42 and another one."""
    (folder / "token").write_text(gateway.token(), encoding="utf-8")
    (folder / "other").write_text(gateway.token("c43"), encoding="utf-8")
    files = ["--token-file", str(folder / "token"), "--other-token-file", str(folder / "other")]
    return [*files, "--jobs=4", "--pace=0", "--patience=15"]


async def run(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The command as a user starts it; its exit code and its lines."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.conformance", *arguments, "--json", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in output.splitlines()]


def failures(lines: list[dict[str, Any]]) -> list[str]:
    """What failed, and why."""
    failed = [line for line in lines if line.get("status") == "failed"]
    return [f"{line['scenario']} in {line['encoding']}: {line['why']}" for line in failed]


async def test_our_gateway_passes_every_scenario(nats_server: EmbeddedServer, tmp_path: Path) -> None:
    """The clauses that each scenario proves are in tests/vectors/gateway_wire.json. In clear: TLS has its tests."""
    (tmp_path / "nats").write_text(nats_server.url_of("publisher"), encoding="utf-8")
    async with running_gateway(nats_server, tmp_path / "gateway", listen={"plain": True}) as gateway:
        code, lines = await run(
            gateway.url.replace("wss:", "ws:"),
            *options_for(gateway, tmp_path),
            *("--nats", f"@{tmp_path / 'nats'}", "--nats-inbox", "_INBOX_pub"),
        )
    assert failures(lines) == []
    assert (code, lines[-1]["failed"]) == (0, 0)
    skipped = [line["scenario"] for line in lines[:-1] if line["status"] == "skipped"]
    assert sorted(skipped) == sorted(each.name for each in plays([]) if each.needs in TIMED)
    assert len(lines) - 1 == len(plays([])) > 150


async def test_our_gateway_keeps_the_times_of_the_page_and_serves_over_tls(
    nats_server: EmbeddedServer, tmp_path: Path
) -> None:
    """P1.1, P1.9, P2.10, P2.23, P2.24, P2.38, P2.39, P4.7, P7.1: in less time than by default."""
    only = [f"--only={scenario['name']}" for scenario in WIRE["scenarios"] if needs(scenario) in TIMED]
    limits = {"first_frame_s": 1.0, "frames_per_s": 50, "frames_burst": 200, "sessions_per_user": 16}
    times = {"every_s": 1, "answer_s": 3.0}
    short = f"{sys.executable} -m gateway token --sub c42 --ttl 4s --state-dir {tmp_path}"
    async with running_gateway(nats_server, tmp_path / "development", limits=limits, ping=times) as gateway:
        code, lines = await run(
            *(gateway.url, "--ca", str(gateway.state.ca), "--slow", "--limits", "--short-token-command", short),
            *options_for(gateway, tmp_path),
            *(*only, "--only=a new session is welcomed"),
        )
    assert failures(lines) == []
    assert (code, lines[-1]) == (0, {"ok": len(only) + 2, "failed": 0, "skipped": 0})


async def tried(url: str, folder: Path, *more: str) -> int:
    """The command in this process; its exit code."""
    (folder / "token").write_text("t.o.k", encoding="utf-8")
    return await asyncio.to_thread(main, [url, "--token-file", str(folder / "token"), "--pace=0", *more])


async def test_a_gateway_that_does_what_a_scenario_says_passes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with wrong_gateway("none") as url:
        assert await tried(url, tmp_path, *(f"--only={name}" for name in TRIED), "--encoding=json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["ok"] * len(TRIED)
    assert lines[-1] == f"{len(TRIED)} ok, 0 failed, 0 skipped"


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_gateway_with_a_fault_fails(fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = [f"--only={name}" for name in TRIED]
    async with wrong_gateway(fault) as url:
        assert await tried(url, tmp_path, *only, "--encoding=json", "--patience=0.2") == 1
    captured = capsys.readouterr()
    told = [line for line in captured.out.splitlines() if line.startswith("failed  json")]
    assert told or "nothing could be tried" in captured.err, captured.out
    assert "Traceback" not in captured.out + captured.err
    assert all("(P" in line and ": " in line for line in told)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "no connection"),
        (["--token-file", "/nowhere/token"], "/nowhere/token"),
        (["--nats", "nats://127.0.0.1:9"], "NATS: "),
        (["--nats", "@/nowhere/nats"], "/nowhere/nats"),
        (["--other-token-file", "/nowhere/other"], "/nowhere/other"),
        (["--ca", "/nowhere/ca"], "/nowhere/ca"),
    ],
)
async def test_what_stands_in_the_way_is_told(
    more: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await tried("wss://127.0.0.1:9/v1/session", tmp_path, *more) == 1
    captured = capsys.readouterr()
    assert told in captured.err
    assert "Traceback" not in captured.err


def test_a_token_may_come_from_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    url = "ws://127.0.0.1:9/v1/session"
    assert main([url, "--token-command", "/nowhere/token --sub c42"]) == 1
    assert "/nowhere/token" in capsys.readouterr().err
    assert main([url, "--token-command", f"{sys.executable} -c 'print(7)'"]) == 1
    assert "no connection" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["ws://127.0.0.1:9"], ["--list", "--only", "nothing of this name"]])
def test_a_wrong_command_line_says_so(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "--list" in capsys.readouterr().err


def test_the_scenarios_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(plays([]))
    assert main(["--list", "--json", "--only", "a live event"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["encoding"] for each in listed] == ["json", "msgpack"]
    assert [each["needs"] for each in listed] == [["publisher"]] * 2

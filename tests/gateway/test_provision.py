"""`tidewire provision` against a real nats-server."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from gateway.cli import main
from mesh.api import Api, ApiError, StreamInfo
from mesh.embedded import EmbeddedServer
from mesh.link import Link
from mesh.provision import read
from mesh.topology import Topology
from tests.servers import linked, running_server

Shown = pytest.CaptureFixture[str]


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    async with running_server(tmp_path / "s") as server:
        yield server


@pytest_asyncio.fixture
async def operator(server: EmbeddedServer) -> AsyncIterator[Link]:
    async with linked(server) as link:
        yield link


def written(folder: Path, server: EmbeddedServer, **stream: Any) -> list[str]:
    """A configuration as a gateway has it, with ``stream`` in it; the arguments that provision it as the operator."""
    for user in ("gateway", "operator"):
        password = folder / f"{user}.password"
        password.touch(mode=0o600)
        password.write_text(server.password(user).reveal())
    fields = "".join(f"{name} = {json.dumps(value)}\n" for name, value in stream.items())
    path = folder / "gateway.toml"
    path.write_text(
        f"profile = 'development'\n[listen]\nplain = true\n[nats]\nservers = ['{server.url}']\n"
        f"user = 'gateway'\npassword_file = 'gateway.password'\n[stream]\n{fields}"
        "[[issuers]]\nname = 'a'\njwks = 'a.json'\n"
    )
    return ["--config", str(path), "--user", "operator", "--password-file", str(folder / "operator.password")]


async def tidewire(*arguments: str) -> int:
    """Run `tidewire provision` as its process would, beside the loop of the test."""
    return await asyncio.to_thread(main, ["provision", *arguments])


async def test_a_plan_is_shown_then_applied_and_then_there_is_nothing_to_do(
    tmp_path: Path, server: EmbeddedServer, operator: Link, capsys: Shown
) -> None:
    options = written(tmp_path, server)
    api = Api(operator)
    assert await tidewire(*options) == 0
    shown = capsys.readouterr().out
    assert "create EVENTS\n" in shown
    assert "create KV_cursors\n" in shown
    assert shown.endswith("\nnothing was changed; --apply does it\n")
    assert await read(api, Topology()) == {}
    assert await tidewire(*options, "--apply") == 0
    assert capsys.readouterr().out.endswith("\napplied\n")
    assert set(await read(api, Topology())) == {"EVENTS", "KV_cursors"}
    assert await tidewire(*options, "--apply") == 0
    assert capsys.readouterr().out == "keep   EVENTS\nkeep   KV_cursors\neverything is as wanted\n"


async def test_what_would_delete_events_is_refused_with_code_3_unless_allowed(
    tmp_path: Path, server: EmbeddedServer, operator: Link, capsys: Shown
) -> None:
    api = Api(operator)
    assert await tidewire(*written(tmp_path, server), "--apply") == 0
    await operator.request("orders.c1.o1", b"{}")
    capsys.readouterr()
    options = written(tmp_path, server, max_age_s=3_600, subjects=["orders.>"])
    assert await tidewire(*options, "--apply") == 3
    shown = capsys.readouterr()
    assert "REFUSE EVENTS\n" in shown.out
    assert "max_age: 7 days -> 3600 s  REFUSED: a smaller limit deletes events that are stored" in shown.out
    assert shown.err.splitlines() == [
        "tidewire: EVENTS subjects: events.> would not be stored any more",
        "tidewire: EVENTS max_age: a smaller limit deletes events that are stored",
        "tidewire: refused, nothing was changed; --allow-loss lets it pass",
    ]
    assert (await read(api, Topology()))["EVENTS"]["max_age"] == Topology().events.max_age_s * 1_000_000_000
    assert await tidewire(*options, "--apply", "--allow-loss") == 0
    assert (await read(api, Topology()))["EVENTS"]["subjects"] == ["orders.>"]
    info = await api.stream_info("EVENTS")
    assert isinstance(info, StreamInfo)
    assert info.state.last_seq == 1  # the stream was changed, not made anew


async def test_production_denies_deletion_and_nothing_lets_that_be_taken_back(
    tmp_path: Path, server: EmbeddedServer, operator: Link, capsys: Shown
) -> None:
    api = Api(operator)
    options = written(tmp_path, server)
    assert await tidewire(*options, "--apply") == 0
    denying = msgspec.structs.replace(Topology().events, deny_delete=True, deny_purge=True).config()
    assert not isinstance(await api.call("STREAM.UPDATE", "EVENTS", denying, msgspec.Raw), ApiError)
    capsys.readouterr()
    assert await tidewire(*options, "--apply", "--allow-loss") == 3
    error = capsys.readouterr().err
    assert "EVENTS deny_delete: cannot be taken back" in error
    assert error.endswith("refused, nothing was changed; change the configuration, or make a new stream\n")


async def test_json_has_a_line_for_each_stream(
    tmp_path: Path, server: EmbeddedServer, operator: Link, capsys: Shown
) -> None:
    del operator
    assert await tidewire(*written(tmp_path, server), "--json", "--apply") == 0
    made = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["stream"], line["step"]) for line in made] == [("EVENTS", "create"), ("KV_cursors", "create")]
    assert made[0]["config"]["subjects"] == ["orders.>", "events.>"]
    assert await tidewire(*written(tmp_path, server, max_age_s=1_000_000), "--json") == 0
    changed, kept = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert kept == {"stream": "KV_cursors", "step": "keep"}
    assert changed == {
        "stream": "EVENTS",
        "step": "update",
        "changes": [{"field": "max_age", "now": 604_800 * 10**9, "wanted": 10**15, "refused": None}],
    }
    assert await tidewire(*written(tmp_path, server, max_age_s=3_600), "--json") == 3
    refused = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (refused["step"], refused["changes"][0]["refused"]) == (
        "refuse",
        "a smaller limit deletes events that are stored",
    )


async def test_half_a_user_a_missing_file_and_two_ways_to_sign_in_are_usage(
    tmp_path: Path, server: EmbeddedServer, capsys: Shown
) -> None:
    options = written(tmp_path, server)
    assert await tidewire(*options[:2], "--user", "operator") == 2
    assert "--user and --password-file: both or neither" in capsys.readouterr().err
    assert await tidewire(*options, "--credentials", "op.creds") == 2
    assert "choose one" in capsys.readouterr().err
    assert await tidewire(*options[:2], "--credentials", str(tmp_path / "none")) == 2
    assert capsys.readouterr().err == f"tidewire: --credentials: {tmp_path}/none is no file; check the path\n"
    assert await tidewire("--state-dir", str(tmp_path / "empty")) == 2
    assert "nothing runs in" in capsys.readouterr().err


async def test_a_user_without_the_permission_is_told_so(
    tmp_path: Path, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    monkeypatch.setattr("gateway.commands.provision.WITHIN_S", 0.2)
    monkeypatch.setattr("gateway.commands.provision.ANSWER_S", 0.3)
    assert await tidewire(*written(tmp_path, server)[:2], "--apply") == 4
    assert "this NATS user may not change streams" in capsys.readouterr().err

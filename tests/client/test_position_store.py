"""Where positions are kept."""

import json
import os
from pathlib import Path

import pytest
from tidewire_client.errors import StateUnavailable
from tidewire_client.position import Position, Scope
from tidewire_client.position_store import FileState, MemoryState, StateStore

HERE = Scope("wss://a/v1/session", "i c42", "pixel-7")
OTHERS = (
    Scope("wss://b/v1/session", "i c42", "pixel-7"),
    Scope("wss://a/v1/session", "i c43", "pixel-7"),
    Scope("wss://a/v1/session", "i c42", "pixel-8"),
)


@pytest.mark.parametrize("kind", ["file", "memory"])
async def test_a_position_is_given_out_for_its_own_scope_only(kind: str, tmp_path: Path) -> None:
    store: StateStore = FileState(tmp_path / "s.json") if kind == "file" else MemoryState()
    assert await store.load(HERE) is None
    await store.save(HERE, Position("EVENTS:1", 2**60))
    assert await store.load(HERE) == Position("EVENTS:1", 2**60)
    for other in OTHERS:
        assert await store.load(other) is None
    await store.save(HERE, None)
    assert await store.load(HERE) is None


async def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    (tmp_path / "s.json.new").write_text("half a rec")
    await FileState(path).save(HERE, Position("EVENTS:1", 5))
    assert os.listdir(tmp_path) == ["s.json"]


async def test_a_file_that_cannot_be_read_or_written_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    for content in (b"", b"{", b"\xff", b"[" * 100_000, b'{"scope": 1}'):
        path.write_bytes(content)
        with pytest.raises(StateUnavailable, match="delete the file"):
            await FileState(path).load(HERE)
    with pytest.raises(StateUnavailable, match="check folder"):
        await FileState(tmp_path / "absent" / "s.json").save(HERE, None)


@pytest.mark.parametrize(
    "half", [{"stream": "EVENTS:1"}, {"seq": 7}, {"stream": "", "seq": 7}, {"stream": "E", "seq": -1}]
)
async def test_half_a_position_is_none_and_is_said(half: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    await FileState(path).save(HERE, Position("EVENTS:1", 7))
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps(record | {"position": half}))
    with pytest.raises(StateUnavailable, match="delete the file"):
        await FileState(path).load(HERE)

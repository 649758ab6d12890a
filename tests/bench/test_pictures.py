"""Every series that has figures becomes a picture, the same for the same figures."""

from pathlib import Path

from bench.measurement import Measurement
from bench.pictures import draw
from bench.series import series

FOUND = [
    Measurement(case=case, way=way, values={"server_us": value})
    for case in ("broadcast", "broadcast acked")
    for way, value in (("floor", 20.0), ("tidewire", 23.0), ("floor", 22.0))
]


def test_a_series_has_a_bar_for_each_way_in_each_group() -> None:
    (made,) = series(FOUND)
    assert made.name == "broadcast"
    assert made.ways == ["floor", "tidewire"]
    assert [(group, way) for group, bars in made.groups.items() for way in bars] == [
        ("broadcast", "floor"),
        ("broadcast", "tidewire"),
        ("broadcast acked", "floor"),
        ("broadcast acked", "tidewire"),
    ]
    assert made.groups["broadcast"]["floor"].median == 21.0


def test_several_values_of_one_case_are_groups_under_their_names() -> None:
    values = {"p50_ms": 1.0, "p99_ms": 2.0, "rate": 3.0}
    (made,) = series([Measurement(case="latency", way="tidewire", values=values)])
    assert list(made.groups) == ["median", "p99"]


def test_what_was_not_measured_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / "old.svg").write_text("of a run before")
    assert draw(series([]), tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def test_the_same_figures_make_the_same_small_file(tmp_path: Path) -> None:
    (path,) = draw(series(FOUND), tmp_path)
    first = (tmp_path / "broadcast.svg").read_bytes()
    draw(series(FOUND), tmp_path)
    assert path == f"{tmp_path.name}/broadcast.svg"
    assert (tmp_path / "broadcast.svg").read_bytes() == first
    assert len(first) < 100_000
    assert b"tidewire" in first

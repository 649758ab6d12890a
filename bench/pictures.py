"""Shell: draws series as SVG; the one place that knows matplotlib. The same figures make the same bytes."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Picture

from bench.series import Series
from bench.tables import number

WIDTH_IN = 7.0
BAR_IN = 0.26
"""Inches of height of one bar."""
COLOURS = ("#2b6f97", "#e08e45", "#7a9e7e")


def draw(every: list[Series], folder: Path) -> tuple[str, ...]:
    """One file a series, and none but these; returns their paths from the folder above."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    mpl.use("agg")
    mpl.rcParams |= {"svg.hashsalt": "tidewire", "svg.fonttype": "none", "font.size": 9}
    return tuple(_draw(series, folder) for series in every)


def _draw(series: Series, folder: Path) -> str:
    bars = len(series.groups) * len(series.ways)
    picture = Picture(figsize=(WIDTH_IN, 1.0 + BAR_IN * bars), layout="constrained")
    axes = picture.add_subplot()
    thick = 0.8 / len(series.groups)
    for at, (group, values) in enumerate(series.groups.items()):
        ways = [way for way in series.ways if way in values]
        places = [series.ways.index(way) + at * thick for way in ways]
        shown = [values[way] for way in ways]
        spread = [[each.median - each.low for each in shown], [each.high - each.median for each in shown]]
        drawn = axes.barh(
            places,
            [each.median for each in shown],
            thick,
            xerr=spread,
            color=COLOURS[at % len(COLOURS)],
            ecolor="#444444",
            label=group or None,
        )
        axes.bar_label(drawn, [number(each.median) for each in shown], padding=4)
    middle = thick * (len(series.groups) - 1) / 2
    axes.set_yticks([place + middle for place in range(len(series.ways))], series.ways)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(series.unit)
    axes.set_title(series.title)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series.groups) > 1:
        picture.legend(loc="outside lower center", ncols=len(series.groups), frameon=False)
    path = folder / f"{series.name}.svg"
    picture.savefig(path, metadata={"Date": None})
    return f"{folder.name}/{path.name}"

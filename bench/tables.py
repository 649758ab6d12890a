"""Pure: results as Markdown that reads well in a terminal too."""

from bench.results import Figure, Results, failures, figures, measurements, medians
from bench.targets import TARGETS, Verdict

_NUMBERS = frozenset("0123456789.,-()xms% <")
_SAYS = {True: "reached", False: "NOT REACHED", None: "not measured"}


def report(results: Results, pictures: tuple[str, ...] = ()) -> str:
    """Everything: verdicts first, then a table for each case, then where and with what it ran."""
    found = measurements(results)
    parts = [verdicts(results)]
    if failed := failures(results):
        parts.append("Failed:\n\n" + "\n".join(f"- {line}" for line in failed))
    cases = list(dict.fromkeys(measured.case for measured in found if not measured.failed))
    for case in cases:
        parts.append(f"## {case}\n\n{case_table(results, case)}")
        notes = dict.fromkeys(f"- {each.way}: {each.note}" for each in found if each.case == case and each.note)
        if notes:
            parts.append("\n".join(notes))
    if pictures:
        parts.append("## Pictures\n\n" + "\n".join(f"![{name}]({name})" for name in pictures))
    parts.append(f"## Machine\n\n{machine(results)}")
    return "\n\n".join(parts)


def verdicts(results: Results) -> str:
    """The table of what is to be reached; below it, what was seen of each."""
    of, lines, seen = medians(measurements(results)), [], []
    for target in TARGETS:
        try:
            verdict = target.verdict(of)
        except KeyError:  # its case did not run, or failed
            verdict = Verdict(None, "")
        lines.append([target.case, _SAYS[verdict.reached], target.reach])
        if verdict.seen:
            seen.append(f"- {target.case}: {verdict.seen}")
    return "\n\n".join(filter(None, [table(["case", "verdict", "reach"], lines), "\n".join(seen)]))


def case_table(results: Results, case: str) -> str:
    """Every way's values in one case, median and in brackets least and most."""
    chosen = {way: values for (name, way), values in figures(measurements(results)).items() if name == case}
    names = list(dict.fromkeys(name for values in chosen.values() for name in values))
    lines = [[way, *(cell(values[name]) if name in values else "" for name in names)] for way, values in chosen.items()]
    return table(["way", *(name.replace("_", " ") for name in names)], lines)


def cell(figure: Figure) -> str:
    """A median, and the spread when there is one."""
    middle, low, high = map(number, (figure.median, figure.low, figure.high))
    return middle if low == high else f"{middle} ({low}-{high})"


def number(value: float) -> str:
    """Three digits, or the one that counts when it is very small."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.01 else f"{value:.1g}"


def machine(results: Results) -> str:
    """Where and with what it ran, and what could not run."""
    of = results.machine
    pinned = "the measured process on a core of its own" if of.pinned else "one core for everything"
    spread = "s; medians, in brackets least and most, nothing in brackets: the first run alone"
    runs = f"{len(results.runs)} run" + (spread if len(results.runs) > 1 else "")
    lines = [
        f"{of.cpu}, {of.cores} cores, Linux {of.kernel}, Python {of.python}",
        ", ".join(f"{name} {text}" for name, text in of.versions.items()),
        f"commit {of.commit}; {runs}; {results.seconds:,.0f} s; "
        f"load {of.load_before:.2f} before, {of.load_after:.2f} after; {pinned}",
        *(f"{way}: {what}" for way, what in results.ways.items()),
        *(f"{way} did not run: {why}" for way, why in results.absent.items()),
    ]
    return "\n".join(f"- {line}" for line in lines)


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table whose columns are aligned; columns of figures to the right."""
    widths = [max(len(line[place]) for line in [head, *lines]) for place in range(len(head))]
    right = [
        bool(lines) and place > 0 and all(_NUMBERS.issuperset(line[place]) for line in lines)
        for place in range(len(head))
    ]

    def row(cells: list[str]) -> str:
        aligned = [
            each.rjust(width) if to_right else each.ljust(width)
            for each, width, to_right in zip(cells, widths, right, strict=True)
        ]
        return f"| {' | '.join(aligned)} |"

    rule = ["-" * (width - 1) + ":" if to_right else "-" * width for width, to_right in zip(widths, right, strict=True)]
    return "\n".join([row(head), row(rule), *(row(line) for line in lines)])

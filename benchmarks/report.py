"""The results as a table on the terminal, as JSON, and as the table of docs/performance.md."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.harness import COST, HOURS, MILLISECONDS, SPEED_UP, Measure, Result, Series

HEAD = ("what", "shape", "baseline", "figure", "rounds", "target", "ours", "baseline's", "memory")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_SIGNS = {SPEED_UP: "x as fast", COST: "x the cost", MILLISECONDS: " ms", HOURS: " h"}
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (0.0, "ns"))


def show(results: Sequence[Result], machine: Mapping[str, str], console: Console) -> None:
    """Print the machine, the table and the arithmetic."""
    for name, value in machine.items():
        console.print(f"{name}: {value}", highlight=False)
    table = Table("what, on which shape, against what", *HEAD[3:], show_lines=True)
    for result in results:
        what, shape, baseline, *rest = cells(result)
        table.add_row(f"[bold]{escape(what)}[/]\n{shape}\n{baseline}", *rest)
    console.print(table)
    for line in arithmetic(results):
        console.print(line, highlight=False)


def cells(result: Result) -> tuple[str, ...]:
    """Return a line of the table."""
    measure, base = result.measure, result.baseline
    names = (measure.what, measure.shape, measure.baseline)
    if result.absent:
        return (*names, result.absent, "", "", "", "", "")
    low, high = result.spread
    return (
        *names,
        f"{_number(result.value)}{_SIGNS[measure.figure]}",
        f"{_number(low)}-{_number(high)}" if len(result.ours.values) > 1 else "",
        verdict(result),
        _amount(result.ours, measure) + (f" ({result.note})" if result.note else ""),
        _amount(base, measure) if base else "",
        _peaks(result),
    )


def verdict(result: Result) -> str:
    """Return the target and whether it is met, or by how much of it it is missed."""
    target, missed = result.measure.target, result.missed_by
    if target is None or missed is None:
        return ""
    sign = ">=" if result.measure.figure == SPEED_UP else "<="
    said = "met" if missed == 0 else f"missed by {100 * missed:.3g} %"
    return f"{sign} {target:g}: {said}"


def arithmetic(results: Sequence[Result]) -> list[str]:
    """Return the lines that show how the extrapolated figures come about."""
    return [
        line
        for result in results
        if result.arithmetic
        for line in (f"{result.measure.what}:", *(f"  {text}" for text in result.arithmetic))
    ]


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _amount(series: Series, measure: Measure) -> str:
    value = series.median
    if measure.unit == "B":
        return f"{value / 1e6:,.1f} MB"
    size, unit = next((s, u) for s, u in _UNITS if value >= s)
    return f"{_number(value / (size or 1e-9))} {unit}"


def _peaks(result: Result) -> str:
    """Return the growth of anonymous memory of both sides in MB."""
    sides = [result.ours, result.baseline] if result.baseline else [result.ours]
    peaks = [f"{side.peak / 1e6:,.0f}" for side in sides if side and side.peak is not None]
    return f"{' / '.join(peaks)} MB" if peaks else ""


def write_json(path: Path, results: Sequence[Result], machine: Mapping[str, str]) -> None:
    """Write all rounds of all sides, and what the tables show."""
    document = {"machine": dict(machine), "results": [_as_json(result) for result in results]}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _as_json(result: Result) -> dict[str, object]:
    if result.absent:
        return {**asdict(result), "value": None, "missed_by": None}
    return {**asdict(result), "value": result.value, "missed_by": result.missed_by}


def read_json(path: Path) -> tuple[list[Result], dict[str, str]]:
    """Return the results and the machine of a file that `write_json` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return [_from_json(entry) for entry in document["results"]], dict(document["machine"])


def _from_json(entry: dict[str, object]) -> Result:
    fields = {k: v for k, v in entry.items() if k not in ("value", "missed_by")}
    measure, ours, baseline = (fields.pop(k) for k in ("measure", "ours", "baseline"))
    lines = fields.pop("arithmetic")
    assert isinstance(measure, dict)
    assert isinstance(lines, list)
    return Result(
        measure=Measure(**measure),
        ours=_series(ours),
        baseline=_series(baseline) if baseline else None,
        note=str(fields["note"]),
        absent=str(fields["absent"]),
        arithmetic=tuple(lines),
    )


def _series(entry: object) -> Series:
    assert isinstance(entry, dict)
    return Series(tuple(entry["values"]), entry["peak"])


def markdown(results: Sequence[Result], machine: Mapping[str, str]) -> str:
    """Return the machine, the table and the arithmetic as Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *(cells(result) for result in results)]
    lines = [
        "; ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows),
    ]
    shown = arithmetic(results)
    if shown:
        lines += ["", "```text", *shown, "```"]
    return "\n".join(lines)


def write_docs(page: Path, results: Sequence[Result], machine: Mapping[str, str]) -> None:
    """Put the table between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{page} lacks the marks {BEGIN} and {END}; put them back.")
    new = f"{before}{BEGIN}\n{markdown(results, machine)}\n{END}{after}"
    page.write_text(new, encoding="utf-8")

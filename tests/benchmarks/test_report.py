"""The table on the terminal, the JSON file and the page, from results made by hand."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.harness import COST, SPEED_UP, Measure, Result, Series
from benchmarks.machine import describe_machine
from benchmarks.report import BEGIN, END, cells, read_json, show, verdict, write_docs, write_json

MACHINE = {"CPU": "a processor, 2 cores", "python": "3.11"}
MET = Result(
    Measure("a.met", "scan | look", "3 files", "a map", SPEED_UP, 0.85),
    Series((2.0, 4.0, 3.0), 1_000_000),
    Series((3.0, 3.0, 3.0), 12_000_000),
    note="1 GB/s",
)
MISSED = Result(
    Measure("b.missed", "memory", "2x", "1x", COST, 1.05, "B"), Series((3e6,)), Series((2e6,))
)
ABSENT = Result(Measure("c.absent", "by zarrs", "3", "a map"), Series(()), absent="not installed")
SCALED = Result(
    Measure("d.scaled", "at scale", "s", "none"), Series((1e-3,)), arithmetic=("1 + 1",)
)
RESULTS = [MET, MISSED, ABSENT, SCALED]


def test_a_line_of_the_table() -> None:
    assert cells(MET) == (
        "scan | look", "3 files", "a map", "1x as fast", "0.75-1.5", ">= 0.85: met",
        "3 s (1 GB/s)", "3 s", "1 / 12 MB",
    )  # fmt: skip
    assert cells(MISSED)[3:] == (
        "1.5x the cost", "", "<= 1.05: missed by 42.9 %", "3.0 MB", "2.0 MB", "",
    )  # fmt: skip
    assert cells(ABSENT)[3:] == ("not installed", "", "", "", "", "")
    assert cells(SCALED)[6] == "1 ms"


def test_without_a_target_there_is_no_verdict() -> None:
    assert verdict(SCALED) == verdict(ABSENT) == ""


def test_the_terminal_shows_machine_table_and_arithmetic() -> None:
    out = io.StringIO()
    show(RESULTS, MACHINE, Console(file=out, width=200))
    shown = out.getvalue()
    for text in ("CPU: a processor, 2 cores", "missed by 42.9 %", "not installed", "  1 + 1"):
        assert text in shown


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    write_json(tmp_path / "bench.json", RESULTS, MACHINE)
    assert read_json(tmp_path / "bench.json") == (RESULTS, MACHINE)


def test_the_page_keeps_its_text_and_gets_the_table(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    for _ in range(2):
        write_docs(page, RESULTS, MACHINE)
    text = page.read_text()
    assert text.startswith(f"# Before\n\n{BEGIN}\nCPU a processor, 2 cores; python 3.11.\n\n| what")
    assert text.endswith(f"```text\nat scale:\n  1 + 1\n```\n{END}\n\nafter\n")
    assert "old" not in text
    assert "| scan \\| look | 3 files |" in text
    widths = {line.replace("\\|", "").count("|") for line in text.splitlines() if line[:1] == "|"}
    assert widths == {10}


def test_a_page_without_marks_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Before\n")
    with pytest.raises(ValueError, match="lacks the marks"):
        write_docs(page, RESULTS, MACHINE)


def test_the_page_of_the_docs_has_the_marks() -> None:
    text = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1


def test_the_machine_is_named(tmp_path: Path) -> None:
    machine = describe_machine(tmp_path)
    assert {"CPU", "memory", "disk", "python", "torch", "numpy", "numba", "zarr"} <= set(machine)
    assert all(machine.values())

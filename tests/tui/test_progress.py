"""The display of progress fits the terminal and leaves stdout alone."""

import io
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from tests.tui.calling import NEGSPACE, Terminal
from tui import progress
from tui.progress import Lines, fit_label, show_progress

LONG = "a-model-with-a-very-long-name-[red]-[/b]-as-people-write-them@step1000/wikitext-103: tokens"


@given(st.text("aé日[]/", max_size=90), st.integers(1, 10**10), st.integers(40, 200))
def test_a_label_keeps_its_end_and_fits(label: str, total: int, width: int) -> None:
    fitted = fit_label(label, 2 * len(str(total)) + 1, width)
    assert fitted == label or label.endswith(fitted.removeprefix("…"))
    room = width - 20 - 2 * len(str(total)) - 1 - 13 - 7 - 4
    assert cell_len(fitted) <= max(12, room)
    if cell_len(label) <= room:
        assert fitted == label


def plain(text: str) -> str:
    """What a terminal is sent, without colours and movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize("width", [80, 120])
def test_bars_of_long_names_show_rate_and_time_left(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(
        progress, "Console", lambda **_: Console(file=screen, width=width, force_terminal=True)
    )
    monkeypatch.setenv("TERM", "xterm")
    with show_progress(quiet=False) as show:
        for done in (0, 200_000, 400_000, 643_072):
            show(LONG, done, 643_072)
    last = plain(screen.getvalue()).rstrip().splitlines()[-1]
    assert len(last) <= width
    assert "wikitext-103: tokens"[-15:] in last
    assert "643072/643072" in last
    assert "/s" in last
    assert "0:00:00" in last


def test_lines_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 6.0, 7.0, 12.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stderr", pipe)
    show = Lines(_last=0.0)
    for done in (0, 10, 60, 70, 120):
        show("m\x1b: tokens", done, 120)
    monkeypatch.undo()
    assert pipe.getvalue() == (
        "m\\x1b: tokens 60 of 120, 10/s, 6 s left\nm\\x1b: tokens 120 of 120\n"
    )


def test_bytes_are_shown_in_a_unit_that_a_person_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 6.0, 12.0, 13.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stderr", pipe)
    show = Lines(_last=0.0)
    for done in (0, 230_860_800, 461_721_600):
        show("m@main/c: bytes", done, 461_721_600)
    show("m@main: hashing bytes", 2, 2)
    monkeypatch.undo()
    assert pipe.getvalue() == (
        "m@main/c 231 MB of 462 MB, 38.5 MB/s, 6 s left\n"
        "m@main/c 462 MB of 462 MB\n"
        "m@main: hashing 2 B of 2 B\n"
    )


def test_a_bar_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(
        progress, "Console", lambda **_: Console(file=screen, width=80, force_terminal=True)
    )
    monkeypatch.setenv("TERM", "xterm")
    with show_progress(quiet=False) as show:
        for done in (0, 1_000_000, 461_721_600):
            show("tiny@step10: downloading bytes", done, 461_721_600)
    last = plain(screen.getvalue()).rstrip().splitlines()[-1]
    assert "@step10: downloading " in last
    assert " 462 MB/462 MB " in last
    assert re.search(r" \S+ [MGT]B/s ", last)
    assert "461721600" not in screen.getvalue()


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(quiet=True) as show:
        show("m: tokens", 120, 120)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("both", [False, True])
def test_faults_are_whole_lines_below_the_bar(both: bool, analysed: Path, tmp_path: Path) -> None:
    store = shutil.copytree(analysed, tmp_path / "store")
    (store / "arrays/1/layer.0/preactivations/c/0/0").unlink()
    screen, terminal = os.openpty()
    with (tmp_path / "out").open("w") as out:
        stdout = terminal if both else out.fileno()
        words = [str(NEGSPACE), "verify", "--store", str(store)]
        done = subprocess.run(words, stdout=stdout, stderr=terminal, check=False)
    os.close(terminal)
    shown = plain(os.read(screen, 65536).decode()).replace("\r\n", "\n")
    os.close(screen)
    assert done.returncode == 1
    line = "\ngpt_neox@main/words layer 0 preactivations block 0: "
    assert (line in shown) is both
    assert (line in "\n" + (tmp_path / "out").read_text()) is not both
    assert shown.rindex("verify: files") < shown.rindex(line if both else "Error: ")

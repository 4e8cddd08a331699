"""The real program in a pseudo-terminal, from the first screen to the last."""

from pathlib import Path

import pytest

from tests.models import write_text
from tests.tui.browser.terminal import Screen, running
from tests.tui.calling import NAME, ask
from tui.browser.processes import PROGRAM


def test_a_screen_shows_what_was_written_last() -> None:
    screen = Screen(6, 2)
    screen.feed("ab\x1b[2;3Hcé\x1b[0;38;5;1mf\x1b[1;")
    screen.feed("1HX\x1b]0;title\x07\x1b[?25l")
    assert screen.text == "Xb\n  céf"


def test_from_the_highest_wd_to_an_ablation(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_text(tmp_path / "other.txt", 3000, seed=7)
    for name, value in (("WINDOWS", "6"), ("WINDOW_LENGTH", "64"), ("DRAWS", "1")):
        monkeypatch.setenv(f"NEGSPACE_ABLATE_{name}", value)
    ((layer, neuron),) = ask(store, "SELECT layer, neuron FROM neurons ORDER BY wd DESC LIMIT 1")
    with running([*PROGRAM, "browse", "--store", str(store)], 120, 40) as terminal:
        terminal.wait(NAME)
        terminal.press("2")
        terminal.wait(rf"(?m)^ *\S? +{layer} +{neuron} ")
        terminal.wait(rf"layer {layer} . neuron {neuron}\b")
        terminal.press(" ")
        terminal.wait("1 marked")
        terminal.press("a")
        terminal.wait("neurons-sql +WITH marked")
        terminal.pause()
        terminal.press("\t")
        terminal.pause()
        terminal.press(str(other))
        terminal.wait("other.txt")
        terminal.press("\n")  # Ctrl+J
        terminal.wait("Start this ablation")
        terminal.press("y")
        terminal.wait("Job [0-9]+: ablate done")
        terminal.pause()  # the results are being read
        terminal.press("7")
        terminal.wait(r"ablate +done +100")
        assert terminal.leave("q") == 0
    assert ask(store, "SELECT state FROM jobs WHERE kind = 'ablate'") == [("done",)]
    assert ask(store, "SELECT count(*) FROM ablations WHERE arm = 'chosen'") == [(1,)]

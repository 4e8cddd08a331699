"""negspace neuron, as a user calls it."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import matplotlib as mpl
import pytest
from matplotlib.text import Text
from rich.cells import cell_len

from analysis.card import Card, Metric, gather_card
from analysis.figures.card import draw_card, make_card
from analysis.figures.drawing import styled
from analysis.pair_kinds_text import tell_pair_kinds
from store.store import open_store
from tests.tui.calling import NAME, ask, call, contents
from tui.card_json import card_json
from tui.card_text import render_card

TITLES = (
    "Neuron 1.5 of gpt_neox@main/words", "metric", "Pre-activations y", "Activations h",
    "Top pairs", "Lowest outputs (5 of 20: --all)", "Highest outputs (5 of 20: --all)",
    "WD and MD of this neuron by checkpoint", "What it writes",
)  # fmt: skip


def card_of(store: Path, neuron: int = 5) -> Card:
    return gather_card(open_store(store).recording(NAME), 1, neuron, keep=False)


def with_metric(card: Card, metric: Metric) -> Card:
    metrics = tuple(metric if metric.name == m.name else m for m in card.metrics)
    return replace(card, metrics=metrics)


def test_the_card_has_all_its_parts(store: Path) -> None:
    done = call("neuron", "words", "1.5", "--store", store)
    assert (done.code, done.err) == (0, "")
    parts = done.out.split("\n\n")
    assert len(parts) == len(TITLES)
    for part, title in zip(parts, TITLES, strict=True):
        assert part.startswith(title)
    (row,) = ask(store, "SELECT wd, md FROM neurons WHERE layer = 1 AND neuron = 5")
    for value in row:
        assert f" {cast('float', value):.4g} " in parts[1]
    assert ask(store, "SELECT array_name FROM blocks WHERE array_name LIKE 'writes%'") == [
        ("writes_logits",), ("writes_tokens",),
    ]  # fmt: skip


def test_all_shows_twenty_extremes(analysed: Path) -> None:
    few, many = (
        render_card(card_of(analysed), 80, everything=everything).splitlines()
        for everything in (False, True)
    )
    assert len(many) == len(few) + 30
    assert "Lowest outputs" in many


@pytest.mark.parametrize("width", [20, 80, 120])
def test_no_line_is_too_long(width: int, analysed: Path) -> None:
    card = replace(
        with_metric(card_of(analysed), Metric("wd", -0.00012345678, 0.0012345678, 1.0)),
        n_tokens=286_720, n_random=2_048, reason="no variance: " + "skewness, " * 20,
    )  # fmt: skip
    context = replace(
        card.lowest[0].context, before="漢字" * 50, token="\u202e漢", after="漢字" * 50
    )
    card = replace(card, lowest=(replace(card.lowest[0], context=context), *card.lowest[1:]))
    lines = render_card(card, width, everything=True).splitlines()
    assert max(map(cell_len, lines)) <= max(width, 80)
    assert any("[\\u202e漢]" in line for line in lines)
    assert not any(line.endswith(" ") for line in lines)


def test_the_tokens_of_contexts_stand_below_each_other(analysed: Path) -> None:
    card = card_of(analysed)
    lines = render_card(card, 80, everything=True).splitlines()
    start = lines.index("Lowest outputs") + 1
    columns = {
        cell_len(line[: line.index(f"[{extreme.context.token}]", 12)])
        for line, extreme in zip(lines[start : start + 20], card.lowest, strict=True)
    }
    assert len(columns) == 1


def test_json_holds_all_of_the_card_without_nan(analysed: Path) -> None:
    done = call("neuron", NAME, "1.5", "--format", "json", "--store", analysed, "--read-only")
    assert done.code == 0
    found = json.loads(done.out, parse_constant=lambda name: pytest.fail(name))
    card = card_of(analysed)
    assert [metric["value"] for metric in found["metrics"]] == [m.value for m in card.metrics]
    assert found["histograms"]["counts"] == list(card.histograms.counts)
    assert len(found["lowest"]) == len(found["highest"]) == 20
    assert [pair["pair"]["oi"] for pair in found["pairs"]] == [p.pair.oi for p in card.pairs]
    assert [token["logit"] for token in found["writes"]["raises"]] == [
        token.logit for token in card.writes.raises
    ]
    broken = with_metric(card, Metric("wd", math.nan, math.inf, None))
    assert json.loads(card_json(broken))["metrics"][0] == {
        "name": "wd", "value": None, "error": None, "below": None,
    }  # fmt: skip


def test_read_only_stores_nothing(store: Path) -> None:
    before = contents(store)
    done = call("neuron", NAME, "0.3", "--store", store, "--read-only")
    assert done.code == 0
    assert "raised most" in done.out
    assert contents(store) == before


def test_a_png_is_named_after_the_neuron(analysed: Path, tmp_path: Path) -> None:
    done = call("neuron", NAME, "1.5", "--format", "png", "--store", analysed, "--read-only")
    assert (done.code, done.out) == (0, "")
    assert done.err == "Written to gpt_neox@main-words-1.5.png.\n"
    assert Path("gpt_neox@main-words-1.5.png").read_bytes().startswith(b"\x89PNG")
    out = tmp_path / "there.png"
    words = ("neuron", NAME, "0.7", "--format", "png", "--out", out, "--store", analysed)
    assert call(*words, "--read-only").code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_out_takes_text_too(analysed: Path, tmp_path: Path) -> None:
    words = ("neuron", NAME, "1.5", "--store", analysed, "--read-only")
    shown = call(*words).out
    assert call(*words, "--out", tmp_path / "card.txt").out == ""
    assert (tmp_path / "card.txt").read_text(encoding="utf-8") == shown


@pytest.mark.parametrize("word", ["5", "1.", "a.b", "1.5.2", "-1.5", "1,5", "\u0661.5"])
def test_a_word_that_names_no_neuron_is_refused(word: str, analysed: Path) -> None:
    done = call("neuron", "--store", analysed, "--", NAME, word)
    assert done.code == 2
    assert f"{word!r} names no neuron; give LAYER.NEURON, such as 1.33." in done.err


@pytest.mark.parametrize(
    ("recording", "neuron", "sentence"),
    [
        (NAME, "9.0", f"{NAME} has no layer 9; it has 0, 1."),
        (NAME, "1.40", "There is no neuron 40; they run from 0 to 39."),
        ("nobody", "1.4", "The store has no recording 'nobody'"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    recording: str, neuron: str, sentence: str, analysed: Path
) -> None:
    done = call("neuron", recording, neuron, "--store", analysed)
    assert (done.code, done.out) == (1, "")
    assert sentence in done.error


def test_a_layer_that_is_not_measured_is_named(store: Path) -> None:
    with_nothing = open_store(store)
    with with_nothing.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM neurons")
    with_nothing.database.engine.dispose()
    done = call("neuron", NAME, "1.5", "--store", store)
    assert done.code == 1
    assert f"Layer 1 of {NAME} is not measured yet; `negspace analyze`" in done.error


def test_out_in_the_store_or_nowhere_is_refused(analysed: Path, tmp_path: Path) -> None:
    words = ("neuron", NAME, "1.5", "--store", analysed, "--read-only", "--out")
    assert "lies in the store" in call(*words, analysed / "x.txt").error
    for form in ("text", "png"):
        done = call(*words, tmp_path / "no" / "x", "--format", form)
        assert done.code == 1
        assert "cannot be written: No such file or directory." in done.error


def test_what_the_top_pairs_are_is_told(analysed: Path) -> None:
    statement = "SELECT neuron FROM pair_kinds WHERE layer = 1 AND neuron >= 0 LIMIT 1"
    neuron = cast("int", ask(analysed, statement)[0][0])
    told = tell_pair_kinds(open_store(analysed).recording(NAME), 1, neuron)
    assert told is not None
    words = ("neuron", NAME, f"1.{neuron}", "--store", analysed, "--read-only")
    parts = [" ".join(part.split()) for part in call(*words).out.split("\n\n")]
    assert parts[parts.index(told) - 1].startswith("Top pairs")
    assert json.loads(call(*words, "--format", "json").out)["pair_kinds"] == told


def test_a_neuron_without_kinds_says_nothing_of_them(analysed: Path) -> None:
    statement = "SELECT neuron FROM pair_kinds WHERE layer = 1"
    named = {neuron for (neuron,) in ask(analysed, statement)}
    card = card_of(analysed, next(n for n in range(40) if n not in named))
    assert card.pair_kinds is None
    assert json.loads(card_json(card))["pair_kinds"] is None
    assert "top pairs of neuron" not in render_card(card, 80, everything=False)


def test_columns_of_metrics_never_touch(analysed: Path) -> None:
    widest = Metric("wd", -0.00012345678, 0.00012345678, 1.0)
    lines = render_card(with_metric(card_of(analysed), widest), 80, everything=False).splitlines()
    assert "wd -0.0001235 ± 0.0001235 100.0%" in [" ".join(x.split()[:5]) for x in lines]


def test_the_png_of_hostile_tokens_is_as_drawn_of_plain_text(
    analysed: Path, tmp_path: Path
) -> None:
    card = card_of(analysed)
    token = r"$\frac{$" + "\x1b[31m\n漢\U0001f389"
    context = replace(card.pairs[0].first, token=token, next_token="$")
    pairs = (replace(card.pairs[0], first=context), *card.pairs[1:])
    recording = open_store(analysed).recording(NAME)
    out = tmp_path / "card.png"
    draw_card(recording, replace(card, recording="$a_1$ \n", pairs=pairs), out)
    first = out.read_bytes()
    with mpl.rc_context({"text.parse_math": True, "font.size": 30.0, "figure.dpi": 30}):
        draw_card(recording, replace(card, recording="$a_1$ \n", pairs=pairs), out)
    assert out.read_bytes() == first


def test_no_letter_of_the_png_is_markup(analysed: Path) -> None:
    card = card_of(analysed)
    with styled():
        figure = make_card(open_store(analysed).recording(NAME), card)
        figure.canvas.draw()
        texts = [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]
    assert any("wd_floor" in text for text in texts)
    assert not any("math" in text for text in texts)


def test_without_matplotlib_the_extra_is_named(
    analysed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.startswith(("matplotlib", "analysis.figures"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    words = ("neuron", NAME, "1.5", "--store", analysed, "--read-only", "--format")
    done = call(*words, "png")
    assert done.code == 1
    assert done.error == (
        "Error: Figures need matplotlib, which is not installed; "
        "run `pip install 'negspace[figures]'`."
    )
    assert call(*words, "text").code == 0
